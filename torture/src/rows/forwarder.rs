//! The forwarding process is killed at random moments, between send and commit among them.
//!
//! Oracle: every span is acknowledged, LOST 0, and what comes again is the same: CORRUPT 0.
//! Something comes again, or no kill fell between a send and its commit. Each life begins at what
//! was committed and keeps a partition's order, so that no span comes for the first time after a
//! later one of its trace: REORDERED 0.

use testbed::kafka::KafkaOptions;

use super::{ORDERED, Row};
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Report, Stand},
};

pub(super) const ROW: Row =
    Row { name: "forwarder", fault: "kill -9 of the forwarder", short_seconds: 45, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let receiver = stand.pipeline(&[("ROLE", "receive")]);
    // A static member is back within its session, so that every life forwards something.
    let settings = [("ROLE", "forward"), ("INSTANCE", "torture")];
    let mut forwarder = stand.pipeline(&settings);
    let duration = if short { "15s" } else { "25s" };
    let mut load = stand.load(&receiver, &["--rate", "10k", "--duration", duration, "--retry"]);
    let ordered = stand.load(&receiver, &[ORDERED, &["--duration", duration]].concat());
    let kills = stand.kill_while(&mut load, &mut forwarder, 1200..4000);
    let reports = [load.finish(), ordered.finish()];
    let mut outcome = stand.judge(&[&receiver, &forwarder]);
    let served = reports.iter().all(Report::served);
    outcome.demand(served, "not every span was acknowledged");
    outcome.demand(outcome.reordered == 0, "spans came before earlier ones of their trace");
    outcome.demand(kills >= 3, "too few kills");
    outcome.demand(outcome.duplicate > 0, "no kill fell between a send and its commit");
    outcome.note(format!("{kills} kills"));
    outcome
}
