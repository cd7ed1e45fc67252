//! Counters behind the progress line: written per request by generator threads, read once per
//! second. The report is made from the ledger, not from these.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use crate::ledger::Outcome;

/// Requests and spans so far.
#[derive(Default)]
pub(crate) struct Progress {
    started_requests: AtomicU64,
    ended_requests: AtomicU64,
    acknowledged_spans: AtomicU64,
    other_spans: AtomicU64,
}

impl Progress {
    pub(crate) fn sent(&self) {
        self.started_requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn ended(&self, outcome: Outcome, spans: u32) {
        let acknowledged = outcome.acknowledged(spans);
        self.ended_requests.fetch_add(1, Ordering::Relaxed);
        self.acknowledged_spans.fetch_add(u64::from(acknowledged), Ordering::Relaxed);
        self.other_spans.fetch_add(u64::from(spans - acknowledged), Ordering::Relaxed);
    }

    /// Spans acknowledged so far.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.acknowledged_spans.load(Ordering::Relaxed)
    }

    /// The progress line, `elapsed` after the start: `acknowledged` spans, a second ago `before`.
    pub(crate) fn line(&self, elapsed: Duration, acknowledged: u64, before: u64) -> String {
        let ended = self.ended_requests.load(Ordering::Relaxed);
        let in_flight = self.started_requests.load(Ordering::Relaxed).saturating_sub(ended);
        let other = self.other_spans.load(Ordering::Relaxed);
        format!(
            "{:>4} s  {:>9} spans/s  acknowledged {acknowledged}  other {other}  \
             requests in flight {in_flight}",
            elapsed.as_secs(),
            acknowledged - before,
        )
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Progress;
    use crate::ledger::Outcome;

    /// The line shows the last second, the sums, and what is in flight.
    #[test]
    fn the_line_shows_what_happened() {
        let progress = Progress::default();
        for _ in 0..3 {
            progress.sent();
        }
        progress.ended(Outcome::Acknowledged, 10);
        progress.ended(Outcome::Partial { rejected: 4 }, 10);
        let line = progress.line(Duration::from_secs(2), progress.acknowledged(), 6);
        for part in ["2 s", "10 spans/s", "acknowledged 16", "other 4", "in flight 1"] {
            assert!(line.contains(part), "{line:?} lacks {part:?}");
        }
    }
}
