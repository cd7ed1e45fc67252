//! librdkafka's periodic statistics into our gauges. Runs on the thread that polls the client.

use rdkafka::Statistics;

use crate::internal_telemetry::KafkaMetrics;

/// Takes over the figures of one client.
pub(super) fn observe(metrics: &KafkaMetrics, statistics: &Statistics) {
    let client = [statistics.client_id.as_str()];
    metrics.queued_records.with_label_values(&client).set(statistics.msg_cnt as i64);
    metrics.queued_bytes.with_label_values(&client).set(statistics.msg_size as i64);
    let round_trips = statistics.brokers.values().filter_map(|broker| broker.rtt.as_ref());
    let slowest = round_trips.map(|window| window.p99).max().unwrap_or(0);
    metrics.round_trip_p99_seconds.with_label_values(&client).set(slowest as f64 / 1e6);
}
