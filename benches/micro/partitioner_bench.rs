//! What placing a trace costs, its hexadecimal key included.

use std::hint::black_box;

use criterion::{Criterion, Throughput};
use otel_event_pipeline::{
    otlp::TraceId,
    publish::{fnv1a_partition, murmur2_partition},
};

use crate::requests::trace_id;

type Place = fn(&TraceId, u32) -> u32;

const TRACES: usize = 1024;
const PARTITIONS: u32 = 8;

/// Both placements.
pub(crate) fn partitioner(criterion: &mut Criterion) {
    let traces: Vec<TraceId> = (0..TRACES).map(|trace| TraceId(trace_id(trace))).collect();
    let mut group = criterion.benchmark_group("partitioner/trace");
    group.throughput(Throughput::Elements(TRACES as u64));
    for (name, place) in [("murmur2", murmur2_partition as Place), ("fnv1a", fnv1a_partition)] {
        let mut used = [0_usize; PARTITIONS as usize];
        traces.iter().for_each(|trace| used[place(trace, PARTITIONS) as usize] += 1);
        // An eighth of them in each, give or take a third.
        assert!(used.iter().all(|it| (85..=171).contains(it)), "{name} spreads them: {used:?}");
        group.bench_function(name, |bencher| {
            bencher.iter(|| -> u32 {
                traces.iter().map(|trace| place(black_box(trace), PARTITIONS)).sum()
            });
        });
    }
    group.finish();
}
