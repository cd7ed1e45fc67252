//! The topic is deleted under load.
//!
//! Oracle: the pipeline creates it again by itself, acknowledges every span of the load in the end,
//! and of what it acknowledges then LOST is 0. What the old topic still held is gone with it, as
//! after retention, acknowledged or not: the load that meets the deletion is not judged for it. The
//! counter of offsets out of range tells of the new topic.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Report, Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "recreated",
    fault: "the topic is deleted under load and comes back",
    short_seconds: 60,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[]);
    let arguments = ["--rate", "5k", "--duration", "5s", "--retry"];
    let mut reports = vec![stand.load(&pipeline, &arguments).finish()];
    wait::wait_for("everything forwarded", BACK_WITHIN, || {
        (pipeline.metric("forward_lag_records") == 0.0).then_some(())
    });
    let met = stand.load_unjudged(&pipeline, &["--rate", "5k", "--duration", "15s", "--retry"]);
    rest(stand.random.millis(2000, 5000));
    stand.kafka.delete_topic(TOPIC);
    wait::wait_for("the topic's new life", BACK_WITHIN, || {
        (stand.kafka.leader_count(TOPIC) == PARTITIONS).then_some(())
    });
    reports.push(met.finish());
    wait::wait_for("readiness", BACK_WITHIN, || pipeline.is_ready().then_some(()));
    reports.push(stand.load(&pipeline, &arguments).finish());
    let resets = pipeline.metric("forward_offset_resets_total");
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(resets > 0.0, "no position went with the topic: it was never deleted");
    outcome.demand(reports.iter().all(Report::served), "not every span was acknowledged");
    outcome
}

const TOPIC: &str = "otel.traces";
const PARTITIONS: usize = 8;
const BACK_WITHIN: Duration = Duration::from_secs(60);
