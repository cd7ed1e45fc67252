//! The comparison of what was acknowledged with what arrived.
//!
//! Pure. A ledger says how many spans of each request were acknowledged; where a receiver rejected
//! some of a request, it does not say which. So each request is judged by its count: fewer arrived
//! than were acknowledged is LOST, more is ARRIVED-UNCONFIRMED.

use crate::arrivals::Arrivals;
use crate::latency::Percentiles;
use crate::ledger::{Ledger, SpanTotals};
use crate::report::distribution::{self, Curves};

/// What `loadgen verify` reports.
#[derive(Debug, serde::Serialize)]
#[serde(tag = "report", rename = "verify")]
pub(crate) struct Verdict {
    /// The runs that were verified together.
    pub(crate) runs: Vec<String>,
    pub(crate) spans: SpanTotals,
    /// Different spans of these runs that arrived.
    pub(crate) arrived: u64,
    /// Acknowledged and not arrived.
    pub(crate) lost: u64,
    /// Arrived more than once, counted per extra arrival.
    pub(crate) duplicate: u64,
    /// Arrived after a later span of the same trace.
    pub(crate) reordered: u64,
    /// Arrived with other content or contradicting ids.
    pub(crate) corrupt: u64,
    /// Arrived without having been acknowledged.
    pub(crate) arrived_unconfirmed: u64,
    /// Deliberately bad and arrived all the same; a lenient receiver lets them through.
    pub(crate) bad_arrived: u64,
    /// Spans of other programs and other runs that the sink saw.
    pub(crate) foreign: u64,
    /// From the intended start to the first arrival, where a sink measured it; in microseconds.
    pub(crate) end_to_end_us: Option<Percentiles>,
    latency_curves: Curves,
    /// Why this says nothing about the receiver.
    pub(crate) void: Option<&'static str>,
}

impl Verdict {
    /// Compares ledgers, which have no worker in common, with everything that arrived.
    pub(crate) fn new(ledgers: &[Ledger], arrivals: &Arrivals) -> Self {
        let mut runs: Vec<_> = ledgers.iter().map(|ledger| ledger.run).collect();
        runs.sort_unstable();
        runs.dedup();
        let mut spans = SpanTotals::default();
        for ledger in ledgers {
            spans.add(ledger.totals());
        }
        let mut verdict = Self {
            runs: runs.iter().map(ToString::to_string).collect(),
            void: (spans.acknowledged == 0).then_some("no span was acknowledged"),
            spans,
            arrived: 0,
            lost: 0,
            duplicate: 0,
            reordered: 0,
            corrupt: 0,
            arrived_unconfirmed: 0,
            bad_arrived: 0,
            foreign: arrivals.foreign,
            end_to_end_us: arrivals.end_to_end.percentiles(),
            latency_curves: distribution::curves(&[arrivals.end_to_end.named()]),
        };
        for ((run, _), worker) in &arrivals.workers {
            if runs.binary_search(run).is_err() {
                verdict.foreign += worker.spans.len();
                continue;
            }
            verdict.arrived += worker.spans.len();
            verdict.duplicate += worker.duplicate;
            verdict.reordered += worker.reordered;
            verdict.corrupt += worker.corrupt;
            verdict.bad_arrived += worker.bad;
        }
        let confirmed: u64 =
            ledgers.iter().map(|ledger| verdict.count_requests(ledger, arrivals)).sum();
        verdict.arrived_unconfirmed = verdict.arrived - confirmed;
        verdict
    }

    /// True when the receiver broke its word.
    pub(crate) fn failed(&self) -> bool {
        self.lost > 0 || self.corrupt > 0
    }

