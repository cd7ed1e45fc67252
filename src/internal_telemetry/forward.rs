//! Kafka to the backend.

use prometheus::IntCounter;

use super::Registry;

/// Metrics of `forward/`.
pub struct ForwardMetrics {
    /// Records polled from Kafka.
    pub records_consumed: IntCounter,
}

impl ForwardMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            records_consumed: registry
                .counter("forward_records_consumed_total", "records polled from Kafka"),
        }
    }
}
