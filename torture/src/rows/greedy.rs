//! One client takes all it can get, another asks for little, at a throttled broker.
//!
//! Oracle: of what the polite client asks, without ever retrying, 95 % is acknowledged, and the
//! greedy one is refused some of what it wants; LOST 0.

use super::{Row, overload::throttled};
use crate::{outcome::Outcome, random::Random};

pub(super) const ROW: Row =
    Row { name: "greedy", fault: "a greedy client beside a polite one", short_seconds: 45, play };

fn play(random: Random, _short: bool) -> Outcome {
    let (proxy, mut stand) = throttled(random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    proxy.set_bandwidth(BYTES_PER_SECOND);
    let greedy_arguments = ["--in-flight", "1000", "--connections", "1", "--duration", "12s"];
    let greedy = stand.load(&pipeline, &greedy_arguments);
    let polite_arguments = ["--rate", "2k", "--duration", "10s", "--connections", "1"];
    let polite = stand.load(&pipeline, &polite_arguments).finish();
    let greedy = greedy.finish();
    proxy.set_bandwidth(0);
    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    let asked = polite.acknowledged() + polite.refused_spans() + polite.timed_out();
    let share = polite.acknowledged() as f64 / asked.max(1) as f64;
    outcome.demand(share >= SHARE_MIN, "the polite client was starved");
    outcome.demand(greedy.refused_spans() > 0, "the greedy client was not limited");
    outcome.note(format!(
        "polite: {:.1} % acknowledged; greedy: {:.0} spans/s, {} refused",
        share * 100.0,
        greedy.goodput(),
        greedy.refused_spans(),
    ));
    outcome
}

/// About 15,000 spans/s: the greedy client alone wants more.
const BYTES_PER_SECOND: u64 = 5_000_000;
const SHARE_MIN: f64 = 0.95;
