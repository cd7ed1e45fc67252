//! The process may open 64 files, and two hundred clients connect.
//!
//! Oracle: it lives, is well when they have gone, LOST 0.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row =
    Row { name: "descriptors", fault: "64 file descriptors, 200 clients", short_seconds: 40, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let limited = ["sh", "-c", "ulimit -n 64 && exec \"$0\""];
    let mut pipeline = stand.launch(&limited, &[]);
    wait::wait_for("the pipeline", READY_WITHIN, || pipeline.is_ready().then_some(()));
    let arguments = ["--rate", "2k", "--duration", "8s", "--connections", "200"];
    let crowd = stand.load(&pipeline, &[&arguments[..], &["--spans-per-request", "16"]].concat());
    crowd.finish();
    let ready = wait::poll(READY_WITHIN, || pipeline.is_ready().then_some(()));
    stand.load(&pipeline, &["--rate", "2k", "--duration", "3s", "--retry"]).finish();
    let running = pipeline.is_running();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(running, "the pipeline ended");
    outcome.demand(ready.is_some(), "not ready after the crowd had gone");
    outcome
}

const READY_WITHIN: Duration = Duration::from_secs(60);
