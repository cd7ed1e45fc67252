//! SIGTERM in the middle of a load, again and again: while all is well, while the backend refuses,
//! while the group changes.
//!
//! Oracle: exit code 0 within the deadline each time, every span acknowledged in the end, LOST 0.

use std::{process::ExitStatus, time::Duration};

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "sigterm", fault: "SIGTERM under load", short_seconds: 80, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let mut pipeline = stand.pipeline(&[]);
    let duration = if short { "45s" } else { "60s" };
    let mut load =
        stand.load(&pipeline, &["--rate", "10k", "--duration", duration, "--retry", "60s"]);
    let mut exits = Vec::new();
    for situation in [Situation::Well, Situation::BackendAway, Situation::Rebalance].iter().cycle()
    {
        rest(stand.random.millis(1000, 3000));
        if !load.is_running() {
            break;
        }
        stand.note_memory(&pipeline);
        exits.extend(situation.end(&stand, &mut pipeline));
        pipeline.launch_again();
    }
    let report = load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(exits.len() >= 4, "too few ends: a situation did not occur");
    outcome.demand(exits.iter().all(ExitStatus::success), "an end without exit code 0");
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    outcome.note(format!("{} orderly ends", exits.len()));
    outcome
}

/// What goes on when the signal comes.
enum Situation {
    Well,
    BackendAway,
    /// A second member joins; it is asked to end next.
    Rebalance,
}

impl Situation {
    fn end(&self, stand: &Stand, pipeline: &mut Pipeline) -> Vec<ExitStatus> {
        match self {
            Self::Well => vec![end(pipeline)],
            Self::BackendAway => {
                let failing = stand.fail_backend(&["--retry-info", "500ms"]);
                let retried = "forward_retries_total";
                wait::wait_for("a retry", READY_WITHIN, || {
                    (pipeline.answers() && pipeline.metric(retried) > 0.0).then_some(())
                });
                let exit = end(pipeline);
                drop(failing);
                stand.mend_backend();
                vec![exit]
            }
            Self::Rebalance => {
                wait::wait_for("the first", READY_WITHIN, || pipeline.is_ready().then_some(()));
                let mut second = stand.launch(&[], &[("ROLE", "forward")]);
                // The group has begun to make room for it, or is about to.
                wait::wait_for("its page", READY_WITHIN, || second.answers().then_some(()));
                vec![end(pipeline), end(&mut second)]
            }
        }
    }
}

fn end(pipeline: &mut Pipeline) -> ExitStatus {
    // Before that nobody listens to signals.
    wait::wait_for("its page", READY_WITHIN, || pipeline.answers().then_some(()));
    pipeline.sigterm();
    pipeline.wait_exit(EXIT_WITHIN)
}

const READY_WITHIN: Duration = Duration::from_secs(60);
/// The default deadline of 25 s, and what a busy machine adds.
const EXIT_WITHIN: Duration = Duration::from_secs(30);
