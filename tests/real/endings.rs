//! What was acknowledged stays, whichever part ends and however.

use std::time::Duration;

use crate::support::{
    kafka::{Kafka, KafkaOptions},
    load::{Load, SPANS_PER_TRACE},
    pipeline::Pipeline,
    placed_span,
    scene::Scene,
    wait,
};

const CONNECTIONS: usize = 8;
/// Traces acknowledged before the end comes, and after a recovery.
const TRACES: usize = 500;
const LOAD_WITHIN: Duration = Duration::from_secs(60);
const EXIT_WITHIN: Duration = Duration::from_secs(60);
const SETTINGS: [(&str, &str); 2] = [
    // Every connection has a trace waiting to be sent when the end comes: whoever acknowledges
    // before Kafka does is caught each time.
    ("KAFKA_LINGER", "50ms"),
    // A dead consumer is missed this soon; its successor need not wait for the default 45 s.
    ("KAFKA_CONSUMER_CONFIG", "session.timeout.ms=6000"),
];

/// SIGTERM under load: the process ends by itself with success, and every acknowledged span is in
/// Kafka and reaches Jaeger.
#[test]
fn sigterm_under_load_loses_nothing_acknowledged() {
    ends_without_loss("sigterm", |pipeline| {
        pipeline.sigterm();
        let status = pipeline.wait_exit(EXIT_WITHIN);
        assert!(status.success(), "an orderly end is a success, not {status}");
    });
}

/// SIGKILL under load: nothing can be flushed, and still every acknowledged span is in Kafka and
/// reaches Jaeger.
#[test]
fn kill_9_under_load_loses_nothing_acknowledged() {
    ends_without_loss("sigkill", Pipeline::kill_9);
}

/// The broker is killed and comes back: the pipeline refuses meanwhile, recovers by itself, and
/// loses nothing acknowledged before or after.
#[test]
fn a_broker_restart_under_load_is_survived() {
    let scene = Scene::new("restart");
    let mut kafka = Kafka::start(KafkaOptions::nodes(1));
    let mut pipeline = scene.pipeline_on(&kafka, &SETTINGS);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    kafka.kill_9();
    wait::wait_for("a refusal", LOAD_WITHIN, || (load.refused_count() > 0).then_some(()));
    kafka.restart();
    await_acknowledged(&load, load.acknowledged_count() + TRACES);

    assert!(pipeline.is_running());
    assert_in_kafka_and_jaeger(&scene, &kafka, &load.finish());
    assert_eq!(pipeline.http_get("/readyz").status, 200);
}

fn ends_without_loss(test: &str, end: impl FnOnce(&mut Pipeline)) {
    let scene = Scene::new(test);
    let mut pipeline = scene.pipeline(&SETTINGS);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    end(&mut pipeline);

    let acknowledged = load.finish();
    let _successor = scene.pipeline(&SETTINGS);
    assert_in_kafka_and_jaeger(&scene, scene.kafka(), &acknowledged);
}

fn await_acknowledged(load: &Load, trace_count: usize) {
    wait::wait_for("acknowledged traces", LOAD_WITHIN, || {
        (load.acknowledged_count() >= trace_count).then_some(())
    });
}

fn assert_in_kafka_and_jaeger(scene: &Scene, kafka: &Kafka, acknowledged: &[[u8; 16]]) {
    let sent = scene.acknowledged_spans(kafka, acknowledged);
    assert_eq!(sent.len() as u64, acknowledged.len() as u64 * SPANS_PER_TRACE);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}
