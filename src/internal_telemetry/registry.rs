//! Declares metrics under the project's one prefix, and remembers each declaration for the docs.
//!
//! Declaring is done once, on the main thread; reading is done by the admin thread.

use prometheus::{
    GaugeVec, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, core::Collector,
    proto::MetricFamily,
};

/// The prefix of every metric.
pub(super) const PREFIX: &str = "otel_pipeline";

/// All declared metrics.
pub struct Registry {
    inner: prometheus::Registry,
    declared: Vec<Declared>,
}

/// One metric, as `docs/METRICS.md` describes it.
pub(super) struct Declared {
    /// With the prefix.
    pub(super) name: String,
    pub(super) kind: Kind,
    pub(super) labels: Vec<Label>,
    pub(super) help: String,
}

/// The Prometheus type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Counter,
    Gauge,
    Histogram,
}

/// A label and its values.
pub(super) struct Label {
    pub(super) name: String,
    /// Every value of a closed set; empty when values appear with what they describe.
    pub(super) values: Vec<String>,
}

impl Registry {
    pub(super) fn new() -> Self {
        Self { inner: prometheus::Registry::new(), declared: Vec::new() }
    }

    /// A counter; `name` ends in `_total`.
    pub(super) fn counter(&mut self, name: &str, help: &str) -> IntCounter {
        let counter = IntCounter::with_opts(opts(name, help)).expect("declared names are valid");
        self.register(name, Kind::Counter, Vec::new(), help, Box::new(counter.clone()));
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
        let labels = vec![closed(label, values)];
        self.register(name, Kind::Counter, labels, help, Box::new(counters.clone()));
        counters
    }

    /// A counter per combination of labels; values appear with what they describe.
    pub(super) fn open_counters(
        &mut self,
        name: &str,
        help: &str,
        labels: &[&str],
    ) -> IntCounterVec {
        let counters =
            IntCounterVec::new(opts(name, help), labels).expect("declared names are valid");
        self.register(name, Kind::Counter, open(labels), help, Box::new(counters.clone()));
        counters
    }

    /// A gauge of whole numbers.
    pub(super) fn gauge(&mut self, name: &str, help: &str) -> IntGauge {
        let gauge = IntGauge::with_opts(opts(name, help)).expect("declared names are valid");
        self.register(name, Kind::Gauge, Vec::new(), help, Box::new(gauge.clone()));
        gauge
    }

    /// A gauge per combination of labels; values appear and vanish with what they describe.
    pub(super) fn gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> IntGaugeVec {
        let gauges = IntGaugeVec::new(opts(name, help), labels).expect("declared names are valid");
        self.register(name, Kind::Gauge, open(labels), help, Box::new(gauges.clone()));
        gauges
    }

    /// As [`Registry::gauges`] for fractions, such as seconds.
    pub(super) fn float_gauges(&mut self, name: &str, help: &str, labels: &[&str]) -> GaugeVec {
        let gauges = GaugeVec::new(opts(name, help), labels).expect("declared names are valid");
        self.register(name, Kind::Gauge, open(labels), help, Box::new(gauges.clone()));
        gauges
    }

    /// Whatever `collector` computes when it is read.
    pub(super) fn register(
        &mut self,
        name: &str,
        kind: Kind,
        labels: Vec<Label>,
        help: &str,
        collector: Box<dyn Collector>,
    ) {
        let name = format!("{PREFIX}_{name}");
        self.declared.push(Declared { name, kind, labels, help: help.to_owned() });
        self.register_undeclared(collector);
    }

    /// The standard figures of a process, named and described by Prometheus's own conventions.
    pub(super) fn register_undeclared(&mut self, collector: Box<dyn Collector>) {
        self.inner.register(collector).expect("each name is declared once");
    }

    /// Every declaration, in the order made.
    pub(super) fn declared(&self) -> &[Declared] {
        &self.declared
    }

    /// Everything as of now, sorted by name.
    pub fn gather(&self) -> Vec<MetricFamily> {
        self.inner.gather()
    }
}

impl Kind {
    /// As written in the exposition's `# TYPE` line.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

/// A label with all its values.
pub(super) fn closed(name: &str, values: &[&str]) -> Label {
    Label { name: name.to_owned(), values: values.iter().map(|&value| value.to_owned()).collect() }
}

fn open(names: &[&str]) -> Vec<Label> {
    names.iter().map(|name| closed(name, &[])).collect()
}

fn opts(name: &str, help: &str) -> Opts {
    Opts::new(format!("{PREFIX}_{name}"), help)
}
