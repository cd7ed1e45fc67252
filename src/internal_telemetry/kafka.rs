//! librdkafka's own figures, from its statistics, by client.

use prometheus::{GaugeVec, IntCounter, IntCounterVec, IntGaugeVec};

use super::Registry;
use crate::kafka::DeliveryError;

/// Metrics of `kafka/`.
pub struct KafkaMetrics {
    /// Records in librdkafka's queues, by client.
    pub queued_records: IntGaugeVec,
    /// Payload bytes in librdkafka's queues, by client.
    pub queued_bytes: IntGaugeVec,
    /// Broker round trip in seconds, 99th percentile of the last interval, by client.
    pub round_trip_p99_seconds: GaugeVec,
    /// Delivery reports that failed, by error.
    pub delivery_errors: IntCounterVec,
    /// Producers started anew after a fatal error.
    pub producer_restarts: IntCounter,
}

impl KafkaMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            queued_records: registry.gauges(
                "kafka_client_queued_records",
                "records in librdkafka's queues",
                &["client"],
            ),
            queued_bytes: registry.gauges(
                "kafka_client_queued_bytes",
                "payload bytes in librdkafka's queues",
                &["client"],
            ),
            round_trip_p99_seconds: registry.float_gauges(
                "kafka_client_round_trip_p99_seconds",
                "99th percentile of the round trip to the slowest broker in librdkafka's last \
                 interval",
                &["client"],
            ),
            delivery_errors: registry.counters(
                "kafka_delivery_errors_total",
                "records whose delivery failed, by librdkafka's error",
                "error",
                &DeliveryError::ALL.map(DeliveryError::as_str),
            ),
            producer_restarts: registry.counter(
                "kafka_producer_restarts_total",
                "producers started anew because librdkafka called an error fatal",
            ),
        }
    }
}
