//! A consumer group that changes under load, and a topic that changes under it.

use std::{ops::Range, time::Duration};

use prost::Message;

use crate::support::{
    kafka::{Kafka, KafkaOptions},
    load::{Load, SPANS_PER_TRACE},
    otlp::{self, Client},
    pipeline::Pipeline,
    scene::Scene,
    sink::{Sink, Temper},
    wait,
};

/// Our members beside others, and beside their own successors.
mod neighbours;

const CONNECTIONS: usize = 4;
/// Traces acknowledged between one change and the next.
const TRACES: usize = 300;
const PARTITIONS: usize = 8;
const LOAD_WITHIN: Duration = Duration::from_secs(60);
const REBALANCE_WITHIN: Duration = Duration::from_secs(60);
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
const EXIT_WITHIN: Duration = Duration::from_secs(60);
/// A dead member is missed this soon, rather than after the default 45 s.
const SHORT_SESSION: (&str, &str) = ("KAFKA_CONSUMER_CONFIG", "session.timeout.ms=6000");
/// Batches are always in flight, and some of them being retried.
const SLOW_AND_FALLIBLE: Temper = Temper { delay: Duration::from_millis(50), refuse_every: 5 };

/// Members join, leave in order and are killed while batches are in flight and retried: every
/// acknowledged span arrives, and the group's offsets reach the end of every partition.
#[test]
fn members_come_and_go_under_load() {
    let scene = Scene::new("members");
    let sink = Sink::start(SLOW_AND_FALLIBLE);
    let settings = [("JAEGER_ENDPOINT", &*sink.endpoint()), SHORT_SESSION];
    let member = || scene.pipeline(&[&settings[..], &[("ROLE", "forward")]].concat());
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let (mut killed, mut leaving) = (member(), member());
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    let joining = member();
    await_acknowledged(&load, TRACES);
    leaving.sigterm();
    await_acknowledged(&load, TRACES);
    killed.kill_9();
    let _joining_late = member();
    await_acknowledged(&load, TRACES);

    assert!(leaving.wait_exit(EXIT_WITHIN).success());
    wait::wait_for("a retry: the sink refuses now and then", LOAD_WITHIN, || {
        (joining.metric("forward_retries_total") > 0.0).then_some(())
    });
    assert_delivered(&sink, &load.finish(), "members come and go");
    await_all_committed(&scene, scene.kafka());
}

/// A member with a name of its own that ends, in order or killed, and is started again within the
/// session timeout takes its partitions back, and the other member notices nothing.
#[test]
fn a_static_member_returns_without_a_rebalance() {
    let scene = Scene::new("static");
    let sink = Sink::start(Temper::default());
    let endpoint = sink.endpoint();
    let member = |instance| {
        scene.pipeline(&[
            ("ROLE", "forward"),
            ("FORWARD_THREADS", "1"),
            ("INSTANCE", instance),
            ("JAEGER_ENDPOINT", &endpoint),
        ])
    };
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let (mut first, second) = (member("first"), member("second"));
    await_members(&scene, 2);
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_work(&first);
    await_work(&second);
    let before = second.metric("forward_rebalances_total");
    first.sigterm();
    assert!(first.wait_exit(EXIT_WITHIN).success());
    let mut first = member("first");
    await_work(&first);
    first.kill_9();
    let first = member("first");
    await_work(&first);
    await_acknowledged(&load, TRACES);

    assert_delivered(&sink, &load.finish(), "a static member returns");
    assert_eq!(second.metric("forward_rebalances_total"), before);
}

/// More forward threads than partitions: those without one are healthy and ready, the others
/// forward everything.
#[test]
fn members_without_a_partition_are_healthy() {
    let scene = Scene::new("idle");
    let sink = Sink::start(Temper::default());
    let pipeline = scene.pipeline(&[
        ("KAFKA_TOPIC_PARTITIONS", "2"),
        ("FORWARD_THREADS", "4"),
        ("JAEGER_ENDPOINT", &sink.endpoint()),
    ]);
    await_members(&scene, 4);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    assert_delivered(&sink, &load.finish(), "more members than partitions");
    for path in ["/healthz", "/readyz"] {
        assert_eq!(pipeline.http_get(path).status, 200, "{path}");
    }
}

/// Partitions that are added while the pipeline runs are forwarded from their first record.
#[test]
fn added_partitions_are_consumed() {
    let scene = Scene::new("added");
    let sink = Sink::start(Temper::default());
    // Looked for every second, rather than every half minute.
    let soon = "topic.metadata.refresh.interval.ms=1000";
    let forward = scene.pipeline(&[
        ("ROLE", "forward"),
        ("KAFKA_TOPIC_PARTITIONS", "2"),
        ("KAFKA_CONSUMER_CONFIG", soon),
        ("JAEGER_ENDPOINT", &sink.endpoint()),
    ]);
    produce_traces(&scene, 0..2);
    wait::wait_for("the first partitions", DELIVERED_WITHIN, || {
        (sink.span_counts().0 == 2).then_some(())
    });
    scene.kafka().add_partitions(&scene.topic, 4);
    wait::wait_for("leaders of the new partitions", REBALANCE_WITHIN, || {
        (scene.kafka().leader_count(&scene.topic) == 4).then_some(())
    });
    produce_traces(&scene, 2..4);
    wait::wait_for("the added partitions", DELIVERED_WITHIN, || {
        (sink.span_counts().0 == 4).then_some(())
    });
    assert_eq!(forward.metric("forward_records_consumed_total"), 4.0, "none twice");
}

