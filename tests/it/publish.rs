//! How requests become records: modes, placement, limits, and whose order is kept.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tonic::Code;

use crate::support::{
    mock_kafka::{MockKafka, Stored},
    pipeline::Pipeline,
    spans::{request, span, trace},
};

const TOPIC: &str = "otel.traces";
const PARTITIONS: i32 = 4;

/// Exports one request of `traces` traces with `spans` spans each; what is in Kafka then.
fn published(traces: u8, spans: u8, settings: &[(&str, &str)]) -> Vec<Stored> {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let brokers = kafka.brokers();
    let all = [&[("KAFKA_BROKERS", brokers.as_str())], settings].concat();
    let pipeline = Pipeline::start(&all);
    let body = request((0..traces).flat_map(|number| trace(number, spans)).collect());
    let reply = pipeline.client().export(&body);
    assert_eq!((reply.code(), reply.partial_success()), (Code::Ok, None));
    kafka.records(TOPIC, PARTITIONS)
}

/// The trace ids of a record's spans, in hexadecimal, each once.
fn trace_ids(record: &Stored) -> Vec<String> {
    let value = ExportTraceServiceRequest::decode(record.value.as_deref().unwrap()).unwrap();
    let mut ids: Vec<String> = value.resource_spans[0].scope_spans[0]
        .spans
        .iter()
        .map(|span| span.trace_id.iter().map(|byte| format!("{byte:02x}")).collect())
        .collect();
    ids.dedup();
    ids
}

fn placement(records: &[Stored]) -> BTreeMap<String, i32> {
    let placed = records.iter().flat_map(|record| {
        trace_ids(record).into_iter().map(|trace_id| (trace_id, record.partition))
    });
    placed.collect()
}

/// In the mode `trace` each record holds one trace under its own key.
#[test]
fn trace_mode_keys_by_trace() {
    let records = published(30, 2, &[]);
    assert_eq!(records.len(), 30);
    for record in &records {
        let key = String::from_utf8(record.key.clone().unwrap()).unwrap();
        assert_eq!(trace_ids(record), [key]);
    }
}

/// In the mode `partition` there is a record per partition, without a key, and every trace lies
/// where the mode `trace` would put it.
#[test]
fn partition_mode_places_alike() {
    let by_trace = published(30, 2, &[]);
    let by_partition = published(30, 2, &[("KAFKA_RECORD_MODE", "partition")]);
    assert!(by_partition.len() <= PARTITIONS as usize);
    assert!(by_partition.iter().all(|record| record.key.is_none()));
    assert_eq!(placement(&by_partition), placement(&by_trace));
}

/// The Collector's placement differs from Java's, and both keep a trace together.
#[test]
fn partitioners_differ() {
    let java = placement(&published(30, 1, &[]));
    let collector = placement(&published(30, 1, &[("KAFKA_PARTITIONER", "fnv1a")]));
    assert_eq!(java.len(), collector.len());
    assert_ne!(java, collector);
}

/// A trace over the record limit is cut between spans, under one key and in order.
#[test]
fn large_trace_is_cut() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let brokers = kafka.brokers();
    let settings = [("KAFKA_BROKERS", brokers.as_str()), ("KAFKA_RECORD_BYTES_MAX", "64KiB")];
    let pipeline = Pipeline::start(&settings);
    let spans = (0..100).map(|number| {
        let mut span = span(1, number);
        span.name = format!("{number} {}", "x".repeat(5_000));
        span
    });
    let sent: Vec<_> = spans.collect();
    let reply = pipeline.client().export(&request(sent.clone()));
    assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    let records = kafka.records(TOPIC, PARTITIONS);
    assert!(records.len() > 5);
    assert!(records.iter().all(|record| record.key.as_deref() == Some("02".repeat(16).as_bytes())));
    let arrived: Vec<_> = records
        .iter()
        .flat_map(|record| {
            let value = record.value.as_deref().unwrap();
            assert!(value.len() <= 64 * 1024);
            let value = ExportTraceServiceRequest::decode(value).unwrap();
            value.resource_spans.into_iter().flat_map(|it| it.scope_spans).flat_map(|it| it.spans)
        })
        .collect();
    assert_eq!(arrived, sent);
}
