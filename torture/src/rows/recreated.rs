//! The topic is deleted under the pipeline.
//!
//! Oracle: the pipeline creates it again, and of what it acknowledges then LOST is 0. What the old
//! topic still held is gone with it, as after retention: only the second load is judged.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row = Row {
    name: "recreated",
    fault: "the topic is deleted and comes back",
    short_seconds: 50,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let mut pipeline = stand.pipeline(&[]);
    stand.load(&pipeline, &["--rate", "5k", "--duration", "3s", "--retry"]).finish();
    wait::wait_for("everything forwarded", BACK_WITHIN, || {
        (pipeline.metric("forward_lag_records") == 0.0).then_some(())
    });
    stand.kafka.delete_topic(TOPIC);
    for leaders in [0, PARTITIONS] {
        wait::wait_for("the topic's end and its new life", BACK_WITHIN, || {
            (stand.kafka.leader_count(TOPIC) == leaders).then_some(())
        });
    }
    wait::wait_for("readiness", BACK_WITHIN, || pipeline.is_ready().then_some(()));
    stand.load(&pipeline, &["--rate", "5k", "--duration", "5s", "--retry"]).finish();
    let running = pipeline.is_running();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(running, "the pipeline ended");
    outcome
}

const TOPIC: &str = "otel.traces";
const PARTITIONS: usize = 8;
const BACK_WITHIN: Duration = Duration::from_secs(60);
