//! What the splitter's steps cost per span: the scan, the grouping, and all of it with the writing.

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, Throughput};

use super::{
    group::Traces,
    scan::Scan,
    split::{RecordMode, SplitRules, Splitter},
};
use crate::requests::{SPANS, Shape};
use otel_event_pipeline::publish::murmur2_partition;

const PARTITIONS: u32 = 8;

/// The one pass over the wire.
pub(crate) fn scan(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scan/span");
    group.throughput(Throughput::Elements(SPANS as u64));
    let mut scan = Scan::default();
    for shape in Shape::all() {
        let request = shape.request();
        scan.read(&request).expect("it is well-formed");
        assert_eq!((scan.spans.len(), scan.rejections.total()), (SPANS, 0));
        group.bench_function(shape.name(), |bencher| {
            bencher.iter(|| scan.read(black_box(&request)).is_ok());
        });
    }
    group.finish();
}

/// Spans by trace id, without asking for a partition.
pub(crate) fn group(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("group/span");
    group.throughput(Throughput::Elements(SPANS as u64));
    let (mut scan, mut traces) = (Scan::default(), Traces::new());
    for shape in Shape::all() {
        let request = shape.request();
        scan.read(&request).expect("it is well-formed");
        traces.group(&request, &scan.spans, |_| 0);
        assert_eq!(traces.traces.len(), shape.trace_count());
        group.bench_function(shape.name(), |bencher| {
            bencher.iter(|| traces.group(black_box(&request), &scan.spans, |_| 0));
        });
    }
    group.finish();
}

/// A request to the bytes of its records, placement included, in bytes per second and per span.
pub(crate) fn split(criterion: &mut Criterion) {
    for (mode, name) in [(RecordMode::Trace, "trace"), (RecordMode::Partition, "partition")] {
        for shape in Shape::all() {
            let request = shape.request();
            let rules =
                SplitRules { mode, record_bytes_max: 900 * 1024, partition_count: PARTITIONS };
            let mut work = Work { splitter: Splitter::new(), scratch: Vec::new(), rules };
            let (records, bytes) = work.run(&request);
            let records_max = match mode {
                RecordMode::Trace => shape.trace_count(),
                RecordMode::Partition => PARTITIONS as usize,
            };
            assert!((1..=records_max).contains(&records), "{records} records");
            assert!(bytes >= request.len(), "every span is in a record");
            for (unit, throughput) in [
                ("span", Throughput::Elements(SPANS as u64)),
                ("bytes", Throughput::Bytes(request.len() as u64)),
            ] {
                let mut group = criterion.benchmark_group(format!("split and write/{unit}"));
                group.throughput(throughput);
                let id = BenchmarkId::new(format!("{name} mode"), shape.name());
                group.bench_function(id, |bencher| bencher.iter(|| work.run(black_box(&request))));
                group.finish();
            }
        }
    }
}

/// A worker's splitter and its buffer.
struct Work {
    splitter: Splitter,
    scratch: Vec<u8>,
    rules: SplitRules,
}

impl Work {
    /// Splits and writes; answers with the number of records and of their bytes.
    fn run(&mut self, request: &[u8]) -> (usize, usize) {
        let place = |trace: &super::TraceId| {
            murmur2_partition(&otel_event_pipeline::otlp::TraceId(trace.0), PARTITIONS)
        };
        let outcome = self.splitter.split(request, &self.rules, place).expect("it is well-formed");
        assert_eq!(outcome.span_count, SPANS as u64);
        let records = self.splitter.records();
        let bytes = records.iter().map(|record| {
            self.scratch.clear();
            self.splitter.write(request, record, &mut self.scratch).len()
        });
        (records.len(), bytes.sum())
    }
}
