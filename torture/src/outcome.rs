//! What a row came to: the ledger's sums, memory, and every demand that was not met. Pure.

use serde_json::Value;

/// What a row came to.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) acknowledged: u64,
    pub(crate) arrived: u64,
    pub(crate) lost: u64,
    pub(crate) duplicate: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) rss_bytes_max: u64,
    pub(crate) seconds: u64,
    /// Demands that were not met.
    pub(crate) failures: Vec<String>,
    /// Figures beside the ledger's.
    pub(crate) notes: Vec<String>,
}

impl Outcome {
    /// A row that ended before its verdict.
    pub(crate) fn failed(reason: String) -> Self {
        Self { failures: vec![reason], ..Self::default() }
    }

    /// Adds one ledger's verdict, as `loadgen verify --json` gives it.
    pub(crate) fn add(&mut self, verdict: &Value) {
        let count = |value: &Value| value.as_u64().expect("a verdict has every sum");
        self.acknowledged += count(&verdict["spans"]["acknowledged"]);
        self.arrived += count(&verdict["arrived"]);
        self.lost += count(&verdict["lost"]);
        self.duplicate += count(&verdict["duplicate"]);
        self.reordered += count(&verdict["reordered"]);
        self.corrupt += count(&verdict["corrupt"]);
    }

    /// Fails the row unless `holds`.
    pub(crate) fn demand(&mut self, holds: bool, otherwise: &str) {
        if !holds {
            self.failures.push(otherwise.to_owned());
        }
    }

    /// Fails the row if a pipeline held more memory than is promised, whatever the load.
    pub(crate) fn demand_bounded_memory(&mut self) {
        self.demand(self.rss_bytes_max <= RSS_BYTES_MAX, "more than 256 MiB");
    }

    /// Adds a figure for people.
    pub(crate) fn note(&mut self, figure: String) {
        self.notes.push(figure);
    }

    /// One word.
    pub(crate) fn verdict(&self) -> &'static str {
        if self.failures.is_empty() { "pass" } else { "FAIL" }
    }
}

const RSS_BYTES_MAX: u64 = 256 << 20;

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::Outcome;

    /// Verdicts of several loads add up; a demand that is not met fails the row, whatever the sums.
    #[test]
    fn ledgers_add_up() {
        let mut outcome = Outcome::default();
        for lost in [0, 2] {
            outcome.add(&json!({
                "spans": {"acknowledged": 10},
                "arrived": 9,
                "lost": lost,
                "duplicate": 0,
                "reordered": 0,
                "corrupt": 0,
            }));
        }
        assert_eq!((outcome.acknowledged, outcome.arrived, outcome.lost), (20, 18, 2));
        assert_eq!(outcome.verdict(), "pass");
        outcome.demand(outcome.lost == 0, "lost");
        assert_eq!((outcome.verdict(), outcome.failures.len()), ("FAIL", 1));
    }

    /// The memory that is promised passes, a byte more fails.
    #[test]
    fn memory_has_a_bound() {
        for (rss_bytes_max, verdict) in [(256 << 20, "pass"), ((256 << 20) + 1, "FAIL")] {
            let mut outcome = Outcome { rss_bytes_max, ..Outcome::default() };
            outcome.demand_bounded_memory();
            assert_eq!(outcome.verdict(), verdict);
        }
    }
}
