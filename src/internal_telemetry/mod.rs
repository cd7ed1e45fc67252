//! Our own counters, gauges and latency histograms, declared once with name, unit and description.
//!
//! Any thread counts (relaxed atomics, once per request, record or batch, never per span); the
//! admin thread reads. One file per part of the process declares that part's metrics.

mod admin;
mod build_info;
pub mod docs;
mod forward;
mod kafka;
mod latency;
mod publish;
mod rate_limited;
mod receive;
mod registry;
mod stage_seconds;
#[cfg(test)]
mod tests;
mod windows;

pub use admin::AdminMetrics;
pub use build_info::BuildInfo;
pub(crate) use forward::DEAD_LETTER_REASONS;
pub use forward::ForwardMetrics;
#[cfg(test)]
pub(crate) use forward::{FAILURE_CLASSES, RESPONSE_CODES};
pub use kafka::KafkaMetrics;
pub use latency::{Latency, Recorder, Stage};
pub use publish::PublishMetrics;
pub use rate_limited::{RateLimited, Trouble};
pub use receive::ReceiveMetrics;
pub use registry::Registry;
pub use windows::Window;

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
    /// The HTTP pages themselves.
    pub admin: AdminMetrics,
    /// Which build this is, and in which role.
    pub build_info: BuildInfo,
}

impl Telemetry {
    /// Declares everything, each value of a closed label at zero.
    pub fn new() -> Self {
        let mut registry = Registry::new();
        #[cfg(target_os = "linux")]
        registry.register_undeclared(Box::new(
            prometheus::process_collector::ProcessCollector::for_self(),
        ));
        Self {
            receive: ReceiveMetrics::new(&mut registry),
            publish: PublishMetrics::new(&mut registry),
            kafka: KafkaMetrics::new(&mut registry),
            forward: ForwardMetrics::new(&mut registry),
            latency: Latency::new(&mut registry),
            admin: AdminMetrics::new(&mut registry),
            build_info: BuildInfo::new(&mut registry),
            registry,
        }
    }
}

impl Default for Telemetry {
    fn default() -> Self {
        Self::new()
    }
}
