//! What became of deliberately bad spans, and of good ones beside them.
//!
//! Pure. A partial success tells how many spans of a request were rejected and not which, so the
//! bad ones of that request are taken to be the first of them.

use serde::Serialize;

use crate::ledger::{Ledger, Outcome};
use crate::payload::Shape;

/// Spans. Invariant: `generated` is the sum of the three below it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub(crate) struct BadSpanTotals {
    pub(crate) generated: u64,
    pub(crate) rejected: u64,
    /// Acknowledged: the receiver does not look, or does not mind.
    pub(crate) accepted: u64,
    /// Refused or without an answer.
    pub(crate) undecided: u64,
    /// Good spans that were rejected: more of a request than its bad ones.
    pub(crate) good_rejected: u64,
}

impl BadSpanTotals {
    /// Adds up the requests of `ledger`; `None` when `shape` has no bad spans.
    pub(crate) fn new(ledger: &Ledger, shape: &Shape) -> Option<Self> {
        shape.bad_every?;
        let mut totals = Self::default();
        for worker in &ledger.workers {
            for (request, outcome) in (0..).zip(&worker.outcomes) {
                totals.add(*outcome, shape.bad_spans(request), shape.spans_per_request);
            }
        }
        Some(totals)
    }

    /// Adds a request of `spans` of which `bad` are bad.
    fn add(&mut self, outcome: Outcome, bad: u32, spans: u32) {
        self.generated += u64::from(bad);
        let rejected = match outcome {
            Outcome::Acknowledged => 0,
            Outcome::Partial { rejected } => rejected.min(spans),
            Outcome::Rejected(_) => spans,
            Outcome::Refused { .. } | Outcome::TimedOut => {
                self.undecided += u64::from(bad);
                return;
            }
        };
        let bad_rejected = rejected.min(bad);
        self.rejected += u64::from(bad_rejected);
        self.accepted += u64::from(bad - bad_rejected);
        self.good_rejected += u64::from(rejected - bad_rejected);
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::BadSpanTotals;
    use crate::content::Profile;
    use crate::ids::{RunId, WorkerId};
    use crate::ledger::{Ledger, Outcome, WorkerLedger};
    use crate::payload::Shape;

    /// Every bad span is in one place, and rejections beyond them are of good ones.
    #[test]
    fn expected_rejections_are_told_apart() {
        let run = RunId(1);
        // Requests of four spans, the last of each third bad: none or one, then two.
        let shape = Shape { spans_per_request: 4, ..Shape::of(run, Profile::Small) };
        let outcomes = vec![
            Outcome::Acknowledged,
            Outcome::Partial { rejected: 3 },
            Outcome::Partial { rejected: 1 },
            Outcome::Rejected(Code::InvalidArgument),
            Outcome::Refused { code: Code::Unavailable, retry_info: true },
            Outcome::TimedOut,
        ];
        let workers = vec![WorkerLedger { worker: WorkerId(1), outcomes }];
        let ledger = Ledger { run, spans_per_request: 4, workers };
        assert_eq!(BadSpanTotals::new(&ledger, &shape), None);
        let totals = BadSpanTotals::new(&ledger, &Shape { bad_every: Some(3), ..shape }).unwrap();
        // Bad spans of the requests: 1, 1, 2, 1, 1, 2.
        assert_eq!(totals.generated, 8);
        assert_eq!((totals.rejected, totals.accepted, totals.undecided), (3, 2, 3));
        assert_eq!(totals.good_rejected, 2 + 3);
    }
}
