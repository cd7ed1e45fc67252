//! Latency figures of one worker, merged into those of the run.

use std::time::{Duration, Instant};

use hdrhistogram::Histogram;

/// Three histograms in nanoseconds.
#[derive(Clone)]
pub(crate) struct Latencies {
    /// From the intended start to the acknowledgement.
    corrected: Histogram<u64>,
    /// From the actual start to the acknowledgement: blind to what a stall kept from being sent.
    uncorrected: Histogram<u64>,
    /// From the intended to the actual start: the generator's own fault, or its in-flight bound.
    lateness: Histogram<u64>,
}

/// Percentiles of one histogram, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, serde::Serialize)]
pub(crate) struct Percentiles {
    pub(crate) count: u64,
    pub(crate) p50: f64,
    pub(crate) p90: f64,
    pub(crate) p99: f64,
    pub(crate) p999: f64,
    pub(crate) p9999: f64,
    pub(crate) max: f64,
}

/// A histogram of nanoseconds and what reports call it.
#[derive(Clone, Copy)]
pub(crate) struct Named<'a> {
    /// For people.
    pub(crate) name: &'static str,
    /// In an interval log, where a comma or a blank would end it.
    pub(crate) tag: &'static str,
    pub(crate) histogram: &'a Histogram<u64>,
}

impl Latencies {
    pub(crate) fn new() -> Self {
        let histogram = histogram_up_to(LATENCY_NANOS_MAX);
        Self { corrected: histogram.clone(), uncorrected: histogram.clone(), lateness: histogram }
    }

    /// Records that a request started `sent - intended` late.
    pub(crate) fn record_start(&mut self, intended: Instant, sent: Instant) {
        record(&mut self.lateness, sent.saturating_duration_since(intended));
    }

    /// Records the acknowledgement of a request.
    pub(crate) fn record_end(&mut self, intended: Instant, sent: Instant, done: Instant) {
        record(&mut self.corrected, done.saturating_duration_since(intended));
        record(&mut self.uncorrected, done.saturating_duration_since(sent));
    }

    /// Adds the figures of another worker.
    pub(crate) fn merge(&mut self, other: &Self) {
        const ALIKE: &str = "histograms of the same bounds add up";
        self.corrected.add(&other.corrected).expect(ALIKE);
        self.uncorrected.add(&other.uncorrected).expect(ALIKE);
        self.lateness.add(&other.lateness).expect(ALIKE);
    }

    pub(crate) fn corrected(&self) -> Percentiles {
        percentiles(&self.corrected)
    }

    pub(crate) fn uncorrected(&self) -> Percentiles {
        percentiles(&self.uncorrected)
    }

    pub(crate) fn lateness(&self) -> Percentiles {
        percentiles(&self.lateness)
    }

    /// Every histogram with its name in reports; the one to look at first is first.
    pub(crate) fn named(&self) -> [Named<'_>; 3] {
        [
            Named { name: "from intended start", tag: "intended", histogram: &self.corrected },
            Named { name: "from actual start", tag: "actual", histogram: &self.uncorrected },
            Named { name: "lateness", tag: "lateness", histogram: &self.lateness },
        ]
    }
}

/// An empty histogram of nanoseconds, from a microsecond, with three significant digits.
pub(crate) fn histogram_up_to(nanos_max: u64) -> Histogram<u64> {
    Histogram::new_with_bounds(1_000, nanos_max, 3)
        .expect("the bounds and the precision are constants within hdrhistogram's limits")
}

/// Longer than the longest a request can take ends up in the last bucket.
fn record(histogram: &mut Histogram<u64>, duration: Duration) {
    histogram.saturating_record(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
}

/// The percentiles of a histogram of nanoseconds.
pub(crate) fn percentiles(histogram: &Histogram<u64>) -> Percentiles {
    let micros = |nanos: u64| nanos as f64 / 1e3;
    let at = |quantile| micros(histogram.value_at_quantile(quantile));
    Percentiles {
        count: histogram.len(),
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        p9999: at(0.9999),
        max: micros(histogram.max()),
    }
}

/// Ten minutes: beyond any deadline with its retries.
const LATENCY_NANOS_MAX: u64 = 600_000_000_000;

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use super::Latencies;

    /// A late start counts in the corrected figure and not in the uncorrected one.
    #[test]
    fn latency_counts_from_the_intended_start() {
        let (mut one, mut sum) = (Latencies::new(), Latencies::new());
        let intended = Instant::now();
        let sent = intended + Duration::from_millis(100);
        one.record_start(intended, sent);
        one.record_end(intended, sent, sent + Duration::from_millis(1));
        sum.merge(&one);
        sum.merge(&one);
        let near = |micros: f64, expected: f64| (micros / expected - 1.0).abs() < 0.002;
        assert_eq!(sum.corrected().count, 2);
        assert!(near(sum.corrected().p50, 101_000.0));
        assert!(near(sum.uncorrected().max, 1_000.0));
        assert!(near(sum.lateness().p99, 100_000.0));
    }
}