/// A topic that is deleted under the pipeline is created again by it, and what is sent then is
/// acknowledged and arrives. What the deleted topic still held is gone: retention ends early.
#[test]
fn a_topic_recreated_is_recovered_from() {
    let scene = Scene::new("recreated");
    let sink = Sink::start(Temper::default());
    let pipeline = scene.pipeline(&[("JAEGER_ENDPOINT", &sink.endpoint())]);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    assert_delivered(&sink, &load.finish(), "before the topic is deleted");

    scene.kafka().delete_topic(&scene.topic);
    // Its absence may be too short to be seen; that nothing is in it is not.
    wait::wait_for("the topic's new life", REBALANCE_WITHIN, || {
        let kafka = scene.kafka();
        let is_whole = kafka.leader_count(&scene.topic) == PARTITIONS;
        (is_whole && kafka.ends(&scene.topic).values().all(|end| *end == 0)).then_some(())
    });
    let mut client = Client::new(&pipeline.otlp_endpoint());
    wait::wait_for("an acknowledgement", LOAD_WITHIN, || {
        let spans = otlp::trace(otlp::unique_trace_id(), 1, 10);
        client.export(&otlp::request(&scene.service, spans)).ok()
    });
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    assert_delivered(&sink, &load.finish(), "after the topic came back");
    await_all_committed(&scene, scene.kafka());
}

/// A committed offset that the topic does not have, because records expired or the topic is a new
/// one: forwarding starts with the first record there is, rather than after the last, and the reset
/// is counted.
#[test]
fn an_offset_out_of_range_starts_from_the_earliest() {
    let scene = Scene::new("range");
    scene.kafka().create_topic(&scene.topic, 2);
    produce_traces(&scene, 0..2);
    scene.kafka().commit(&scene.group, &scene.topic, 2, 1_000_000);
    let sink = Sink::start(Temper::default());
    let forward = scene.pipeline(&[("ROLE", "forward"), ("JAEGER_ENDPOINT", &sink.endpoint())]);
    wait::wait_for("what the topic holds", DELIVERED_WITHIN, || {
        (sink.span_counts().0 == 2).then_some(())
    });
    wait::wait_for("offsets that the topic has", DELIVERED_WITHIN, || {
        let committed = scene.kafka().committed(&scene.group, &scene.topic);
        committed.values().eq(&[1, 1]).then_some(())
    });
    assert_eq!(forward.metric("forward_offset_resets_total"), 2.0, "one per partition");
}

/// The node that coordinates the group is killed under load, and then the whole cluster restarts:
/// every acknowledged span arrives, and the offsets reach the end.
#[test]
fn a_lost_coordinator_and_a_restart_are_survived() {
    let scene = Scene::new("coordinator");
    let mut kafka = Kafka::start(KafkaOptions::nodes(3));
    let sink = Sink::start(SLOW_AND_FALLIBLE);
    let settings = [("JAEGER_ENDPOINT", &*sink.endpoint()), SHORT_SESSION];
    let mut pipeline = scene.pipeline_on(&kafka, &settings);
    let load = Load::start(&pipeline.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    await_work(&pipeline);
    kafka.kill_9_node(kafka.coordinator_of(&scene.group));
    await_acknowledged(&load, TRACES);
    kafka.kill_9();
    kafka.restart();
    await_acknowledged(&load, TRACES);

    assert_delivered(&sink, &load.finish(), "the coordinator dies, then every broker");
    await_all_committed(&scene, &kafka);
    assert!(pipeline.is_running());
}

/// Waits for so many more acknowledged traces.
fn await_acknowledged(load: &Load, trace_count: usize) {
    let wanted = load.acknowledged_count() + trace_count;
    wait::wait_for("acknowledged traces", LOAD_WITHIN, || {
        (load.acknowledged_count() >= wanted).then_some(())
    });
}

fn await_members(scene: &Scene, count: usize) {
    wait::wait_for("the group's members", REBALANCE_WITHIN, || {
        scene.kafka().stable_member_count(&scene.group).filter(|found| *found == count)
    });
}

/// Waits until a member has forwarded something.
fn await_work(pipeline: &Pipeline) {
    wait::wait_for("a member to forward", REBALANCE_WITHIN, || {
        (pipeline.metric("forward_batches_total") > 0.0).then_some(())
    });
}

/// Waits until every acknowledged span is at the sink, and tells how many came again.
#[expect(clippy::print_stdout, reason = "figures for people; the harness keeps them unless asked")]
fn assert_delivered(sink: &Sink, acknowledged: &[[u8; 16]], what: &str) {
    let missing_count = || sink.missing_count(acknowledged, SPANS_PER_TRACE);
    let complete = wait::poll(DELIVERED_WITHIN, || (missing_count() == 0).then_some(()));
    assert_eq!(complete, Some(()), "{} of {} are missing", missing_count(), acknowledged.len());
    let (spans, duplicates) = sink.span_counts();
    println!("{what}: {spans} spans arrived, {duplicates} of them again");
}

/// Waits until the group has committed the end of every partition.
fn await_all_committed(scene: &Scene, kafka: &Kafka) {
    wait::wait_for("committed ends", DELIVERED_WITHIN, || {
        let committed = kafka.committed(&scene.group, &scene.topic);
        let ends = kafka.ends(&scene.topic);
        let behind = ends
            .iter()
            .filter(|(partition, end)| **end > 0 && committed.get(*partition) != Some(*end));
        (behind.count() == 0).then_some(())
    });
}

/// Writes a trace of one span to each of these partitions.
fn produce_traces(scene: &Scene, partitions: Range<i32>) {
    for partition in partitions {
        let spans = otlp::trace(otlp::unique_trace_id(), 1, 10);
        let value = otlp::request(&scene.service, spans).encode_to_vec();
        scene.kafka().produce(&scene.topic, partition, &[(None, Some(&value))]);
    }
}
