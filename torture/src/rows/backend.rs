//! The backend refuses, is overloaded, and is away for longer than Kafka lets a consumer rest.
//!
//! Oracle: ingest is refused nothing, lag grows and memory does not, what waited is forwarded at
//! twice the rate it came in, LOST 0.

use std::time::{Duration, Instant};

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "backend", fault: "the backend refuses, then is away", short_seconds: 90, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    // Six times the longest rest between two polls passes without the backend.
    let (rest_millis, duration) = if short { (6_000, "38s") } else { (30_000, "182s") };
    let phase = Duration::from_millis(2 * rest_millis);
    let consumer = format!("session.timeout.ms=6000,max.poll.interval.ms={rest_millis}");
    let pipeline = stand.pipeline(&[
        ("KAFKA_CONSUMER_CONFIG", consumer.as_str()),
        ("FORWARD_RETRY_BACKOFF_MAX", "1s"),
    ]);
    let began = Instant::now();
    let load = stand.load(&pipeline, &["--rate", "10k", "--duration", duration]);
    let unavailable = stand.fail_backend(&["--retry-info", "500ms"]);
    rest(phase);
    drop(unavailable);
    let exhausted = stand.fail_backend(&["--fail-code", "8", "--retry-info", "500ms"]);
    rest(phase);
    drop(exhausted);
    rest(phase);
    let report = load.finish();
    let (lag, away) = (pipeline.metric("forward_lag_records"), began.elapsed());

    stand.mend_backend();
    let back = Instant::now();
    let drained = wait::poll(DRAINED_WITHIN, || {
        (pipeline.metric("forward_lag_records") == 0.0).then(|| back.elapsed())
    });
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(report.refused().is_empty(), "ingest was refused because of the backend");
    outcome.demand(lag > 0.0, "there was no lag: the backend was there");
    outcome.demand_bounded_memory();
    let fast = drained.is_some_and(|drained| drained * 2 <= away);
    outcome.demand(fast, "drained at less than twice the rate of ingest");
    let took = drained.unwrap_or(DRAINED_WITHIN);
    outcome.note(format!("what came in {away:.0?} was drained in {took:.0?}"));
    outcome
}

const DRAINED_WITHIN: Duration = Duration::from_secs(120);
