//! Members of the consumer group come and go every few seconds, some of them with a static name.
//!
//! Oracle: LOST 0, which no partition without an owner in the end would allow.

use testbed::{kafka::KafkaOptions, pipeline::Pipeline};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "storm",
    fault: "members join and leave every few seconds",
    short_seconds: 60,
    play,
};

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let receiver = stand.pipeline(&[("ROLE", "receive")]);
    let fixed = stand.pipeline(&[("ROLE", "forward"), ("INSTANCE", "fixed")]);
    let duration = if short { "20s" } else { "40s" };
    let mut load = stand.load(&receiver, &["--rate", "5k", "--duration", duration, "--retry"]);
    let mut members: Vec<Pipeline> = Vec::new();
    let mut changes = 0;
    while load.is_running() {
        rest(stand.random.millis(500, 2500));
        if members.len() < MEMBERS_MAX && stand.random.below(2) == 0 || members.is_empty() {
            let name = format!("member-{}", changes % 2);
            let named = [("ROLE", "forward"), ("INSTANCE", name.as_str())];
            let named = if stand.random.below(2) == 0 { &named[..1] } else { &named[..] };
            members.push(stand.launch(&[], named));
        } else {
            let mut leaving = members.remove(0);
            if stand.random.below(2) == 0 && leaving.is_running() {
                leaving.sigterm();
                // It leaves while others join: dropping it would kill it.
                members.push(leaving);
                members.rotate_right(1);
            }
        }
        changes += 1;
    }
    load.finish();
    members.clear();
    let mut outcome = stand.judge(&[&receiver, &fixed]);
    outcome.demand(changes >= 4, "too few changes");
    outcome.note(format!("{changes} changes"));
    outcome
}

const MEMBERS_MAX: usize = 3;
