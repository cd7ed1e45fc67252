//! Several processes' ledgers, and several sinks' arrivals, read as those of one.
//!
//! Each generator process has a run of its own unless it is told a number; two with the same
//! number and the same workers would hide each other's losses, so such a mixture is refused.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::arrivals::Arrivals;
use crate::files::FileError;
use crate::ids::{RunId, WorkerId};
use crate::ledger::Ledger;

/// Files that do not belong together, or that cannot be read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum CombineError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error(
        "{} and {} both hold worker {} of run {run}: runs that are verified together need \
         a --run-id each",
        .one.display(), .other.display(), .worker.0
    )]
    SameWorker { one: PathBuf, other: PathBuf, run: RunId, worker: WorkerId },
    #[error(
        "{} and {} come from the same sink: the later one holds everything",
        .one.display(), .other.display()
    )]
    SameSink { one: PathBuf, other: PathBuf },
}

/// Reads ledgers whose workers are all different.
pub(crate) fn ledgers(paths: &[PathBuf]) -> Result<Vec<Ledger>, CombineError> {
    let mut seen: BTreeMap<(RunId, WorkerId), &Path> = BTreeMap::new();
    let mut ledgers = Vec::with_capacity(paths.len());
    for path in paths {
        let ledger = Ledger::load(path)?;
        let run = ledger.run;
        for worker in ledger.workers.iter().map(|worker| worker.worker) {
            if let Some(one) = seen.insert((run, worker), path) {
                let (one, other) = (one.to_owned(), path.clone());
                return Err(CombineError::SameWorker { one, other, run, worker });
            }
        }
        ledgers.push(ledger);
    }
    Ok(ledgers)
}

/// Reads and adds up the arrivals of different sinks.
pub(crate) fn arrivals(paths: &[PathBuf]) -> Result<Arrivals, CombineError> {
    let mut seen: BTreeMap<u64, &Path> = BTreeMap::new();
    let mut all = Arrivals::default();
    for path in paths {
        let arrivals = Arrivals::load(path)?;
        if let Some(one) = seen.insert(arrivals.sink, path) {
            return Err(CombineError::SameSink { one: one.to_owned(), other: path.clone() });
        }
        all.merge(arrivals);
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::{CombineError, arrivals, ledgers};
    use crate::arrivals::Arrivals;
    use crate::ids::{RunId, WorkerId};
    use crate::ledger::{Ledger, Outcome, WorkerLedger};

    /// Ledgers add up when no worker is in two of them.
    #[test]
    fn the_same_worker_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let saved = |name: &str, run, worker| {
            let path = folder.path().join(name);
            let outcomes = vec![Outcome::Acknowledged];
            let workers = vec![WorkerLedger { worker: WorkerId(worker), outcomes }];
            Ledger { run: RunId(run), spans_per_request: 1, workers }.save(&path).unwrap();
            path
        };
        let [one, two, three] = [("one", 1, 1), ("two", 1, 2), ("three", 2, 1)]
            .map(|(name, run, worker)| saved(name, run, worker));
        assert_eq!(ledgers(&[one.clone(), two.clone(), three]).unwrap().len(), 3);
        let error = ledgers(&[two, one.clone(), one]).unwrap_err();
        assert!(matches!(error, CombineError::SameWorker { run: RunId(1), .. }), "{error}");
    }

    /// Two files of one sink are one arrival, not two.
    #[test]
    fn the_same_sink_twice_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let saved = |name: &str, sink| {
            let path = folder.path().join(name);
            Arrivals { sink, foreign: 1, ..Arrivals::default() }.save(&path).unwrap();
            path
        };
        let (one, two, again) = (saved("one", 1), saved("two", 2), saved("again", 1));
        assert_eq!(arrivals(&[one.clone(), two]).unwrap().foreign, 2);
        let error = arrivals(&[one, again]).unwrap_err();
        assert!(matches!(error, CombineError::SameSink { .. }), "{error}");
    }
}
