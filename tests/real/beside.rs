//! The Collector in its default settings and the pipeline, in the same scenes side by side.
//!
//! The pipeline must lose nothing; what the Collector loses is printed, not asserted: it is not ours
//! to promise. tests/real/parts/collector/beside.yaml says which of its settings are not defaults.

use std::time::{Duration, Instant};

use prost::Message;

use crate::{
    outcomes::undecodable,
    support::{
        collector::Collector,
        load::{Load, SPANS_PER_TRACE},
        otlp,
        pipeline::Pipeline,
        scene::Scene,
        sink::{Sink, Temper},
        wait,
    },
};

const CONNECTIONS: usize = 2;
/// Traces acknowledged before something happens, and again behind it.
const TRACES: usize = 300;
const LOAD_WITHIN: Duration = Duration::from_secs(60);
const DELIVERED_WITHIN: Duration = Duration::from_secs(120);
/// What has not come in this long while everything is well does not come any more: twice the longest
/// wait between two tries of the Collector within `RETRIES_LAST`, and longer than any rebalance.
const STILL_FOR: Duration = Duration::from_secs(15);
/// Instead of the Collector's 300 s, so that an outage need not last longer than that.
const RETRIES_LAST: &str = "5s";
/// Longer than those retries; the pipeline's own never end.
const AWAY: Duration = Duration::from_secs(20);
/// Batches are always on their way.
const SLOW: Temper = Temper { delay: Duration::from_millis(50), refuse_every: 0 };

/// Killed under load and followed by another: the pipeline's successor delivers what was on its way.
#[test]
fn a_consumer_killed_under_load() {
    for kind in [Kind::Collector, Kind::Pipeline] {
        let (scene, sink) = (Scene::new("beside-killed"), Sink::start(SLOW));
        let receive = scene.pipeline(&[("ROLE", "receive")]);
        let mut killed = Consumer::start(kind, &scene, &sink);
        let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
        await_taken(&sink, &load);
        killed.kill_9();
        let _successor = Consumer::start(kind, &scene, &sink);
        await_acknowledged(&load, TRACES);
        conclude(kind, "consumer killed under load", &sink, &load.finish());
    }
}

/// The backend away for longer than the Collector tries: the pipeline tries for ever.
#[test]
fn a_backend_away_for_long() {
    for kind in [Kind::Collector, Kind::Pipeline] {
        let (scene, mut sink) = (Scene::new("beside-away"), Sink::start(Temper::default()));
        let receive = scene.pipeline(&[("ROLE", "receive")]);
        let _consumer = Consumer::start(kind, &scene, &sink);
        let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
        await_taken(&sink, &load);
        sink.go_away();
        let back = Instant::now() + AWAY;
        wait::poll(2 * AWAY, || (Instant::now() >= back).then_some(()));
        sink.come_back();
        await_acknowledged(&load, TRACES);
        conclude(kind, "backend away for 20 s, its retries last 5 s", &sink, &load.finish());
    }
}

/// A record that no decoder takes, between good ones: both deliver those; the pipeline has the
/// other one whole in its dead-letter topic.
#[test]
#[expect(clippy::print_stdout, reason = "figures for people; the harness keeps them unless asked")]
fn an_undecodable_record() {
    for kind in [Kind::Collector, Kind::Pipeline] {
        let (scene, sink) = (Scene::new("beside-poison"), Sink::start(Temper::default()));
        let dead_letter_topic = format!("{}.dlq", scene.topic);
        scene.kafka().create_topic(&scene.topic, 1);
        scene.kafka().create_topic(&dead_letter_topic, 1);
        let poison = undecodable(&otlp::trace(otlp::unique_trace_id(), 1, 10)[0]);
        let good = [otlp::unique_trace_id(), otlp::unique_trace_id()];
        let request = |id| otlp::request(&scene.service, otlp::trace(id, 1, 10)).encode_to_vec();
        for value in [&request(good[0]), &poison, &request(good[1])] {
            scene.kafka().produce(&scene.topic, 0, &[(None, Some(value))]);
        }
        let _consumer = Consumer::start(kind, &scene, &sink);
        wait::wait_for("the good records", DELIVERED_WITHIN, || {
            (sink.missing_count(&good, 1) == 0).then_some(())
        });
        wait::wait_for("the end of the topic", DELIVERED_WITHIN, || {
            let committed = scene.kafka().committed(&scene.group, &scene.topic);
            (committed.get(&0) == Some(&3)).then_some(())
        });
        let letters = scene.kafka().read_topic(&dead_letter_topic);
        if kind == Kind::Pipeline {
            let values: Vec<&[u8]> = letters.iter().map(|letter| &*letter.value).collect();
            assert_eq!(values, [&*poison]);
        }
        println!("an undecodable record, {kind:?}: passed over, {} dead letters", letters.len());
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Collector,
    Pipeline,
}

/// Whoever brings the scene's topic to the sink.
enum Consumer {
    Collector(Collector),
    Pipeline(Pipeline),
}

impl Consumer {
    fn start(kind: Kind, scene: &Scene, sink: &Sink) -> Self {
        let endpoint = sink.endpoint();
        match kind {
            Kind::Collector => {
                let brokers = scene.kafka().brokers();
                let (topic, group) = (&scene.topic, &scene.group);
                let collector =
                    Collector::by_default(&brokers, topic, group, &endpoint, RETRIES_LAST);
                Self::Collector(collector)
            }
            Kind::Pipeline => Self::Pipeline(scene.pipeline(&[
                ("ROLE", "forward"),
                ("JAEGER_ENDPOINT", &endpoint),
                // A dead member is missed as soon as the Collector's default has it.
                ("KAFKA_CONSUMER_CONFIG", "session.timeout.ms=10000"),
            ])),
        }
    }

    fn kill_9(&mut self) {
        match self {
            Self::Collector(collector) => collector.kill_9(),
            Self::Pipeline(pipeline) => pipeline.kill_9(),
        }
    }
}

fn await_acknowledged(load: &Load, trace_count: usize) {
    let wanted = load.acknowledged_count() + trace_count;
    wait::wait_for("acknowledged traces", LOAD_WITHIN, || {
        (load.acknowledged_count() >= wanted).then_some(())
    });
}

/// Waits until the sink has its share of what was acknowledged, and more is on its way.
fn await_taken(sink: &Sink, load: &Load) {
    await_acknowledged(load, TRACES);
    wait::wait_for("spans at the backend", LOAD_WITHIN, || {
        (sink.span_counts().0 > TRACES).then_some(())
    });
}

/// Waits until everything has arrived, or nothing does any more, and tells what is missing.
#[expect(clippy::print_stdout, reason = "figures for people; the harness keeps them unless asked")]
fn conclude(kind: Kind, what: &str, sink: &Sink, acknowledged: &[[u8; 16]]) {
    let missing_count = || sink.missing_count(acknowledged, SPANS_PER_TRACE);
    let (mut lost, mut since) = (missing_count(), Instant::now());
    wait::poll(DELIVERED_WITHIN, || {
        let missing = missing_count();
        if missing != lost {
            (lost, since) = (missing, Instant::now());
        }
        let is_over = kind == Kind::Collector && since.elapsed() > STILL_FOR;
        (missing == 0 || is_over).then_some(())
    });
    let again = sink.span_counts().1;
    let sent = acknowledged.len();
    println!("{what}, {kind:?}: {lost} of {sent} traces lost, {again} spans came again");
    assert!(kind == Kind::Collector || lost == 0, "{lost} of {sent} traces are lost");
}