    /// Adds up what each request lost; returns how many spans were acknowledged and arrived.
    fn count_requests(&mut self, ledger: &Ledger, arrivals: &Arrivals) -> u64 {
        let spans = u64::from(ledger.spans_per_request);
        let mut confirmed = 0;
        for worker in &ledger.workers {
            let arrived_spans =
                arrivals.workers.get(&(ledger.run, worker.worker)).map(|worker| &worker.spans);
            for (request, outcome) in (0..).zip(&worker.outcomes) {
                let sequences = request * spans..(request + 1) * spans;
                let arrived = arrived_spans.map_or(0, |arrived| arrived.count(sequences));
                let acknowledged = u64::from(outcome.acknowledged(ledger.spans_per_request));
                self.lost += acknowledged.saturating_sub(arrived);
                confirmed += acknowledged.min(arrived);
            }
        }
        confirmed
    }
}

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::Verdict;
    use crate::arrivals::{Arrivals, WorkerArrivals};
    use crate::ids::{RunId, WorkerId};
    use crate::ledger::{Ledger, Outcome, WorkerLedger};

    const RUN: RunId = RunId(1);

    fn verdict(outcomes: &[Outcome], arrived: impl IntoIterator<Item = u64>) -> Verdict {
        let worker = WorkerId(1);
        let workers = vec![WorkerLedger { worker, outcomes: outcomes.to_vec() }];
        let ledger = Ledger { run: RUN, spans_per_request: 4, workers };
        let mut spans = WorkerArrivals::default();
        for sequence in arrived {
            spans.spans.insert(sequence);
        }
        let workers = [((RUN, worker), spans)].into();
        Verdict::new(&[ledger], &Arrivals { workers, ..Arrivals::default() })
    }

    /// Acknowledged spans that did not arrive are lost, one by one.
    #[test]
    fn missing_spans_are_lost() {
        let complete = verdict(&[Outcome::Acknowledged; 2], 0..8);
        assert_eq!((complete.arrived, complete.lost, complete.arrived_unconfirmed), (8, 0, 0));
        assert!(!complete.failed());
        let missing = verdict(&[Outcome::Acknowledged; 2], (0..8).filter(|n| *n != 5));
        assert_eq!((missing.arrived, missing.lost, missing.arrived_unconfirmed), (7, 1, 0));
        assert!(missing.failed());
    }

    /// A request without an answer may arrive or not; neither is a loss.
    #[test]
    fn unanswered_requests_cannot_lose() {
        for outcome in
            [Outcome::TimedOut, Outcome::Refused { code: Code::Unavailable, retry_info: true }]
        {
            let verdict = verdict(&[outcome; 2], 0..4);
            assert_eq!((verdict.lost, verdict.arrived_unconfirmed), (0, 4));
        }
    }

    /// Of a partly rejected request, as many spans must arrive as were not rejected.
    #[test]
    fn partly_rejected_requests_are_judged_by_count() {
        let outcomes = [Outcome::Partial { rejected: 1 }];
        assert_eq!(verdict(&outcomes, [0, 2, 3]).lost, 0);
        assert_eq!(verdict(&outcomes, [0, 2]).lost, 1);
        assert_eq!(verdict(&outcomes, 0..4).arrived_unconfirmed, 1);
    }

    /// Spans that the ledger never generated, and those of another run, confirm nothing.
    #[test]
    fn spans_beyond_the_ledger_do_not_hide_losses() {
        let beyond = verdict(&[Outcome::Acknowledged], [0, 1, 2, 9]);
        assert_eq!((beyond.lost, beyond.arrived_unconfirmed), (1, 1));

        let worker = WorkerId(1);
        let mut other_run = WorkerArrivals::default();
        other_run.spans.insert(0);
        let workers = [((RunId(2), worker), other_run)].into();
        let arrivals = Arrivals { workers, foreign: 1, ..Arrivals::default() };
        let workers = vec![WorkerLedger { worker, outcomes: vec![Outcome::Acknowledged] }];
        let ledger = Ledger { run: RUN, spans_per_request: 1, workers };
        let verdict = Verdict::new(&[ledger], &arrivals);
        assert_eq!((verdict.arrived, verdict.lost, verdict.foreign), (0, 1, 2));
    }
    /// Runs with ledgers of their own are verified together; what one lost stays lost although
    /// the other has more than was acknowledged.
    #[test]
    fn runs_are_verified_together() {
        let worker = WorkerId(1);
        let ledger = |run, spans_per_request, outcome| Ledger {
            run: RunId(run),
            spans_per_request,
            workers: vec![WorkerLedger { worker, outcomes: vec![outcome] }],
        };
        let ledgers = [ledger(1, 4, Outcome::Acknowledged), ledger(2, 2, Outcome::TimedOut)];
        let mut arrivals = Arrivals::default();
        for (run, sequence) in [(1, 0), (1, 1), (1, 2), (2, 0), (2, 1)] {
            let of_worker = arrivals.workers.entry((RunId(run), worker)).or_default();
            of_worker.spans.insert(sequence);
        }
        let verdict = Verdict::new(&ledgers, &arrivals);
        assert_eq!(verdict.runs, ["00000001", "00000002"]);
        assert_eq!((verdict.spans.generated, verdict.spans.acknowledged), (6, 4));
        assert_eq!((verdict.arrived, verdict.lost, verdict.arrived_unconfirmed), (5, 1, 2));
        assert_eq!(verdict.foreign, 0);
    }

    /// A verification of nothing is void, not a success.
    #[test]
    fn nothing_acknowledged_is_void() {
        assert!(verdict(&[Outcome::TimedOut], []).void.is_some());
        assert!(verdict(&[Outcome::Acknowledged], 0..4).void.is_none());
    }
}
