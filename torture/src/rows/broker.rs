//! The only broker is killed under load and comes back.
//!
//! Oracle: LOST 0, and the same processes go on.

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "broker",
    fault: "kill -9 of the broker, and its restart",
    short_seconds: 50,
    play,
};

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let mut pipeline = stand.pipeline(&[]);
    let duration = if short { "15s" } else { "40s" };
    let load = stand.load(&pipeline, &["--rate", "10k", "--duration", duration, "--retry", "90s"]);
    for _ in 0..if short { 1 } else { 3 } {
        rest(stand.random.millis(1500, 4000));
        stand.kafka.kill_9();
        rest(stand.random.millis(100, 3000));
        stand.kafka.restart();
    }
    let report = load.finish();
    let running = pipeline.is_running();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(running, "the pipeline ended");
    outcome.demand(report.rejected() == 0, "spans were rejected for good");
    outcome
}
