//! The backend is away for longer than any buffer could bridge.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    load::{Load, SPANS_PER_TRACE},
    pipeline::Pipeline,
    scene::Scene,
    sink::{Sink, Temper},
    wait,
};

const CONNECTIONS: usize = 8;
/// Longer than the consumer sits a stall out, and than any retry of a client.
const AWAY: Duration = Duration::from_secs(35);
const LOOK_EVERY: Duration = Duration::from_millis(500);
const START_WITHIN: Duration = Duration::from_secs(60);
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
/// For both halves of one process; what waits meanwhile waits in Kafka.
const MEMORY_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// While the backend is away ingest goes on unharmed, so does the group of another backend, the
/// consumer pauses once, and memory stays bounded; when it is back everything acknowledged arrives,
/// and forwarding catches up.
#[test]
fn an_outage_is_lag_in_kafka() {
    let scene = Scene::new("outage");
    let mut sink = Sink::start(Temper::default());
    let settings = [("JAEGER_ENDPOINT", &*sink.endpoint()), ("FORWARD_THREADS", "1")];
    let mut pipeline = scene.pipeline(&settings);
    let other = Sink::start(Temper::default());
    let other_group = format!("{}-other", scene.group);
    let _other = scene.pipeline(&[
        ("ROLE", "forward"),
        ("KAFKA_CONSUMER_GROUP", &other_group),
        ("JAEGER_ENDPOINT", &other.endpoint()),
    ]);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    wait::wait_for("spans at the backend", START_WITHIN, || {
        (sink.span_counts().0 > 1000).then_some(())
    });

    sink.go_away();
    let acknowledged_before = load.acknowledged_count();
    let pause_count = count_pauses(&pipeline, AWAY);
    let acknowledged_meanwhile = load.acknowledged_count() - acknowledged_before;
    assert_eq!(pause_count, 1, "paused once, and for the whole outage");
    assert_eq!(load.refused_count(), 0, "ingest knows nothing of the backend");
    assert_eq!(pipeline.http_get("/readyz").status, 200);
    wait::wait_for("the other backend's share of the outage", DRAINED_WITHIN, || {
        let traces = acknowledged_before + acknowledged_meanwhile;
        (other.span_counts().0 as u64 >= traces as u64 * SPANS_PER_TRACE).then_some(())
    });

    let (delivered_before, back) = (sink.span_counts().0, Instant::now());
    sink.come_back();
    wait::wait_for("forwarding to catch up", DRAINED_WITHIN, || {
        let behind = pipeline.metric("forward_lag_records");
        (behind < CAUGHT_UP_RECORDS && !is_paused(&pipeline)).then_some(())
    });
    let drained = (sink.span_counts().0 - delivered_before, back.elapsed());
    let acknowledged = load.finish();
    wait::wait_for("every acknowledged span", DRAINED_WITHIN, || {
        (sink.missing_count(&acknowledged, SPANS_PER_TRACE) == 0).then_some(())
    });
    assert!(pipeline.is_running());
    let memory_bytes = pipeline.memory_bytes_max();
    assert!(memory_bytes.is_none_or(|bytes| bytes < MEMORY_BYTES_MAX), "{memory_bytes:?}");
    tell(acknowledged_meanwhile, drained, sink.span_counts().1, memory_bytes);
}

/// Watches the consumer for `period`: how often did it go from consuming to paused?
fn count_pauses(pipeline: &Pipeline, period: Duration) -> usize {
    let end = Instant::now() + period;
    let (mut count, mut was_paused) = (0, false);
    while Instant::now() < end {
        let paused = is_paused(pipeline);
        count += usize::from(paused && !was_paused);
        was_paused = paused;
        thread::sleep(LOOK_EVERY);
    }
    count
}

fn is_paused(pipeline: &Pipeline) -> bool {
    pipeline.metric("forward_paused") > 0.0
}

#[expect(clippy::print_stdout, reason = "figures for people; the harness keeps them unless asked")]
fn tell(
    traces_meanwhile: usize,
    drained: (usize, Duration),
    duplicate_spans: usize,
    memory_bytes: Option<u64>,
) {
    let ingest = traces_meanwhile as f64 * SPANS_PER_TRACE as f64 / AWAY.as_secs_f64();
    let drain = drained.0 as f64 / drained.1.as_secs_f64();
    let mib = memory_bytes.unwrap_or_default() / (1024 * 1024);
    println!(
        "ingest {ingest:.0} spans/s, drained at {drain:.0} spans/s within {:.1?}, \
         {duplicate_spans} duplicate spans, at most {mib} MiB",
        drained.1
    );
}

/// Less than a second's worth of traces, and the lag is a second old.
const CAUGHT_UP_RECORDS: f64 = 1000.0;
