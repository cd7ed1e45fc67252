//! From an OTLP client through Kafka to Jaeger: what arrives is what was sent.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use crate::support::{
    kafka::Record,
    otlp::{self, Client, hex},
    placed_span::{self, Spans},
    scene::Scene,
    tap::Tap,
    telemetrygen,
};

const TEST_APP_WITHIN: Duration = Duration::from_secs(60);
const MIB: usize = 1024 * 1024;

/// The spans that the official SDK sends for test-app are in Jaeger, field for field.
#[test]
fn test_app_reaches_jaeger() {
    let scene = Scene::new("test-app");
    let pipeline = scene.pipeline(&[]);
    let tap = Tap::start(&pipeline.otlp_endpoint());
    // Ten, so that the failing checkouts are among them.
    let mut test_app = scene.test_app(&tap.endpoint(), 10);
    assert!(test_app.wait_exit(TEST_APP_WITHIN).success());

    let sent = tap.spans();
    assert_eq!(trace_ids(&sent).len(), 10);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    scene.await_service("test-app");
}

/// The spans of a foreign client are in Jaeger and in the topic, field for field; each record's
/// key is the trace id of all its spans, and a trace keeps to one partition.
#[test]
fn telemetrygen_reaches_kafka_and_jaeger() {
    let scene = Scene::new("telemetrygen");
    let pipeline = scene.pipeline(&[]);
    let tap = Tap::start(&pipeline.otlp_endpoint());
    telemetrygen::run(&tap.endpoint(), &scene.service, 200);

    let sent = tap.spans();
    assert_eq!(trace_ids(&sent).len(), 200);
    let records = scene.kafka().read_topic(&scene.topic);
    assert_keyed_by_trace(&records);
    placed_span::assert_same(&spans_of(&records), &sent);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}

/// Every field of the data model survives, schema URLs included, when one request holds many
/// traces under several resources and a trace is spread over them.
#[test]
fn every_field_survives_the_split() {
    let scene = Scene::new("fields");
    let pipeline = scene.pipeline(&[]);
    let trace_ids: Vec<_> = (0..20).map(|_| otlp::unique_trace_id()).collect();
    let mut request = otlp::request(&scene.service, Vec::new());
    for part in 0..3 {
        let spans = trace_ids
            .iter()
            .flat_map(|id| otlp::trace(*id, 6, 20).into_iter().skip(part * 2).take(2))
            .collect();
        let name = format!("{}-part-{part}", scene.service);
        request.resource_spans.extend(otlp::request(&name, spans).resource_spans);
    }
    let answer = Client::new(&pipeline.otlp_endpoint()).export(&request).expect("it is taken");
    assert_eq!(answer.partial_success, None);

    let mut sent = Spans::new();
    placed_span::collect(request.resource_spans, &mut sent);
    assert_eq!(sent.len(), 120);
    let records = scene.kafka().read_topic(&scene.topic);
    assert_eq!(records.len(), 20, "one record per trace and request");
    assert_keyed_by_trace(&records);
    placed_span::assert_same(&spans_of(&records), &sent);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}

/// A backlog of many MiB, one trace of it larger than a record may be, reaches a Jaeger that
/// takes at most 4 MiB at once.
#[test]
fn a_large_backlog_fits_through_default_limits() {
    let scene = Scene::new("large");
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let mut client = Client::new(&receive.otlp_endpoint());
    let mut sent = Spans::new();
    let long_trace = otlp::unique_trace_id();
    let many_traces = (0..70).flat_map(|_| otlp::trace(otlp::unique_trace_id(), 1, MIB / 10));
    for spans in [many_traces.collect(), otlp::trace(long_trace, 30, MIB / 10)] {
        let request = otlp::request(&scene.service, spans);
        let answer = client.export(&request).expect("it is below the request limit");
        assert_eq!(answer.partial_success, None);
        placed_span::collect(request.resource_spans, &mut sent);
    }

    let records = scene.kafka().read_topic(&scene.topic);
    assert_keyed_by_trace(&records);
    let key = hex(&long_trace).into_bytes();
    let pieces = records.iter().filter(|record| record.key.as_ref() == Some(&key)).count();
    assert!(pieces > 1, "3 MiB of spans do not fit one record");
    assert!(records.iter().all(|record| record.value.len() < MIB));

    let _forward = scene.pipeline(&[("ROLE", "forward")]);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}

fn trace_ids(spans: &Spans) -> BTreeSet<&[u8]> {
    spans.keys().map(|(trace_id, _)| trace_id.as_slice()).collect()
}

fn spans_of(records: &[Record]) -> Spans {
    placed_span::decode(records.iter().map(|record| record.value.as_slice()))
}

/// Keys are 32 lower-case hex characters: the trace id of every span of the record. All records
/// of a trace are in one partition.
fn assert_keyed_by_trace(records: &[Record]) {
    let mut partitions = BTreeMap::new();
    for record in records {
        let key = record.key.as_deref().expect("every record has a key");
        for (trace_id, _) in spans_of(std::slice::from_ref(record)).keys() {
            assert_eq!(String::from_utf8_lossy(key), hex(trace_id));
        }
        let partition = partitions.entry(key).or_insert(record.partition);
        assert_eq!(*partition, record.partition, "a trace is in two partitions");
    }
}
