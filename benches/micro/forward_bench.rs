//! What a record costs on its way out: the framing walk, its place in a batch, and its offset.

use std::{hint::black_box, time::Instant};

use criterion::{Criterion, Throughput};

use super::{
    batch::{Generation, OpenBatch},
    offsets::Offsets,
};
use crate::{
    kafka::{PartitionId, Record},
    otlp::framing::walk,
    requests::{FieldOrder, SPANS, Shape},
};

const PARTITIONS: i32 = 8;
const RECORDS: i64 = 1024;

/// Received, acknowledged batch by batch, and offered for a commit.
pub(crate) fn offsets(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("offsets/record");
    group.throughput(Throughput::Elements(RECORDS as u64));
    let mut offsets = Offsets::default();
    (0..PARTITIONS).for_each(|partition| offsets.assign(PartitionId(partition)));
    let mut next = 0;
    let mut round = move || {
        for offset in next..next + RECORDS {
            let partition = PartitionId((offset % i64::from(PARTITIONS)) as i32);
            let generation = offsets.receive(partition, offset).expect("it is assigned");
            offsets.acknowledge(partition, generation, offset);
        }
        next += RECORDS;
        offsets.take_uncommitted().len()
    };
    assert_eq!(round(), PARTITIONS as usize);
    group.bench_function("eight partitions", |bencher| bencher.iter(&mut round));
    group.finish();
}

/// Walked to its end and appended, until the batch is full; one request of SPANS spans each.
pub(crate) fn concatenation(criterion: &mut Criterion) {
    let value = Shape { order: FieldOrder::Ascending, spans_per_trace: SPANS }.request();
    let records_per_batch = BATCH_BYTES / value.len();
    let mut buffer = bytes::BytesMut::with_capacity(BATCH_BYTES + value.len());
    let now = Instant::now();
    let mut fill = move || {
        let mut batch = OpenBatch::in_buffer(std::mem::take(&mut buffer));
        let mut offset = 0;
        while batch.has_room(value.len(), BATCH_BYTES) {
            walk(black_box(&value)).expect("it is well-formed");
            let record = Record {
                partition: PartitionId(0),
                offset,
                timestamp_ms: None,
                key: None,
                value: Some(&value),
            };
            batch.append(&record, Generation::default(), now);
            offset += 1;
        }
        let batch = batch.close();
        let (count, bytes) = (batch.entries().len(), batch.payload_bytes());
        buffer = batch.into_buffer().expect("nobody else holds it");
        (count, bytes)
    };
    let (count, bytes) = fill();
    assert_eq!(count, records_per_batch);
    let mut group = criterion.benchmark_group("concatenation/bytes");
    group.throughput(Throughput::Bytes(bytes as u64));
    group.bench_function("walk and append", |bencher| bencher.iter(&mut fill));
    group.finish();
}

const BATCH_BYTES: usize = 3_500 * 1024;
