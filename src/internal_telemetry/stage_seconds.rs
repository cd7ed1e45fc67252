//! The latency histograms in Prometheus's form, computed when scraped.
//!
//! Nothing is recorded twice: buckets are cut from the same histograms that `/latency` reports.

use std::sync::Arc;

use hdrhistogram::Histogram;
use prometheus::{
    core::{Collector, Desc},
    proto::{Bucket, LabelPair, Metric, MetricFamily, MetricType},
};

use super::{
    Registry, Stage,
    latency::Shared,
    registry::{Kind, PREFIX, closed},
    windows::Window,
};

const NAME: &str = "stage_seconds";
const HELP: &str = "time that requests, records and backend calls spend in each stage";
const LABEL: &str = "stage";

/// Upper bounds in nanoseconds, 100 us to 60 s: a split takes the first ones, a reply at linger
/// 2 ms the middle, a record's age during an outage the last.
const BOUNDS_NS: [u64; 18] = [
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    5_000_000_000,
    10_000_000_000,
    30_000_000_000,
    60_000_000_000,
];

/// The collector of `stage_seconds`.
pub(super) struct StageSeconds {
    shared: Arc<Shared>,
    desc: Desc,
}

impl StageSeconds {
    /// Declares the metric, fed from `shared`.
    pub(super) fn declare(registry: &mut Registry, shared: Arc<Shared>) {
        let labels = vec![LABEL.to_owned()];
        let constant = Default::default();
        let desc = Desc::new(format!("{PREFIX}_{NAME}"), HELP.to_owned(), labels, constant)
            .expect("declared names are valid");
        let label = closed(LABEL, &Stage::ALL.map(Stage::name));
        let collector = Box::new(Self { shared, desc });
        registry.register(NAME, Kind::Histogram, vec![label], HELP, collector);
    }
}

impl Collector for StageSeconds {
    fn desc(&self) -> Vec<&Desc> {
        vec![&self.desc]
    }

    fn collect(&self) -> Vec<MetricFamily> {
        self.shared.collect();
        let metrics = Stage::ALL.map(|stage| {
            let mut label = LabelPair::default();
            label.set_name(LABEL.to_owned());
            label.set_value(stage.name().to_owned());
            let mut metric = Metric::from_label(vec![label]);
            metric.set_histogram(buckets(&self.shared.histogram(stage, Window::SinceStart)));
            metric
        });
        let mut family = MetricFamily::default();
        family.set_name(self.desc.fq_name.clone());
        family.set_help(self.desc.help.clone());
        family.set_field_type(MetricType::HISTOGRAM);
        family.set_metric(metrics.into());
        vec![family]
    }
}

/// Cumulative buckets in seconds. A value counts below a bound when its cell begins there: exactly
/// on the bound is within it, and a value beyond it by less than 0.8 % may be as well.
fn buckets(recorded: &Histogram<u64>) -> prometheus::proto::Histogram {
    let mut counts = [0; BOUNDS_NS.len()];
    let mut sum_ns = 0.0;
    for cell in recorded.iter_recorded() {
        let value = cell.value_iterated_to();
        let count = cell.count_at_value();
        sum_ns += recorded.median_equivalent(value) as f64 * count as f64;
        let begin = recorded.lowest_equivalent(value);
        if let Some(index) = BOUNDS_NS.iter().position(|&bound| begin <= bound) {
            counts[index] += count;
        }
    }
    let mut cumulative = 0;
    let cut = BOUNDS_NS.iter().zip(counts).map(|(&bound, count)| {
        cumulative += count;
        let mut bucket = Bucket::default();
        bucket.set_upper_bound(bound as f64 / 1e9);
        bucket.set_cumulative_count(cumulative);
        bucket
    });
    let mut histogram = prometheus::proto::Histogram::default();
    histogram.set_bucket(cut.collect());
    histogram.set_sample_count(recorded.len());
    histogram.set_sample_sum(sum_ns / 1e9);
    histogram
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Buckets are cumulative, a value on a bound is within it, and none is beyond the count.
    #[test]
    fn buckets_are_cumulative() {
        let mut recorded = Histogram::new_with_bounds(1_000, 3_600_000_000_000, 2).unwrap();
        for nanoseconds in [10_000, 100_000, 120_000, 1_000_000_000, 90_000_000_000] {
            recorded.record(nanoseconds).unwrap();
        }
        let histogram = buckets(&recorded);
        let at = |bound: f64| {
            let mut buckets = histogram.get_bucket().iter();
            buckets.find(|bucket| bucket.upper_bound() == bound).unwrap().cumulative_count()
        };
        assert_eq!((at(0.0001), at(0.00025), at(0.5), at(1.0), at(60.0)), (2, 3, 3, 4, 4));
        assert_eq!(histogram.get_sample_count(), 5);
        let sum = histogram.get_sample_sum();
        assert!((sum / 91.000_23 - 1.0).abs() < 0.01, "{sum}");
    }

    /// Bounds ascend, as the exposition format asks.
    #[test]
    fn bounds_ascend() {
        assert!(BOUNDS_NS.is_sorted());
    }
}
