//! There is no broker when the pipeline starts.
//!
//! Oracle: not ready; every request is refused with UNAVAILABLE; ten seconds after the broker is
//! there, the same process is ready; then everything is acknowledged and nothing lost.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row =
    Row { name: "absent", fault: "no broker at the start", short_seconds: 35, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    stand.kafka.kill_9();
    let pipeline = stand.launch(&[], &[]);
    wait::wait_for("the page", START_WITHIN, || pipeline.answers().then_some(()));
    let ready_early = pipeline.is_ready();
    // Nothing of this load may be acknowledged.
    let arguments = ["--rate", "1k", "--duration", "3s", "--timeout", "15s"];
    let refused = stand.load(&pipeline, &arguments).finish();

    stand.kafka.restart();
    let recovered = wait::poll(RECOVERY_WITHIN, || pipeline.is_ready().then_some(()));
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "5s", "--retry"]);
    let report = load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(!ready_early, "ready without a broker");
    outcome.demand(refused.turned_away(), "answered with something else than UNAVAILABLE");
    outcome.demand(report.served(), "not everything was acknowledged with the broker there");
    outcome.demand(recovered.is_some(), "not ready 10 s after the broker was");
    outcome
}

const START_WITHIN: Duration = Duration::from_secs(30);
const RECOVERY_WITHIN: Duration = Duration::from_secs(10);
