//! The receiving process is killed at random moments under load.
//!
//! Oracle: LOST 0. Whatever it had acknowledged is in Kafka; the rest the client sends again.

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row =
    Row { name: "receiver", fault: "kill -9 of the receiver", short_seconds: 40, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let mut receiver = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let duration = if short { "12s" } else { "25s" };
    let mut load =
        stand.load(&receiver, &["--rate", "10k", "--duration", duration, "--retry", "60s"]);
    let kills = stand.kill_while(&mut load, &mut receiver, 800..3500);
    let report = load.finish();
    let mut outcome = stand.judge(&[&receiver, &forwarder]);
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    outcome.demand(kills >= 3, "too few kills");
    outcome.note(format!("{kills} kills"));
    outcome
}
