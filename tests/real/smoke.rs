//! The support's own tests: the parts start, answer, and come back, without our pipeline.

use std::time::Duration;

use rdkafka::producer::{BaseProducer, BaseRecord, Producer};

use crate::support::{
    kafka::{Kafka, KafkaOptions},
    otlp::{self, Client},
    placed_span::{self, Spans},
    scene::Scene,
    tap::Tap,
    telemetrygen,
};

const FLUSH_WITHIN: Duration = Duration::from_secs(30);

fn produce(kafka: &Kafka, topic: &str, value: &str) {
    let producer: BaseProducer =
        kafka.client().set("acks", "all").create().expect("the settings are valid");
    let record = BaseRecord::to(topic).key("key").payload(value);
    producer.send(record).expect("an empty queue takes a record");
    producer.flush(FLUSH_WITHIN).expect("the broker acknowledges");
}

/// A record acknowledged by the broker is there after kill -9 and restart, at the same address.
#[test]
fn kafka_keeps_an_acknowledged_record_through_kill_9() {
    let mut kafka = Kafka::start(KafkaOptions::nodes(1));
    kafka.create_topic("survivor", 2);
    let brokers = kafka.brokers();
    produce(&kafka, "survivor", "before");
    kafka.kill_9();
    kafka.restart();
    produce(&kafka, "survivor", "between");
    kafka.stop();
    kafka.restart();
    produce(&kafka, "survivor", "after");

    assert_eq!(kafka.brokers(), brokers);
    let records = kafka.read_topic("survivor");
    let values: Vec<_> =
        records.iter().map(|record| String::from_utf8_lossy(&record.value)).collect();
    assert_eq!(values, ["before", "between", "after"]);
    assert!(records.iter().all(|record| record.key.as_deref() == Some(b"key".as_slice())));
    assert!(records.iter().all(|record| record.partition == records[0].partition));
}

/// Three brokers form one cluster that replicates a topic to each of them.
#[test]
fn three_brokers_form_one_cluster() {
    let kafka = Kafka::start(KafkaOptions::nodes(3));
    kafka.create_topic("replicated", 3);
    produce(&kafka, "replicated", "value");
    assert_eq!(kafka.brokers().split(',').count(), 3);
    assert_eq!(kafka.read_topic("replicated").len(), 1);
}

/// Jaeger answers with every field of a span, its resource and its scope as they were sent.
#[test]
fn jaeger_answers_field_for_field() {
    let scene = Scene::new("jaeger");
    let trace_id = otlp::unique_trace_id();
    let request = otlp::request(&scene.service, otlp::trace(trace_id, 3, 10));
    Client::new(&scene.jaeger().otlp_endpoint()).export(&request).expect("Jaeger takes it");

    let mut sent = Spans::new();
    placed_span::collect(request.resource_spans, &mut sent);
    assert_eq!(sent.len(), 3);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}

/// telemetrygen's spans pass through the tap into Jaeger, and both hold the same.
#[test]
fn telemetrygen_reaches_jaeger_through_the_tap() {
    let scene = Scene::new("telemetrygen");
    let tap = Tap::start(&scene.jaeger().otlp_endpoint());
    telemetrygen::run(&tap.endpoint(), &scene.service, 5);

    let sent = tap.spans();
    assert_eq!(sent.len(), 10);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    scene.await_service(&scene.service);
}
