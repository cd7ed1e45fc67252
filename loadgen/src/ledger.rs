//! What became of every request of a run, as the client saw it.
//!
//! A request's spans have consecutive sequence numbers, so a ledger is a list of outcomes per
//! worker, and its file (format in the README) a list of runs of equal outcomes. Pure but for
//! reading and writing the file.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use tonic::Code;

use crate::files::{DamageError, FileError, Format};
use crate::ids::{RunId, WorkerId};

/// How one request ended. A retried request counts once, by its last answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// OK for every span.
    Acknowledged,
    /// OK with `partial_success`: so many spans were rejected, the others acknowledged.
    Partial { rejected: u32 },
    /// An answer that must not be retried: the receiver does not want these spans.
    Rejected(Code),
    /// An answer that asks for a retry, which was not made or was made in vain; with RetryInfo it
    /// says when.
    Refused { code: Code, retry_info: bool },
    /// No verdict: the deadline passed or the connection broke. The spans may have arrived.
    TimedOut,
}

/// The outcomes of one run.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Ledger {
    pub(crate) run: RunId,
    pub(crate) spans_per_request: u32,
    pub(crate) workers: Vec<WorkerLedger>,
}

/// The outcomes of one worker's requests, in the order in which they were generated.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct WorkerLedger {
    pub(crate) worker: WorkerId,
    pub(crate) outcomes: Vec<Outcome>,
}

/// Spans by outcome. Invariant: `generated` is the sum of the others.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct SpanTotals {
    pub(crate) generated: u64,
    pub(crate) acknowledged: u64,
    /// By reason: `partial_success` or the status.
    pub(crate) rejected: BTreeMap<String, u64>,
    /// By status, and by whether RetryInfo came with it.
    pub(crate) refused: BTreeMap<String, u64>,
    pub(crate) timed_out: u64,
}

impl Outcome {
    /// How many of a request's `spans` were acknowledged.
    pub(crate) fn acknowledged(self, spans: u32) -> u32 {
        match self {
            Self::Acknowledged => spans,
            Self::Partial { rejected } => spans.saturating_sub(rejected),
            Self::Rejected(_) | Self::Refused { .. } | Self::TimedOut => 0,
        }
    }

    fn encode(self) -> (u8, u32) {
        match self {
            Self::Acknowledged => (0, 0),
            Self::Partial { rejected } => (1, rejected),
            Self::Rejected(code) => (2, code as u32),
            Self::Refused { code, retry_info: true } => (3, code as u32),
            Self::TimedOut => (4, 0),
            Self::Refused { code, retry_info: false } => (5, code as u32),
        }
    }

    fn decode(kind: u8, detail: u32) -> Result<Self, DamageError> {
        let code = Code::from(detail.cast_signed());
        match kind {
            0 => Ok(Self::Acknowledged),
            1 => Ok(Self::Partial { rejected: detail }),
            2 => Ok(Self::Rejected(code)),
            3 => Ok(Self::Refused { code, retry_info: true }),
            4 => Ok(Self::TimedOut),
            5 => Ok(Self::Refused { code, retry_info: false }),
            _ => Err(DamageError::Value("an outcome")),
        }
    }
}

impl SpanTotals {
    /// Adds those of another ledger.
    pub(crate) fn add(&mut self, other: Self) {
        self.generated += other.generated;
        self.acknowledged += other.acknowledged;
        self.timed_out += other.timed_out;
        let reasons = [(&mut self.rejected, other.rejected), (&mut self.refused, other.refused)];
        for (sum, part) in reasons {
            for (reason, spans) in part {
                *sum.entry(reason).or_default() += spans;
            }
        }
    }
}

impl Ledger {
    /// Adds the outcomes up.
    pub(crate) fn totals(&self) -> SpanTotals {
        let spans = u64::from(self.spans_per_request);
        let mut totals = SpanTotals::default();
        for &outcome in self.workers.iter().flat_map(|worker| &worker.outcomes) {
            let acknowledged = u64::from(outcome.acknowledged(self.spans_per_request));
            totals.generated += spans;
            totals.acknowledged += acknowledged;
            match outcome {
                Outcome::Acknowledged => {}
                Outcome::Partial { .. } => {
                    *totals.rejected.entry("partial_success".to_owned()).or_default() +=
                        spans - acknowledged;
                }
                Outcome::Rejected(code) => {
                    *totals.rejected.entry(format!("{code:?}")).or_default() += spans;
                }
                Outcome::Refused { code, retry_info } => {
                    let without = if retry_info { "" } else { " without RetryInfo" };
                    *totals.refused.entry(format!("{code:?}{without}")).or_default() += spans;
                }
                Outcome::TimedOut => totals.timed_out += spans,
            }
        }
        totals
    }

