//! Declares metrics under the project's one prefix.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts};

/// The prefix of every metric.
pub const PREFIX: &str = "otel_pipeline";

/// All declared metrics.
pub struct Registry {
    inner: prometheus::Registry,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { inner: prometheus::Registry::new() }
    }

    /// A counter; `name` ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        let counter = IntCounter::with_opts(opts(name, help)).expect("declared names are valid");
        self.register(Box::new(counter.clone()));
        counter
    }

    /// A counter per value of one label, each present from the start.
    pub(super) fn counters(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: &[&str],
    ) -> IntCounterVec {
        let counters =
            IntCounterVec::new(opts(name, help), &[label]).expect("declared names are valid");
        for value in values {
            let _present_at_zero = counters.with_label_values(&[value]);
        }
        self.register(Box::new(counters.clone()));
        counters
    }

    /// A gauge.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        let gauge = IntGauge::with_opts(opts(name, help)).expect("declared names are valid");
        self.register(Box::new(gauge.clone()));
        gauge
    }

    /// A gauge per combination of labels; values appear and vanish with what they describe.
    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(opts(name, help), labels).expect("declared names are valid");
        self.register(Box::new(gauges.clone()));
        gauges
    }

    /// Everything as of now, sorted by name.
    pub fn gather(&self) -> Vec<prometheus::proto::MetricFamily> {
        self.inner.gather()
    }

    fn register(&mut self, collector: Box<dyn prometheus::core::Collector>) {
        self.inner.register(collector).expect("each name is declared once");
    }
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}_{name}"), help)
}
