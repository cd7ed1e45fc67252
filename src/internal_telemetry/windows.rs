//! Latency histograms over the last ten seconds, the last minute and since the start.
//!
//! Pure: time comes in as whole seconds since the start, so that tests need no clock. Memory is
//! fixed: 17 sets of histograms of 28 KiB each, whatever the load.

use std::collections::VecDeque;

use hdrhistogram::Histogram;

use super::Stage;

/// One histogram per stage, in nanoseconds.
pub(super) type StageHistograms = [Histogram<u64>; Stage::ALL.len()];

/// The spans of time over which latencies are reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Window {
    /// The current second and the nine before it.
    LastTenSeconds,
    /// The current slot of ten seconds and the five before it.
    LastMinute,
    /// Everything.
    SinceStart,
}

impl Window {
    /// All windows, the shortest first.
    pub const ALL: [Self; 3] = [Self::LastTenSeconds, Self::LastMinute, Self::SinceStart];

    /// The name in reports and queries.
    pub fn name(self) -> &'static str {
        match self {
            Self::LastTenSeconds => "last_10s",
            Self::LastMinute => "last_minute",
            Self::SinceStart => "since_start",
        }
    }
}

/// What was recorded, by window.
pub(super) struct Windows {
    seconds: Ring,
    tens: Ring,
    total: StageHistograms,
}

impl Windows {
    pub(super) fn new() -> Self {
        Self { seconds: Ring::new(1, 10), tens: Ring::new(10, 6), total: empty() }
    }

    /// Adds what was recorded up to `second`, counted from the start.
    pub(super) fn add(&mut self, second: u64, recorded: &StageHistograms) {
        add(self.seconds.slot(second), recorded);
        add(self.tens.slot(second), recorded);
        add(&mut self.total, recorded);
    }

    /// What one stage took in `window`, as seen at `second`.
    pub(super) fn histogram(&self, stage: Stage, window: Window, second: u64) -> Histogram<u64> {
        match window {
            Window::LastTenSeconds => self.seconds.sum(stage, second),
            Window::LastMinute => self.tens.sum(stage, second),
            Window::SinceStart => self.total[stage as usize].clone(),
        }
    }
}

/// The last `count` slots of `seconds` each; slots are reused, never allocated again.
struct Ring {
    seconds: u64,
    count: usize,
    /// Each slot with its number since the start, the newest last.
    slots: VecDeque<(u64, StageHistograms)>,
}

impl Ring {
    fn new(seconds: u64, count: usize) -> Self {
        Self { seconds, count, slots: VecDeque::with_capacity(count) }
    }

    /// The slot that `second` falls into, which becomes the newest.
    fn slot(&mut self, second: u64) -> &mut StageHistograms {
        let number = second / self.seconds;
        if self.slots.back().is_none_or(|(newest, _)| *newest < number) {
            let mut fresh = if self.slots.len() == self.count {
                self.slots.pop_front().map_or_else(empty, |(_, oldest)| oldest)
            } else {
                empty()
            };
            clear(&mut fresh);
            self.slots.push_back((number, fresh));
        }
        &mut self.slots.back_mut().expect("a slot was just ensured").1
    }

    /// What one stage took in the `count` slots that end with the one of `second`.
    fn sum(&self, stage: Stage, second: u64) -> Histogram<u64> {
        let number = second / self.seconds;
        let mut sum = empty_histogram();
        for (slot, histograms) in &self.slots {
            if slot + self.count as u64 > number {
                sum += &histograms[stage as usize];
            }
        }
        sum
    }
}

/// An empty histogram per stage.
pub(super) fn empty() -> StageHistograms {
    std::array::from_fn(|_| empty_histogram())
}

/// Empties every histogram and keeps its memory.
pub(super) fn clear(histograms: &mut StageHistograms) {
    for histogram in histograms.iter_mut().filter(|histogram| !histogram.is_empty()) {
        histogram.reset();
    }
}

fn add(sum: &mut StageHistograms, recorded: &StageHistograms) {
    for (sum, recorded) in sum.iter_mut().zip(recorded) {
        if !recorded.is_empty() {
            *sum += recorded;
        }
    }
}

/// 1 us to 1 h at two significant digits: 28 KiB.
fn empty_histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, 3_600_000_000_000, 2).expect("bounds are in order")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(stage: Stage, nanoseconds: u64) -> StageHistograms {
        let mut histograms = empty();
        histograms[stage as usize].saturating_record(nanoseconds);
        histograms
    }

    fn counts(windows: &Windows, second: u64) -> [u64; 3] {
        Window::ALL.map(|window| windows.histogram(Stage::Split, window, second).len())
    }

    /// A value leaves the short window after ten seconds, the minute after sixty, and stays in
    /// the total.
    #[test]
    fn values_leave_their_windows() {
        let mut windows = Windows::new();
        windows.add(0, &one(Stage::Split, 5_000));
        assert_eq!(counts(&windows, 0), [1, 1, 1]);
        assert_eq!(counts(&windows, 9), [1, 1, 1]);
        assert_eq!(counts(&windows, 10), [0, 1, 1]);
        assert_eq!(counts(&windows, 59), [0, 1, 1]);
        assert_eq!(counts(&windows, 60), [0, 0, 1]);
    }

    /// Steady recording fills each window to its length, and slots are reused.
    #[test]
    fn steady_recording_fills_the_windows() {
        let mut windows = Windows::new();
        for second in 0..120 {
            windows.add(second, &one(Stage::Split, 5_000));
        }
        assert_eq!(counts(&windows, 119), [10, 60, 120]);
        assert_eq!((windows.seconds.slots.len(), windows.tens.slots.len()), (10, 6));
    }

    /// After silence, a value is not mixed with those from before it.
    #[test]
    fn silence_is_a_gap() {
        let mut windows = Windows::new();
        windows.add(3, &one(Stage::Split, 5_000));
        windows.add(1_000, &one(Stage::Split, 5_000));
        assert_eq!(counts(&windows, 1_000), [1, 1, 2]);
    }

    /// Stages are kept apart.
    #[test]
    fn stages_are_separate() {
        let mut windows = Windows::new();
        windows.add(0, &one(Stage::QueueWait, 5_000));
        assert_eq!(counts(&windows, 0), [0, 0, 0]);
    }

    /// One histogram takes the memory that the documentation of this module adds up.
    #[test]
    fn histogram_size() {
        let bytes = empty_histogram().distinct_values() * size_of::<u64>();
        assert!((27 * 1024..=28 * 1024).contains(&bytes), "{bytes}");
    }
}
