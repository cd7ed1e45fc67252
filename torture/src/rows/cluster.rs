//! Three brokers, three replicas, of which two must have a record: one is killed, then two.
//!
//! Oracle: with the leader killed LOST 0 and the load goes on; with two killed nothing is
//! acknowledged; when they are back everything goes on.

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
    let pipeline = stand.pipeline(&[]);
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "15s", "--retry", "90s"]);
    rest(stand.random.millis(2000, 5000));
    let leader = wait::wait_for("a leader", LEADER_WITHIN, || stand.kafka.leader_of(TOPIC, 0));
    stand.kafka.kill_9_node(leader);
    let without_leader = load.finish();

    // One is left: fewer replicas than acknowledgement needs.
    stand.kafka.kill_9_node(leader % 3 + 1);
    rest(Duration::from_secs(3));
    let refused = stand.load(&pipeline, &["--rate", "1k", "--duration", "3s"]).finish();
    stand.kafka.kill_9();
    stand.kafka.restart();
    stand.load(&pipeline, &["--rate", "5k", "--duration", "3s", "--retry", "90s"]).finish();

    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(without_leader.refused().is_empty(), "refused for good with one broker down");
    outcome.demand(refused.acknowledged() == 0, "acknowledged without enough replicas");
    outcome
}

const TOPIC: &str = "otel.traces";
const LEADER_WITHIN: Duration = Duration::from_secs(30);
