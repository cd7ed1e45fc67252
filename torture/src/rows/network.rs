//! Between pipeline and broker: latency, cut connections, connections that fall silent.
//!
//! Oracle: no reply later than its deadline, whatever the broker does; LOST 0; when the network is
//! well again so is everything else.

use std::time::Duration;

use super::{Row, overload::throttled};
use crate::{outcome::Outcome, random::Random, stand::rest};

pub(super) const ROW: Row = Row {
    name: "network",
    fault: "slow, cut and half-open broker connections",
    short_seconds: 60,
    play,
};

fn play(random: Random, short: bool) -> Outcome {
    let (proxy, mut stand) = throttled(random);
    let pipeline = stand.pipeline(&[]);
    let duration = if short { "20s" } else { "40s" };
    // Longer than OTLP_REPLY_DEADLINE: who answers in time leaves no client to its own timer.
    let arguments = ["--rate", "5k", "--duration", duration, "--timeout", "12s", "--retry", "90s"];
    let load = stand.load(&pipeline, &arguments);
    proxy.set_latency(stand.random.millis(50, 300));
    rest(Duration::from_secs(3));
    proxy.set_latency(Duration::ZERO);
    for _ in 0..3 {
        rest(stand.random.millis(200, 1500));
        proxy.cut();
    }
    proxy.set_silent(true);
    rest(stand.random.millis(10_000, 12_000));
    proxy.set_silent(false);
    let report = load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(report.timed_out() == 0, "a reply came later than its deadline");
    outcome.demand(report.rejected() == 0, "spans were rejected for good");
    outcome
}
