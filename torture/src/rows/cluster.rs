//! Three brokers, three replicas, of which two must have a record: one is killed, then two.
//!
//! Oracle: with the leader killed everything is acknowledged in the end and LOST is 0; with two
//! killed every request is refused with UNAVAILABLE; when they are back all is acknowledged again.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "cluster",
    fault: "of 3 brokers the leader killed, then two",
    short_seconds: 90,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(3), random);
    // librdkafka gives a record up after 8 s and looks once a second: with the default of 9 s, one
    // that it finds late would be answered with DEADLINE_EXCEEDED.
    let pipeline = stand.pipeline(&[("OTLP_REPLY_DEADLINE", "12s")]);
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "15s", "--retry", "90s"]);
    rest(stand.random.millis(2000, 5000));
    let leader = wait::wait_for("a leader", LEADER_WITHIN, || stand.kafka.leader_of(TOPIC, 0));
    stand.kafka.kill_9_node(leader);
    let without_leader = load.finish();

    // One is left: fewer replicas than acknowledgement needs.
    stand.kafka.kill_9_node(leader % 3 + 1);
    rest(Duration::from_secs(3));
    let arguments = ["--rate", "1k", "--duration", "3s", "--timeout", "15s"];
    let refused = stand.load(&pipeline, &arguments).finish();
    stand.kafka.kill_9();
    stand.kafka.restart();
    let arguments = ["--rate", "5k", "--duration", "3s", "--retry", "90s"];
    let with_all = stand.load(&pipeline, &arguments).finish();

    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(without_leader.served(), "not everything was acknowledged by two of three");
    outcome.demand(refused.turned_away(), "answered with something else than UNAVAILABLE");
    outcome.demand(with_all.served(), "not everything was acknowledged when all were back");
    outcome
}

const TOPIC: &str = "otel.traces";
const LEADER_WITHIN: Duration = Duration::from_secs(30);
