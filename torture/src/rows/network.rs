//! Between pipeline and broker: latency, cut connections, connections that fall silent.
//!
//! Oracle: every attempt has its reply before a client's own timer ends it, whatever the broker
//! does, also where the client sends nothing again; when the network is well again everything is
//! acknowledged; LOST 0.

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
    // What SDKs take, a second more than OTLP_REPLY_DEADLINE: who answers in time leaves no client
    // to its own timer. A short play runs on whatever machine there is, where client and pipeline
    // may wait for a core that long.
    let timeout = if short { "12s" } else { "10s" };
    let arguments = ["--duration", duration, "--timeout", timeout];
    let load =
        stand.load(&pipeline, &[&arguments[..], &["--rate", "5k", "--retry", "90s"]].concat());
    let impatient = stand.load(&pipeline, &[&arguments[..], &["--rate", "1k"]].concat());
    proxy.set_latency(stand.random.millis(50, 300));
    rest(Duration::from_secs(3));
    proxy.set_latency(Duration::ZERO);
    for _ in 0..3 {
        rest(stand.random.millis(200, 1500));
        proxy.cut();
    }
    proxy.set_silent(true);
    rest(stand.random.millis(12_500, 14_000));
    proxy.set_silent(false);
    let (report, impatient) = (load.finish(), impatient.finish());
    let mut outcome = stand.judge(&[&pipeline]);
    let late = report.unanswered() + impatient.unanswered();
    outcome.demand(late == 0, &format!("{late} replies came later than their deadline"));
    let told = impatient.refused_spans() + impatient.timed_out();
    outcome.demand(told > 0, "the silence was not felt: no deadline was put to the test");
    outcome.demand(impatient.only_unavailable(), "refused with another status than UNAVAILABLE");
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    outcome
}
