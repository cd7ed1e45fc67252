//! Spans and records on their way to Kafka.
//!
//! `spans_received_total` = the sum over `spans_total` + `spans_in_flight`.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Registry;
use crate::otlp::RejectReason;

/// Metrics of `publish/`.
pub struct PublishMetrics {
    /// Spans found in well-formed requests.
    pub spans_received: IntCounter,
    /// Spans whose request was answered, by outcome.
    pub spans: IntCounterVec,
    /// Spans whose request is not yet answered.
    pub spans_in_flight: IntGauge,
    /// Spans rejected by partial success, by reason.
    pub rejections: IntCounterVec,
    /// Request bytes after decompression.
    pub bytes: IntCounter,
    /// Records handed to librdkafka.
    pub records: IntCounter,
    /// Value bytes of those records.
    pub record_bytes: IntCounter,
    /// Requests published per partition because their headers were too large to repeat per trace.
    pub header_fallbacks: IntCounter,
    /// Requests waiting, by worker.
    pub queue_depth: IntGaugeVec,
}

/// Values of the label `outcome` of `publish_spans_total`.
pub(crate) const SPAN_OUTCOMES: &[&str] = &["acknowledged", "rejected", "failed", "unanswered"];

impl PublishMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            spans_received: registry.counter(
                "publish_spans_received_total",
                "spans found in well-formed requests; equals the sum of publish_spans_total and \
                 publish_spans_in_flight",
            ),
            spans: registry.counters(
                "publish_spans_total",
                "spans whose request was answered, by outcome",
                "outcome",
                SPAN_OUTCOMES,
            ),
            spans_in_flight: registry
                .gauge("publish_spans_in_flight", "spans whose request is not yet answered"),
            rejections: registry.counters(
                "publish_span_rejections_total",
                "spans rejected by partial success, by reason",
                "reason",
                &RejectReason::ALL.map(RejectReason::as_str),
            ),
            bytes: registry
                .counter("publish_request_bytes_total", "request bytes after decompression"),
            records: registry.counter("publish_records_total", "records handed to librdkafka"),
            record_bytes: registry
                .counter("publish_record_bytes_total", "value bytes of those records"),
            header_fallbacks: registry.counter(
                "publish_header_fallbacks_total",
                "requests published as one record per partition because Resource and scope were \
                 too large to repeat per trace",
            ),
            queue_depth: registry.gauges(
                "publish_queue_depth",
                "requests waiting for a publish worker",
                &["worker"],
            ),
        }
    }
}
