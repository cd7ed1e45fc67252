//! More spans than the broker, or the backend, can take.
//!
//! A proxy limits the broker to about 30,000 spans/s, to half of it in a short play, and a closed
//! loop must find about that. Oracle: twice and ten times of it are really offered; goodput stays
//! within 10 % of it; what is too much is refused with UNAVAILABLE, and some is; at ten times the
//! process holds hardly more memory than at twice, and less than 256 MiB; each second it says that
//! it is healthy and ready; afterwards every span of a light load is acknowledged. A backend at a
//! tenth of the rate is lag and nothing else.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, port};

use super::Row;
use crate::{
    outcome::Outcome,
    proxy::Proxy,
    random::Random,
    stand::{self, Report, Stand, rest},
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
    // Ten times of it must come from whatever machine there is.
    let (seconds, bytes_per_second) =
        if short { (8, bytes_per_second / 2) } else { (15, bytes_per_second) };
    let duration = format!("{seconds}s");
    proxy.set_bandwidth(bytes_per_second);
    let knee = stand.load(&pipeline, &["--in-flight", "64", "--duration", &duration]).finish();
    let knee = knee.goodput();
    let twice = offer(&mut stand, &pipeline, knee * 2.0, seconds);
    let tenfold = offer(&mut stand, &pipeline, knee * 10.0, seconds);
    let light = offer(&mut stand, &pipeline, knee / 4.0, 4);
    proxy.set_bandwidth(0);

    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    outcome.note(format!("knee {knee:.0} spans/s"));
    let off = knee * SPAN_BYTES / bytes_per_second as f64 - 1.0;
    outcome.demand(off.abs() <= KNEE_OFF_MAX, "the knee is not what the broker takes");
    judge_phase(&mut outcome, "2x", &twice, knee, 2.0);
    judge_phase(&mut outcome, "10x", &tenfold, knee, 10.0);
    judge_memory(&mut outcome, &twice, &tenfold);
    outcome.demand(light.report.served(), "a light load was not served after the overload");
    outcome.demand_bounded_memory();
    outcome
}

/// Demands of a phase that offered so many times the knee.
fn judge_phase(outcome: &mut Outcome, what: &str, phase: &Phase, knee: f64, times: f64) {
    let Phase { report, seconds, .. } = phase;
    let offered = report.generated() as f64 / *seconds as f64 / knee;
    let kept = report.goodput() / knee;
    outcome.note(format!(
        "{what}: goodput {:.0} % of the knee, {offered:.1} times offered, {} of {} looks green",
        kept * 100.0,
        phase.green,
        phase.looks,
    ));
    outcome.demand(offered >= times * OFFERED_MIN, &format!("{what}: was not offered"));
    outcome.demand(kept >= GOODPUT_MIN, &format!("{what}: goodput collapsed"));
    outcome.demand(phase.is_green(), &format!("{what}: not healthy throughout"));
    outcome.demand(report.timed_out() == 0, &format!("{what}: requests timed out"));
    outcome.demand(report.refused_spans() > 0, &format!("{what}: nothing was refused"));
    outcome.demand(report.only_unavailable(), &format!("{what}: another status"));
}

/// Memory follows the budget, not the load.
fn judge_memory(outcome: &mut Outcome, twice: &Phase, tenfold: &Phase) {
    let [at_twice, at_tenfold] = [twice, tenfold].map(|phase| phase.rss_bytes >> 20);
    outcome.note(format!("RSS {at_twice} MiB at the end of 2x, {at_tenfold} MiB of 10x"));
    outcome.demand(at_twice > 0, "nobody told the memory at 2x");
    outcome.demand(at_tenfold <= at_twice + RSS_MIB_MORE, "10x: memory grew with the load");
}

fn play_backend(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    stand.backend.set_bandwidth(BACKEND_BYTES_PER_SECOND);
    // Small enough to pass within the request timeout.
    let pipeline =
        stand.pipeline(&[("FORWARD_BATCH_BYTES", "256KiB"), ("KAFKA_RECORD_BYTES_MAX", "128KiB")]);
    let phase = offer(&mut stand, &pipeline, 10_000.0, if short { 10 } else { 20 });
    let records = pipeline.metric("publish_records_total");
    let lag = stand::lag_once_told(&pipeline, records / 2.0);
    stand.mend_backend();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(phase.report.served(), "ingest suffered because of the backend");
    outcome.demand(phase.is_green(), "not healthy throughout because of the backend");
    outcome.demand(lag >= records / 2.0, "less than half was behind: the backend was not slow");
    outcome.demand_bounded_memory();
    outcome.note(format!(
        "{lag:.0} of {records:.0} records behind; {} spans refused, {} timed out",
        phase.report.refused_spans(),
        phase.report.timed_out(),
    ));
    outcome
}

/// A stand whose broker is reached through the proxy alone.
pub(super) fn throttled(random: Random) -> (Proxy, Stand) {
    let proxy = Proxy::start(port::free());
    let stand = Stand::behind(&proxy, random);
    (proxy, stand)
}

/// One phase of an overload, and what was seen of the process meanwhile.
struct Phase {
    report: Report,
    seconds: u64,
    looks: u64,
    /// Looks at which the process said that it was healthy and ready.
    green: u64,
    /// Memory held at the last look.
    rss_bytes: u64,
}

impl Phase {
    /// True when it said so at every look, and there were looks in all of the time.
    fn is_green(&self) -> bool {
        self.green == self.looks && self.looks >= self.seconds / 2
    }
}

/// Offers a load at a rate and looks at the process each second.
fn offer(stand: &mut Stand, pipeline: &Pipeline, rate: f64, seconds: u64) -> Phase {
    let (rate, duration) = (format!("{rate:.0}"), format!("{seconds}s"));
    let mut load = stand.load(pipeline, &["--rate", &rate, "--duration", &duration]);
    let (mut looks, mut green, mut rss_bytes) = (0, 0, 0);
    loop {
        rest(Duration::from_secs(1));
        if !load.is_running() {
            return Phase { report: load.finish(), seconds, looks, green, rss_bytes };
        }
        looks += 1;
        green += u64::from(pipeline.is_green());
        rss_bytes = pipeline.memory_bytes().unwrap_or(0);
    }
}

/// 30,000 spans/s.
const BYTES_PER_SECOND: u64 = 10_000_000;
/// A span of 290 B, its part of the key and of the framing of its record.
const SPAN_BYTES: f64 = 333.0;
/// What the pipe holds at the start and the end of the load, and records that are not full.
const KNEE_OFF_MAX: f64 = 0.25;
/// The generator starts late when it waits for a core.
const OFFERED_MIN: f64 = 0.9;
/// What the same budget may cost more when it is filled from more requests at a time.
const RSS_MIB_MORE: u64 = 32;
/// 1,000 spans/s of 290 B.
const BACKEND_BYTES_PER_SECOND: u64 = 300_000;
const GOODPUT_MIN: f64 = 0.9;
