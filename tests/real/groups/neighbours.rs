//! Our members beside others in one group: another client, another assignor, their successors.

use std::{collections::HashSet, time::Duration};

use rdkafka::{
    Message, TopicPartitionList,
    consumer::{BaseConsumer, CommitMode, Consumer},
};

use super::{
    CONNECTIONS, DELIVERED_WITHIN, EXIT_WITHIN, LOAD_WITHIN, REBALANCE_WITHIN, SHORT_SESSION,
    SLOW_AND_FALLIBLE, TRACES, assert_delivered, await_acknowledged, await_all_committed,
    await_members, await_work, produce_traces,
};
use crate::support::{
    load::{Load, SPANS_PER_TRACE},
    otlp::hex,
    scene::Scene,
    sink::{Sink, Temper},
    wait,
};

/// A plain client with the same assignor shares the partitions: each acknowledged trace is with one
/// of the two, and what it leaves goes on with us. What it can see of us in the group is the
/// protocol's name and our commits without metadata: members of another version must find the same.
#[test]
fn a_plain_client_shares_the_partitions() {
    let scene = Scene::new("neighbour");
    let sink = Sink::start(SLOW_AND_FALLIBLE);
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let settings = [("ROLE", "forward"), ("FORWARD_THREADS", "1"), SHORT_SESSION];
    let forward =
        scene.pipeline(&[&settings[..], &[("JAEGER_ENDPOINT", &sink.endpoint())]].concat());
    let mut neighbour = Neighbour::join(&scene, "cooperative-sticky");
    neighbour.serve_until("two members", |_| {
        scene.kafka().stable_member_count(&scene.group).filter(|count| *count == 2)
    });
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_work(&forward);
    let wanted = load.acknowledged_count() + TRACES;
    // The group is stable as well while the neighbour still waits for what others give up.
    neighbour.serve_until("acknowledged traces, and a share of them", |noted| {
        (load.acknowledged_count() >= wanted && !noted.is_empty()).then_some(())
    });
    assert_eq!(neighbour.protocol(&scene).as_deref(), Some("cooperative-sticky"));

    let noted = neighbour.leave();
    let mut ours = load.finish();
    ours.retain(|id| !noted.contains(hex(id).as_bytes()));
    let missing_count = || sink.missing_count(&ours, SPANS_PER_TRACE);
    let complete = wait::poll(DELIVERED_WITHIN, || (missing_count() == 0).then_some(()));
    assert_eq!(complete, Some(()), "{} of {} are missing", missing_count(), ours.len());
    await_all_committed(&scene, scene.kafka());
    assert_eq!(commit_metadata(&scene), HashSet::from([String::new()]));
}

/// A member with another assignor keeps us out: we say so, with where to read on, and take over
/// what the topic holds once it has gone.
#[test]
fn another_assignor_is_told_apart() {
    let scene = Scene::new("assignor");
    scene.kafka().create_topic(&scene.topic, 2);
    let sink = Sink::start(Temper::default());
    let mut neighbour = Neighbour::join(&scene, "range");
    neighbour.serve_until("its membership", |_| {
        scene.kafka().stable_member_count(&scene.group).filter(|count| *count == 1)
    });
    // Readiness of both roles together is that of receiving.
    let pipeline = scene.pipeline(&[("JAEGER_ENDPOINT", &sink.endpoint())]);
    wait::wait_for("the error", REBALANCE_WITHIN, || {
        pipeline.log().contains("docs/OPERATIONS.md#another-assignor").then_some(())
    });
    drop(neighbour.leave());
    produce_traces(&scene, 0..2);
    wait::wait_for("what the topic holds", DELIVERED_WITHIN, || {
        (sink.span_counts().0 == 2).then_some(())
    });
}

/// Every member is replaced by a new one under load, one after the other, as a rolling update does.
#[test]
fn members_are_replaced_one_by_one() {
    let scene = Scene::new("rolling");
    let sink = Sink::start(SLOW_AND_FALLIBLE);
    let endpoint = sink.endpoint();
    let member = || {
        let settings = [("ROLE", "forward"), ("FORWARD_THREADS", "1"), SHORT_SESSION];
        scene.pipeline(&[&settings[..], &[("JAEGER_ENDPOINT", &endpoint)]].concat())
    };
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let old = [member(), member()];
    await_members(&scene, old.len());
    let load = Load::start(&receive.otlp_endpoint(), &scene.service, CONNECTIONS);
    await_acknowledged(&load, TRACES);
    let mut new = Vec::new();
    for mut member_of_old in old {
        new.push(member());
        member_of_old.sigterm();
        assert!(member_of_old.wait_exit(EXIT_WITHIN).success());
        await_acknowledged(&load, TRACES);
    }
    new.iter().for_each(await_work);
    assert_delivered(&sink, &load.finish(), "members are replaced one by one");
    await_all_committed(&scene, scene.kafka());
}

/// A plain consumer that notes the keys of its records. Whoever waits must serve it meanwhile.
struct Neighbour {
    consumer: BaseConsumer,
    noted: HashSet<Vec<u8>>,
}

impl Neighbour {
    fn join(scene: &Scene, assignor: &str) -> Self {
        let consumer: BaseConsumer = scene
            .kafka()
            .client()
            .set("group.id", &scene.group)
            .set("partition.assignment.strategy", assignor)
            .set("auto.offset.reset", "earliest")
            .set("session.timeout.ms", "6000")
            // Only what is noted is committed.
            .set("enable.auto.commit", "false")
            .create()
            .expect("the settings are valid");
        consumer.subscribe(&[&scene.topic]).expect("the name is valid");
        Self { consumer, noted: HashSet::new() }
    }

    /// Consumes until `look`, which is shown what was noted, finds something.
    fn serve_until<T>(
        &mut self,
        what: &str,
        mut look: impl FnMut(&HashSet<Vec<u8>>) -> Option<T>,
    ) -> T {
        wait::wait_for(what, LOAD_WITHIN, || {
            while let Some(polled) = self.consumer.poll(Duration::from_millis(10)) {
                // What is transient is left to the deadline.
                let Ok(record) = polled else { break };
                self.noted.insert(record.key().expect("records have keys here").to_vec());
                self.consumer.commit_message(&record, CommitMode::Async).expect("it is a member");
            }
            look(&self.noted)
        })
    }

    /// The assignor that the group has agreed upon.
    fn protocol(&self, scene: &Scene) -> Option<String> {
        let groups = self.consumer.fetch_group_list(Some(&scene.group), REBALANCE_WITHIN).ok()?;
        groups.groups().first().map(|group| group.protocol().to_owned())
    }

    /// Leaves the group, with what it has noted.
    fn leave(self) -> HashSet<Vec<u8>> {
        self.noted
    }
}

/// What stands beside the offsets that the group has committed.
fn commit_metadata(scene: &Scene) -> HashSet<String> {
    let consumer: BaseConsumer = scene
        .kafka()
        .client()
        .set("group.id", &scene.group)
        .create()
        .expect("the settings are valid");
    let mut list = TopicPartitionList::new();
    for partition in scene.kafka().committed(&scene.group, &scene.topic).keys() {
        list.add_partition(&scene.topic, *partition);
    }
    let committed = consumer.committed_offsets(list, REBALANCE_WITHIN).expect("it answers");
    committed.elements().iter().map(|element| element.metadata().to_owned()).collect()
}
