//! The line that says every ten seconds what went through, while anything does.
//!
//! The arithmetic is pure: two snapshots and the time between them in, the line's fields out.

use std::time::{Duration, Instant};

use prometheus::core::Collector;

use crate::{
    internal_telemetry::{Stage, Telemetry, Window},
    limits::SUMMARY_INTERVAL,
};

/// Logs the summary when its time has come. Owned by the admin thread.
pub(super) struct SummaryLog {
    before: Snapshot,
    since: Instant,
}

impl SummaryLog {
    /// The first interval begins at `now`.
    pub(super) fn new(telemetry: &Telemetry, now: Instant) -> Self {
        Self { before: Snapshot::take(telemetry), since: now }
    }

    /// To be called about once a second.
    pub(super) fn tick(&mut self, telemetry: &Telemetry, now: Instant) {
        let elapsed = now.duration_since(self.since);
        if elapsed < SUMMARY_INTERVAL {
            return;
        }
        let after = Snapshot::take(telemetry);
        if let Some(summary) = Summary::between(&self.before, &after, elapsed) {
            summary.log(telemetry);
        }
        *self = Self { before: after, since: now };
    }
}

/// The counters of the summary at one moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Snapshot {
    spans_received: u64,
    acknowledged: u64,
    rejected: u64,
    refused_requests: u64,
    failed: u64,
    records_forwarded: u64,
    dead_letters: u64,
}

impl Snapshot {
    fn take(telemetry: &Telemetry) -> Self {
        let spans = |outcome| telemetry.publish.spans.with_label_values(&[outcome]).get();
        let records = |outcome| telemetry.forward.records.with_label_values(&[outcome]).get();
        Self {
            spans_received: telemetry.publish.spans_received.get(),
            acknowledged: spans("acknowledged"),
            rejected: spans("rejected"),
            // By requests: most are refused before anyone has counted their spans.
            refused_requests: telemetry.receive.requests.with_label_values(&["refused"]).get(),
            failed: spans("failed") + spans("timed_out") + spans("cancelled"),
            records_forwarded: records("forwarded"),
            dead_letters: records("dead_lettered"),
        }
    }
}

/// What moved between two snapshots.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Summary {
    moved: Snapshot,
    spans_per_second: u64,
}

impl Summary {
    /// `None` when nothing moved.
    fn between(before: &Snapshot, after: &Snapshot, elapsed: Duration) -> Option<Self> {
        let moved = Snapshot {
            spans_received: after.spans_received - before.spans_received,
            acknowledged: after.acknowledged - before.acknowledged,
            rejected: after.rejected - before.rejected,
            refused_requests: after.refused_requests - before.refused_requests,
            failed: after.failed - before.failed,
            records_forwarded: after.records_forwarded - before.records_forwarded,
            dead_letters: after.dead_letters - before.dead_letters,
        };
        let rate = moved.spans_received as f64 / elapsed.as_secs_f64();
        (moved != Snapshot::default()).then_some(Self { moved, spans_per_second: rate as u64 })
    }

    /// Adds what holds now: bytes in flight, the slowest replies, lag.
    fn log(&self, telemetry: &Telemetry) {
        let replies = telemetry.latency.histogram(Stage::ReceiveToReply, Window::LastTenSeconds);
        tracing::info!(
            spans_per_second = self.spans_per_second,
            acknowledged_spans = self.moved.acknowledged,
            rejected_spans = self.moved.rejected,
            failed_spans = self.moved.failed,
            refused_requests = self.moved.refused_requests,
            forwarded_records = self.moved.records_forwarded,
            dead_letters = self.moved.dead_letters,
            bytes_in_flight = telemetry.receive.bytes_in_flight.get(),
            reply_p99_us = replies.value_at_quantile(0.99) / 1_000,
            lag_records = sum(&telemetry.forward.lag_records),
            "traffic"
        );
    }
}

/// The sum over every series of a gauge.
fn sum(gauges: &impl Collector) -> i64 {
    let families = gauges.collect();
    let series = families.iter().flat_map(|family| family.get_metric());
    series.map(|metric| metric.get_gauge().get_value() as i64).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counts are differences, the rate is per second of the time that really passed.
    #[test]
    fn differences_and_rate() {
        let telemetry = Telemetry::new();
        telemetry.publish.spans_received.inc_by(7);
        let before = Snapshot::take(&telemetry);
        telemetry.publish.spans_received.inc_by(1_000);
        telemetry.publish.spans.with_label_values(&["acknowledged"]).inc_by(900);
        telemetry.publish.spans.with_label_values(&["failed"]).inc_by(60);
        telemetry.publish.spans.with_label_values(&["timed_out"]).inc_by(40);
        telemetry.receive.requests.with_label_values(&["refused"]).inc_by(3);
        telemetry.forward.records.with_label_values(&["forwarded"]).inc_by(2);
        let after = Snapshot::take(&telemetry);
        let summary = Summary::between(&before, &after, Duration::from_millis(12_500)).unwrap();
        assert_eq!(summary.spans_per_second, 80);
        let expected = Snapshot {
            spans_received: 1_000,
            acknowledged: 900,
            rejected: 0,
            refused_requests: 3,
            failed: 100,
            records_forwarded: 2,
            dead_letters: 0,
        };
        assert_eq!(summary.moved, expected);
    }

    /// Nothing moved, nothing to say, however much stands in the counters.
    #[test]
    fn idle_is_silent() {
        let telemetry = Telemetry::new();
        telemetry.publish.spans_received.inc_by(7);
        let snapshot = Snapshot::take(&telemetry);
        assert_eq!(Summary::between(&snapshot, &snapshot, SUMMARY_INTERVAL), None);
    }

    /// Lag is the sum over partitions.
    #[test]
    fn lag_sums_partitions() {
        let telemetry = Telemetry::new();
        telemetry.forward.lag_records.with_label_values(&["0"]).set(4);
        telemetry.forward.lag_records.with_label_values(&["1"]).set(5);
        assert_eq!(sum(&telemetry.forward.lag_records), 9);
    }
}
