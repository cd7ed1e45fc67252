//! The only broker is killed under load and comes back.
//!
//! Oracle: ten seconds after it is back the same process is ready and has acknowledged something
//! new; every span is acknowledged in the end; LOST 0.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, wait};

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
    let mut recovered = true;
    for _ in 0..if short { 1 } else { 3 } {
        rest(stand.random.millis(1500, 4000));
        stand.kafka.kill_9();
        rest(stand.random.millis(100, 3000));
        let before = acknowledged(&pipeline);
        stand.kafka.restart();
        let goes_on = || pipeline.is_ready() && acknowledged(&pipeline) > before;
        recovered &= wait::poll(RECOVERY_WITHIN, || goes_on().then_some(())).is_some();
    }
    let report = load.finish();
    let running = pipeline.is_running();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(running, "the pipeline ended");
    outcome.demand(recovered, "nothing was acknowledged 10 s after the broker was back");
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    outcome
}

fn acknowledged(pipeline: &Pipeline) -> f64 {
    pipeline.metric_where("receive_requests_total", "outcome=\"acknowledged\"")
}

const RECOVERY_WITHIN: Duration = Duration::from_secs(10);
