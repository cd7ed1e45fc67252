//! Together with the OpenTelemetry Collector and with Jaeger's own writer to Kafka.

use std::collections::BTreeSet;

use prost::encoding::{decode_key, decode_varint};

use crate::support::{
    collector::{Collector, Publishing},
    otlp::{self, Client},
    placed_span::{self, Spans},
    scene::Scene,
    tap::Tap,
};

const MIB: usize = 1024 * 1024;
const COMPRESSIONS: [&str; 5] = ["none", "gzip", "snappy", "lz4", "zstd"];

/// The Collector's Kafka receiver reads what we write, whether a record is a trace or a
/// partition's share of a request, and has every field of every span.
#[test]
fn the_collector_reads_our_topic() {
    for record_mode in ["trace", "partition"] {
        let scene = Scene::new("collector-reads");
        let settings = [("ROLE", "receive"), ("KAFKA_RECORD_MODE", record_mode)];
        let receive = scene.pipeline(&settings);
        let mut sent = Spans::new();
        send(&scene, &receive.otlp_endpoint(), &mut sent);

        let tap = Tap::start(&scene.jaeger().otlp_endpoint());
        let brokers = scene.kafka().brokers();
        let _collector = Collector::consume(&brokers, &scene.topic, &scene.group, &tap.endpoint());
        let stored = scene.await_in_jaeger(&sent);
        placed_span::assert_same(&tap.spans(), &sent);
        placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    }
}

/// We forward what the Collector's Kafka exporter writes, keyed by trace and unkeyed, in each of
/// its compressions, and every field of every span arrives.
#[test]
fn we_read_the_collectors_topic() {
    let scene = Scene::new("collector-writes");
    scene.kafka().create_topic(&scene.topic, 4);
    let brokers = scene.kafka().brokers();
    let mut sent = Spans::new();
    for compression in COMPRESSIONS {
        for by_trace_id in [true, false] {
            let how = Publishing { by_trace_id, compression };
            let collector = Collector::publish(&brokers, &scene.topic, how);
            send(&scene, &collector.otlp_endpoint(), &mut sent);
        }
    }
    let records = scene.kafka().read_topic(&scene.topic);
    let keys: BTreeSet<_> = records.iter().filter_map(|record| record.key.clone()).collect();
    let half_of_traces = COMPRESSIONS.len() * TRACES;
    assert_eq!(keys.len(), half_of_traces, "one key for each trace of the keyed half");
    assert!(records.iter().any(|record| record.key.is_none()), "the other half has no keys");
    assert!(records.iter().all(|record| is_backwards(&record.value)));

    assert_forwarded(&scene, sent);
}

/// We forward what Jaeger's own Kafka exporter writes, and every field of every span arrives.
#[test]
fn we_read_jaegers_topic() {
    let scene = Scene::new("jaeger-writes");
    scene.kafka().create_topic(&scene.topic, 4);
    let writer = Collector::publish_as_jaeger(&scene.kafka().brokers(), &scene.topic);
    let mut sent = Spans::new();
    send(&scene, &writer.otlp_endpoint(), &mut sent);
    assert_forwarded(&scene, sent);
}

/// A Collector with its default limit of 4 MiB takes a backlog in requests that come close to it,
/// none refused and none cut.
#[test]
fn the_collector_takes_what_we_forward() {
    let scene = Scene::new("collector-takes");
    let receive = scene.pipeline(&[("ROLE", "receive"), ("KAFKA_TOPIC_PARTITIONS", "1")]);
    let mut client = Client::new(&receive.otlp_endpoint());
    let mut sent = Spans::new();
    for _ in 0..10 {
        let spans = (0..10).flat_map(|_| otlp::trace(otlp::unique_trace_id(), 1, MIB / 10));
        let request = otlp::request(&scene.service, spans.collect());
        client.export(&request).expect("it is below the request limit");
        placed_span::collect(request.resource_spans, &mut sent);
    }

    let collector = Collector::relay(&scene.jaeger().otlp_endpoint());
    let tap = Tap::start(&collector.otlp_endpoint());
    let forward = scene.pipeline(&[
        ("ROLE", "forward"),
        ("JAEGER_ENDPOINT", &tap.endpoint()),
        // Batches are sent when they are full, however slowly they fill.
        ("FORWARD_BATCH_AGE", "5s"),
    ]);
    let stored = scene.await_in_jaeger(&sent);
    let largest = tap.request_bytes_max();
    assert!((3 * MIB..4 * MIB).contains(&largest), "the largest request has {largest} bytes");
    placed_span::assert_same(&tap.spans(), &sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    assert_eq!(forward.metric("forward_retries_total"), 0.0);
    assert_eq!(forward.metric("forward_bisections_total"), 0.0);
}

/// True when a request's first ResourceSpans begins with its last field, the schema URL: the
/// Collector writes messages from their end.
fn is_backwards(mut value: &[u8]) -> bool {
    let resource_spans = decode_key(&mut value).expect("a request is not empty");
    decode_varint(&mut value).expect("a length follows");
    let first = decode_key(&mut value).expect("ResourceSpans is not empty");
    (resource_spans.0, first.0) == (1, 3)
}

/// Sends one request: traces spread over two resources, every field of the data model used.
fn send(scene: &Scene, endpoint: &str, sent: &mut Spans) {
    let trace_ids: Vec<_> = (0..TRACES).map(|_| otlp::unique_trace_id()).collect();
    let mut request = otlp::request(&scene.service, Vec::new());
    for part in 0..2 {
        let spans = trace_ids
            .iter()
            .flat_map(|id| otlp::trace(*id, 4, 20).into_iter().skip(part * 2).take(2))
            .collect();
        let name = format!("{}-part-{part}", scene.service);
        request.resource_spans.extend(otlp::request(&name, spans).resource_spans);
    }
    let answer = Client::new(endpoint).export(&request).expect("it is taken");
    // The Collector says even of a whole success that nothing was rejected.
    assert_eq!(answer.partial_success.unwrap_or_default().rejected_spans, 0);
    placed_span::collect(request.resource_spans, sent);
}

/// Forwards the scene's topic; all that was sent arrives field for field, and nothing else.
fn assert_forwarded(scene: &Scene, sent: Spans) {
    let tap = Tap::start(&scene.jaeger().otlp_endpoint());
    let forward = scene.pipeline(&[("ROLE", "forward"), ("JAEGER_ENDPOINT", &tap.endpoint())]);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&tap.spans(), &sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    assert_eq!(forward.metric("forward_dead_letters_total"), 0.0);
}

/// Traces of one request.
const TRACES: usize = 10;
