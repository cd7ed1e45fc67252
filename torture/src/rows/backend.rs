//! The backend refuses, is overloaded, and is away for longer than Kafka lets a consumer rest.
//!
//! Oracle: every span is acknowledged at its first attempt, lag grows with what comes in and memory
//! does not, what waited is forwarded at twice the rate it came in, LOST 0.

use std::time::{Duration, Instant};

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{self, Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "backend", fault: "the backend refuses, then is away", short_seconds: 90, play };

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    // Six times the longest rest between two polls passes without the backend.
    // Four times in a short play: the process itself may rest for five seconds.
    let (rest_millis, phase, duration) =
        if short { (9_000, 12, "38s") } else { (30_000, 60, "182s") };
    let phase = Duration::from_secs(phase);
    let consumer = format!("session.timeout.ms=6000,max.poll.interval.ms={rest_millis}");
    let pipeline = stand.pipeline(&[
        ("KAFKA_CONSUMER_CONFIG", consumer.as_str()),
        ("FORWARD_RETRY_BACKOFF_MAX", "1s"),
    ]);
    let began = Instant::now();
    let load = stand.load(&pipeline, &["--rate", "10k", "--duration", duration]);
    let unavailable = stand.fail_backend(&["--retry-info", "500ms"]);
    rest(phase);
    let grown = RECORDS_PER_SECOND * phase.as_secs_f64() * GROWTH_MIN;
    let lag_after = |before: f64| stand::lag_once_told(&pipeline, before + grown);
    let mut lags = vec![0.0, lag_after(0.0)];
    drop(unavailable);
    let exhausted = stand.fail_backend(&["--fail-code", "8", "--retry-info", "500ms"]);
    rest(phase);
    lags.push(lag_after(lags[1]));
    drop(exhausted);
    rest(phase);
    lags.push(lag_after(lags[2]));
    let report = load.finish();
    let away = began.elapsed();

    stand.mend_backend();
    let back = Instant::now();
    let drained = wait::poll(DRAINED_WITHIN, || {
        (pipeline.metric("forward_lag_records") == 0.0).then(|| back.elapsed())
    });
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(report.served(), "ingest was not served because of the backend");
    let grew = lags.windows(2).all(|two| two[1] - two[0] >= grown);
    outcome.demand(grew, &format!("lag did not grow with what came in: {lags:?}"));
    outcome.demand_bounded_memory();
    let fast = drained.is_some_and(|drained| drained * 2 <= away);
    outcome.demand(fast, "drained at less than twice the rate of ingest");
    let took = drained.unwrap_or(DRAINED_WITHIN);
    outcome.note(format!("what came in {away:.0?} was drained in {took:.0?}"));
    outcome
}

/// 10,000 spans, eight to a trace, a trace to a record.
const RECORDS_PER_SECOND: f64 = 1250.0;
/// Of what came in during a phase.
const GROWTH_MIN: f64 = 0.5;
const DRAINED_WITHIN: Duration = Duration::from_secs(120);
