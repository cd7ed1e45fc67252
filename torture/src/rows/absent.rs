//! There is no broker when the pipeline starts.
//!
//! Oracle: not ready; every request is refused with UNAVAILABLE; ten seconds after the broker is
//! there, the same process is ready and loses nothing.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row =
    Row { name: "absent", fault: "no broker at the start", short_seconds: 35, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    stand.kafka.kill_9();
    let mut pipeline = stand.launch(&[], &[]);
    wait::wait_for("the page", START_WITHIN, || pipeline.answers().then_some(()));
    let ready_early = pipeline.is_ready();
    // Nothing of this load may be acknowledged.
    let refused = stand.load(&pipeline, &["--rate", "1k", "--duration", "3s"]).finish();

    stand.kafka.restart();
    let recovered = wait::poll(RECOVERY_WITHIN, || pipeline.is_ready().then_some(()));
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "5s", "--retry"]);
    load.finish();
    let running = pipeline.is_running();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(!ready_early, "ready without a broker");
    outcome.demand(refused.acknowledged() == 0, "acknowledged without a broker");
    outcome.demand(refused.only_unavailable(), "refused with another status than UNAVAILABLE");
    outcome.demand(running && recovered.is_some(), "not ready 10 s after the broker was");
    outcome
}

const START_WITHIN: Duration = Duration::from_secs(30);
const RECOVERY_WITHIN: Duration = Duration::from_secs(10);
