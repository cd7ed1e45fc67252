//! SIGTERM in the middle of a load, again and again.
//!
//! Oracle: exit code 0 within the deadline each time, LOST 0.

use std::time::Duration;

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "sigterm", fault: "SIGTERM under load", short_seconds: 40, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let mut pipeline = stand.pipeline(&[]);
    let duration = if short { "12s" } else { "25s" };
    let mut load =
        stand.load(&pipeline, &["--rate", "10k", "--duration", duration, "--retry", "60s"]);
    let mut exits = Vec::new();
    loop {
        rest(stand.random.millis(1000, 4000));
        if !load.is_running() {
            break;
        }
        stand.note_memory(&pipeline);
        pipeline.sigterm();
        exits.push(pipeline.wait_exit(EXIT_WITHIN));
        pipeline.launch_again();
    }
    load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(exits.len() >= 2, "too few ends");
    outcome.demand(exits.iter().all(|exit| exit.success()), "an end without exit code 0");
    outcome.note(format!("{} orderly ends", exits.len()));
    outcome
}

/// The default deadline of 25 s, and what a busy machine adds.
const EXIT_WITHIN: Duration = Duration::from_secs(30);
