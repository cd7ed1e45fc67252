//! Our own counters, gauges and latency histograms, declared once with name, unit and description.
//!
//! Any thread counts (relaxed atomics, once per request, record or batch, never per span); the
//! admin thread reads. One file per part of the process declares that part's metrics.

mod forward;
mod kafka;
mod latency;
mod publish;
mod rate_limited;
mod receive;
mod registry;

pub use forward::ForwardMetrics;
#[cfg(test)]
pub(crate) use forward::{FAILURE_CLASSES, RESPONSE_CODES};
pub use kafka::KafkaMetrics;
pub use latency::{Latency, Recorder, Stage};
pub use publish::PublishMetrics;
pub use rate_limited::{RateLimited, Trouble};
pub use receive::ReceiveMetrics;
pub use registry::Registry;

/// Every metric of the process.
pub struct Telemetry {
    /// What `/metrics` exposes.
    pub registry: Registry,
    /// OTLP in: requests, bytes, refusals.
    pub receive: ReceiveMetrics,
    /// Spans and records towards Kafka.
    pub publish: PublishMetrics,
    /// librdkafka's own figures.
    pub kafka: KafkaMetrics,
    /// Kafka to the backend.
    pub forward: ForwardMetrics,
    /// Percentiles per stage.
    pub latency: Latency,
}

impl Telemetry {
    /// Declares everything, each label value at zero.
    pub fn new() -> Self {
        let mut registry = Registry::new();
        Self {
            receive: ReceiveMetrics::new(&mut registry),
            publish: PublishMetrics::new(&mut registry),
            kafka: KafkaMetrics::new(&mut registry),
            forward: ForwardMetrics::new(&mut registry),
            latency: Latency::new(&mut registry),
            registry,
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}