    /// Writes the ledger to `path`.
    pub(crate) fn save(&self, path: &Path) -> Result<(), FileError> {
        let mut content = Vec::new();
        content.put_u32_le(self.run.0);
        content.put_u32_le(self.spans_per_request);
        content.put_u16_le(self.workers.len() as u16);
        for worker in &self.workers {
            let stretches: Vec<_> = worker.outcomes.chunk_by(|one, next| one == next).collect();
            content.put_u16_le(worker.worker.0);
            content.put_u32_le(stretches.len() as u32);
            for stretch in stretches {
                let (kind, detail) = stretch[0].encode();
                content.put_u8(kind);
                content.put_u32_le(detail);
                content.put_u32_le(stretch.len() as u32);
            }
        }
        FORMAT.save(path, &content)
    }

    /// Reads a ledger from `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, FileError> {
        FORMAT.load(path, |content| {
            let run = RunId(content.try_get_u32_le()?);
            let spans_per_request = content.try_get_u32_le()?;
            let worker_count = content.try_get_u16_le()?;
            let workers = (0..worker_count)
                .map(|_| WorkerLedger::decode(content))
                .collect::<Result<_, _>>()?;
            Ok(Self { run, spans_per_request, workers })
        })
    }
}

impl WorkerLedger {
    fn decode(content: &mut Bytes) -> Result<Self, DamageError> {
        let worker = WorkerId(content.try_get_u16_le()?);
        let stretch_count = content.try_get_u32_le()?;
        let mut outcomes = Vec::new();
        for _ in 0..stretch_count {
            let outcome = Outcome::decode(content.try_get_u8()?, content.try_get_u32_le()?)?;
            let requests = content.try_get_u32_le()? as usize;
            if outcomes.len() + requests > REQUESTS_PER_WORKER_MAX {
                return Err(DamageError::Value("the number of requests"));
            }
            outcomes.resize(outcomes.len() + requests, outcome);
        }
        Ok(Self { worker, outcomes })
    }
}

const FORMAT: Format = Format { magic: *b"LGLEDGER", version: 1, name: "a loadgen ledger" };
/// Eleven hours of one connection at 100,000 requests per second; a damaged count must not buy
/// more memory than that.
const REQUESTS_PER_WORKER_MAX: usize = 1 << 32;

#[cfg(test)]
mod tests {
    use tonic::Code;

    use super::{Ledger, Outcome, WorkerLedger};
    use crate::ids::{RunId, WorkerId};

    fn ledger() -> Ledger {
        let outcomes = vec![
            Outcome::Acknowledged,
            Outcome::Acknowledged,
            Outcome::Partial { rejected: 3 },
            Outcome::Rejected(Code::InvalidArgument),
            Outcome::Refused { code: Code::Unavailable, retry_info: true },
            Outcome::Refused { code: Code::Unavailable, retry_info: false },
            Outcome::TimedOut,
        ];
        let workers = vec![
            WorkerLedger { worker: WorkerId(1), outcomes },
            WorkerLedger { worker: WorkerId(2), outcomes: Vec::new() },
        ];
        Ledger { run: RunId(5), spans_per_request: 10, workers }
    }

    /// A ledger read is the ledger written.
    #[test]
    fn ledgers_survive_their_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ledger");
        ledger().save(&path).unwrap();
        assert_eq!(Ledger::load(&path).unwrap(), ledger());
    }

    /// Every generated span has exactly one outcome.
    #[test]
    fn totals_reconcile() {
        let totals = ledger().totals();
        assert_eq!(totals.generated, 70);
        assert_eq!(totals.acknowledged, 27);
        assert_eq!(totals.rejected["partial_success"], 3);
        assert_eq!(totals.rejected["InvalidArgument"], 10);
        assert_eq!(totals.refused["Unavailable"], 10);
        assert_eq!(totals.refused["Unavailable without RetryInfo"], 10);
        assert_eq!(totals.timed_out, 10);
        let answered_no: u64 = totals.rejected.values().chain(totals.refused.values()).sum();
        assert_eq!(totals.generated, totals.acknowledged + answered_no + totals.timed_out);
    }

    /// The sums of two ledgers reconcile as each of them does.
    #[test]
    fn totals_add_up() {
        let mut sum = ledger().totals();
        sum.add(ledger().totals());
        assert_eq!((sum.generated, sum.acknowledged, sum.timed_out), (140, 54, 20));
        assert_eq!((sum.rejected["InvalidArgument"], sum.refused["Unavailable"]), (20, 20));
    }
}
