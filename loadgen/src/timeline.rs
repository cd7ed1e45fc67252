//! Spans per second, second by second: what the throughput chart is drawn from. Pure; its owner
//! calls it once per second.

use std::collections::BTreeMap;

/// By what is counted.
pub(crate) type SpansPerSecond = BTreeMap<&'static str, Timeline>;

/// Growth of a count that never falls.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
#[serde(transparent)]
pub(crate) struct Timeline {
    seconds: Vec<u64>,
    #[serde(skip)]
    total: u64,
}

impl Timeline {
    /// Takes in the count as it is a second after the last call; starts with the first that is
    /// not zero, and ends after a day.
    pub(crate) fn second(&mut self, total: u64) {
        if (total > 0 || !self.seconds.is_empty()) && self.seconds.len() < SECONDS_MAX {
            self.seconds.push(total.saturating_sub(self.total));
        }
        self.total = total;
    }
}

/// A day.
const SECONDS_MAX: usize = 86_400;

#[cfg(test)]
mod tests {
    use super::{SECONDS_MAX, Timeline};

    /// Seconds are differences; those before the first span are left out, later idle ones are not.
    #[test]
    fn seconds_are_differences() {
        let mut timeline = Timeline::default();
        for total in [0, 0, 10, 10, 25] {
            timeline.second(total);
        }
        assert_eq!(timeline.seconds, [10, 0, 15]);
    }

    /// A sink that runs for weeks does not grow without bound.
    #[test]
    fn a_timeline_is_bounded() {
        let mut timeline = Timeline::default();
        for total in 1..=SECONDS_MAX as u64 + 5 {
            timeline.second(total);
        }
        assert_eq!(timeline.seconds.len(), SECONDS_MAX);
    }
}
