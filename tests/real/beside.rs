//! The Collector in its default settings and the pipeline side by side: the same records, a group
//! and a backend for each, and the same done to both.
//!
//! The pipeline must lose nothing; what the Collector loses is printed, not asserted: that is not
//! ours to promise. It is what its queue held, what a full queue dropped, and what was given up.
//! tests/real/parts/collector/beside.yaml tells which settings are not defaults.

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
/// What has not come in this long while everything is well does not come any more: three times
/// `RETRIES_LAST`, and longer than the session of a dead member.
const STILL_FOR: Duration = Duration::from_secs(15);
/// Instead of the Collector's 300 s, so that an outage need not last longer than that.
const RETRIES_LAST: &str = "5s";
/// Longer than those retries; the pipeline's own never end.
const AWAY: Duration = Duration::from_secs(20);
/// Slower than the records come in, for one request at a time of each of the Collector's ten.
const SLOW: Temper = Temper { delay: Duration::from_millis(150), refuse_every: 0 };

/// Killed under load, with a backlog and a slow backend, and followed by another: the pipeline's
/// successor delivers what was on its way.
#[test]
fn a_consumer_killed_under_load() {
    let scene = Scene::new("beside-killed");
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    let mut sides = Side::both(&scene, SLOW);
    await_taken(&sides, &load);
    for side in &mut sides {
        side.consumer.kill_9();
        side.restart(&scene);
    }
    await_acknowledged(&load, TRACES);
    conclude("consumer killed under load", &sides, &load.finish());
}

/// The backend away for longer than the Collector tries: the pipeline tries for ever.
#[test]
fn a_backend_away_for_long() {
    let scene = Scene::new("beside-away");
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let mut sides = Side::both(&scene, Temper::default());
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_taken(&sides, &load);
    sides.iter_mut().for_each(|side| side.sink.go_away());
    let back = Instant::now() + AWAY;
    wait::poll(2 * AWAY, || (Instant::now() >= back).then_some(()));
    sides.iter_mut().for_each(|side| side.sink.come_back());
    await_acknowledged(&load, TRACES);
    conclude("backend away for 20 s, its retries last 5 s", &sides, &load.finish());
}

/// A record that no decoder takes, between good ones: both deliver those and go on; the pipeline
/// has the other one whole in its dead-letter topic, and it is the only one there.
#[test]
fn an_undecodable_record() {
    let scene = Scene::new("beside-poison");
    scene.kafka().create_topic(&scene.topic, 1);
    let poison = undecodable(&otlp::trace(otlp::unique_trace_id(), 1, 10)[0]);
    let good = [otlp::unique_trace_id(), otlp::unique_trace_id()];
    let request = |id| otlp::request(&scene.service, otlp::trace(id, 1, 10)).encode_to_vec();
    for value in [&request(good[0]), &poison, &request(good[1])] {
        scene.kafka().produce(&scene.topic, 0, &[(None, Some(value))]);
    }
    for side in Side::both(&scene, Temper::default()) {
        wait::wait_for("the good records", DELIVERED_WITHIN, || {
            (side.sink.missing_count(&good, 1) == 0).then_some(())
        });
        wait::wait_for("the end of the topic", DELIVERED_WITHIN, || {
            let committed = scene.kafka().committed(&side.group, &scene.topic);
            (committed.get(&0) == Some(&3)).then_some(())
        });
    }
    let letters = scene.kafka().read_topic(&format!("{}.dlq", scene.topic));
    let values: Vec<&[u8]> = letters.iter().map(|letter| &*letter.value).collect();
    assert_eq!(values, [&*poison]);
}

/// One of the two, with its backend.
struct Side {
    kind: Kind,
    group: String,
    sink: Sink,
    consumer: Consumer,
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

impl Side {
    fn both(scene: &Scene, temper: Temper) -> [Self; 2] {
        [Kind::Collector, Kind::Pipeline].map(|kind| {
            let (group, sink) = (format!("{}-{kind:?}", scene.group), Sink::start(temper));
            let consumer = Consumer::start(kind, scene, &group, &sink.endpoint());
            Self { kind, group, sink, consumer }
        })
    }

    fn restart(&mut self, scene: &Scene) {
        self.consumer = Consumer::start(self.kind, scene, &self.group, &self.sink.endpoint());
    }
}

impl Consumer {
    fn start(kind: Kind, scene: &Scene, group: &str, endpoint: &str) -> Self {
        match kind {
            Kind::Collector => {
                let brokers = scene.kafka().brokers();
                let topic = &scene.topic;
                Self::Collector(Collector::by_default(
                    &brokers,
                    topic,
                    group,
                    endpoint,
                    RETRIES_LAST,
                ))
            }
            Kind::Pipeline => Self::Pipeline(scene.pipeline(&[
                ("ROLE", "forward"),
                ("KAFKA_CONSUMER_GROUP", group),
                ("JAEGER_ENDPOINT", endpoint),
                // A dead member is missed as soon as by the Collector's default.
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

/// Waits until each has its share of what was acknowledged, and more is on its way.
fn await_taken(sides: &[Side], load: &Load) {
    await_acknowledged(load, TRACES);
    wait::wait_for("spans at both backends", LOAD_WITHIN, || {
        sides.iter().all(|side| side.sink.span_counts().0 > TRACES).then_some(())
    });
}

/// Waits until everything has arrived, or nothing does any more, and tells what each has lost.
#[expect(clippy::print_stdout, reason = "figures for people; the harness keeps them unless asked")]
fn conclude(what: &str, sides: &[Side], acknowledged: &[[u8; 16]]) {
    let sent = acknowledged.len();
    for Side { kind, sink, .. } in sides {
        let missing_count = || sink.missing_count(acknowledged, SPANS_PER_TRACE);
        let (mut lost, mut since) = (missing_count(), Instant::now());
        wait::poll(DELIVERED_WITHIN, || {
            let missing = missing_count();
            if missing != lost {
                (lost, since) = (missing, Instant::now());
            }
            let is_over = *kind == Kind::Collector && since.elapsed() > STILL_FOR;
            (missing == 0 || is_over).then_some(())
        });
        let again = sink.span_counts().1;
        println!("{what}, {kind:?}: {lost} of {sent} traces lost, {again} spans came again");
        assert!(*kind == Kind::Collector || lost == 0, "{lost} of {sent} traces are lost");
    }
}
