//! More spans than the broker, or the backend, can take.
//!
//! A proxy limits the broker to about 30,000 spans/s. Oracle: goodput at twice and ten times that
//! is within 10 % of what a closed loop found; what is too much is refused with UNAVAILABLE; memory
//! stays below 256 MiB; the process says that it is healthy; afterwards a light load is refused
//! nothing. A backend at a tenth of the rate is lag and nothing else.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, port};

use super::Row;
use crate::{
    outcome::Outcome,
    proxy::Proxy,
    random::Random,
    stand::{Report, Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "overload", fault: "2x and 10x what the broker takes", short_seconds: 80, play };

/// At this rate the whole budget of bytes in flight is twelve seconds of queue, more than any
/// client waits: without admission that follows Kafka's pace, goodput collapses here.
pub(super) const SLOW_ROW: Row = Row {
    name: "overload-slow",
    fault: "2x and 10x what a slower broker takes",
    short_seconds: 80,
    play: |random, short| play_at(BYTES_PER_SECOND / 2, random, short),
};

pub(super) const BACKEND_ROW: Row = Row {
    name: "overload-backend",
    fault: "a backend at a tenth of the rate",
    short_seconds: 45,
    play: play_backend,
};

fn play(random: Random, short: bool) -> Outcome {
    play_at(BYTES_PER_SECOND, random, short)
}

fn play_at(bytes_per_second: u64, random: Random, short: bool) -> Outcome {
    let (proxy, mut stand) = throttled(random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let duration = if short { "8s" } else { "15s" };
    proxy.set_bandwidth(bytes_per_second);
    let knee = stand.load(&pipeline, &["--in-flight", "64", "--duration", duration]).finish();
    let twice = offer(&mut stand, &pipeline, knee.goodput() * 2.0, duration);
    let tenfold = offer(&mut stand, &pipeline, knee.goodput() * 10.0, duration);
    let light = offer(&mut stand, &pipeline, knee.goodput() / 4.0, "4s");
    proxy.set_bandwidth(0);

    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    outcome.note(format!("knee {:.0} spans/s", knee.goodput()));
    for (what, report) in [("2x", &twice), ("10x", &tenfold)] {
        let ratio = report.phase.goodput() / knee.goodput();
        outcome.note(format!("{what}: goodput {:.0} % of the knee", ratio * 100.0));
        outcome.demand(ratio >= GOODPUT_MIN, &format!("{what}: goodput collapsed"));
        outcome.demand(report.healthy, &format!("{what}: not healthy"));
        outcome.demand(report.phase.timed_out() == 0, &format!("{what}: requests timed out"));
        outcome.demand(report.phase.only_unavailable(), &format!("{what}: another status"));
    }
    let refused = light.phase.refused_spans();
    outcome.demand(refused == 0, "a light load was refused after the overload");
    outcome.demand_bounded_memory();
    outcome
}

fn play_backend(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    stand.backend.set_bandwidth(BACKEND_BYTES_PER_SECOND);
    // Small enough to pass within the request timeout.
    let pipeline =
        stand.pipeline(&[("FORWARD_BATCH_BYTES", "256KiB"), ("KAFKA_RECORD_BYTES_MAX", "128KiB")]);
    let duration = if short { "10s" } else { "20s" };
    let load = stand.load(&pipeline, &["--rate", "20k", "--duration", duration]);
    let report = load.finish();
    let healthy = pipeline.is_ready();
    let lag = pipeline.metric("forward_lag_records");
    stand.mend_backend();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(report.refused().is_empty(), "ingest was refused because of the backend");
    outcome.demand(report.timed_out() == 0, "requests timed out because of the backend");
    outcome.demand(healthy, "not ready because of the backend");
    outcome.demand(lag > 0.0, "there was no lag: the backend was not slow");
    outcome.demand_bounded_memory();
    outcome.note(format!("{lag:.0} records behind"));
    outcome
}

/// A stand whose broker is reached through the proxy alone.
pub(super) fn throttled(random: Random) -> (Proxy, Stand) {
    let proxy = Proxy::start(port::free());
    let stand = Stand::behind(&proxy, random);
    (proxy, stand)
}

/// One phase of an overload, and what the process said in its middle.
struct Phase {
    phase: Report,
    healthy: bool,
}

fn offer(stand: &mut Stand, pipeline: &Pipeline, rate: f64, duration: &str) -> Phase {
    let rate = format!("{rate:.0}");
    let load = stand.load(pipeline, &["--rate", &rate, "--duration", duration]);
    rest(Duration::from_secs(3));
    let healthy = pipeline.is_ready();
    Phase { phase: load.finish(), healthy }
}

/// 30,000 spans of 290 B, their keys and the framing of their records.
const BYTES_PER_SECOND: u64 = 10_000_000;
/// 2,000 spans/s of 290 B.
const BACKEND_BYTES_PER_SECOND: u64 = 600_000;
const GOODPUT_MIN: f64 = 0.9;
