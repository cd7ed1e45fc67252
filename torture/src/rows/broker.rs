//! The only broker is killed under load and comes back.
//!
//! Oracle: ten seconds after it is back the same process is ready and has acknowledged something
//! new; every span is acknowledged in the end; LOST 0.

use std::time::{Duration, Instant};

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
    short_seconds: 55,
    play,
};

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[]);
    // Longer than so many restarts take: who sends nothing is acknowledged nothing.
    let (kills, duration) = if short { (1, "20s") } else { (3, "60s") };
    let mut load =
        stand.load(&pipeline, &["--rate", "10k", "--duration", duration, "--retry", "90s"]);
    let mut recoveries = Vec::new();
    for _ in 0..kills {
        rest(stand.random.millis(1500, 4000));
        if !load.is_running() {
            break;
        }
        stand.kafka.kill_9();
        rest(stand.random.millis(100, 3000));
        let before = acknowledged(&pipeline);
        stand.kafka.restart();
        let goes_on = || pipeline.is_ready() && acknowledged(&pipeline) > before;
        let back = Instant::now();
        let recovered = wait::poll(RECOVERY_WITHIN, || goes_on().then_some(()));
        recoveries.push(recovered.map(|()| back.elapsed()));
    }
    let report = load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(!recoveries.is_empty(), "the load ended before the broker was killed");
    let recovered = recoveries.iter().all(Option::is_some);
    outcome.demand(recovered, "nothing was acknowledged 10 s after the broker was back");
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    let slowest = recoveries.iter().flatten().max().copied().unwrap_or_default();
    outcome.note(format!("{} kills, back within {:.1} s", recoveries.len(), slowest.as_secs_f64()));
    outcome
}

fn acknowledged(pipeline: &Pipeline) -> f64 {
    pipeline.metric("receive_requests_total{outcome=\"acknowledged\"}")
}

const RECOVERY_WITHIN: Duration = Duration::from_secs(10);
