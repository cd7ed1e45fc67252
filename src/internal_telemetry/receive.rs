//! OTLP in: connections, requests, bytes, refusals.
//!
//! `requests_received_total` = the sum over `requests_total` + `requests_in_flight`.

use prometheus::{IntCounter, IntCounterVec, IntGauge};

use super::Registry;

/// Metrics of `receive/`.
pub struct ReceiveMetrics {
    /// Connections open now.
    pub connections: IntGauge,
    /// Connections closed before they spoke HTTP/2, by reason.
    pub connections_refused: IntCounterVec,
    /// Connections that this side ended, by reason.
    pub connections_ended: IntCounterVec,
    /// Connections lost before they were one.
    pub accept_errors: IntCounter,
    /// Export requests that arrived.
    pub requests_received: IntCounter,
    /// Export requests answered, by outcome.
    pub requests: IntCounterVec,
    /// Export requests not yet answered.
    pub requests_in_flight: IntGauge,
    /// Request bytes as they came over the wire.
    pub bytes: IntCounter,
    /// Charged now against the budget of bytes in flight.
    pub bytes_in_flight: IntGauge,
    /// What may be charged at present: less than the budget while Kafka is slow.
    pub bytes_in_flight_limit: IntGauge,
    /// Requests refused as retryable, by reason.
    pub refusals: IntCounterVec,
}

/// Values of the label `outcome` of `receive_requests_total`.
pub(crate) const REQUEST_OUTCOMES: &[&str] = &[
    "acknowledged",
    "invalid",
    "too_large",
    "refused",
    "failed",
    "timed_out",
    "cancelled",
    "unimplemented",
];

/// Values of the label `reason` of `receive_refusals_total`.
pub(crate) const REFUSAL_REASONS: &[&str] =
    &["budget", "connection_budget", "queue_full", "broker_unreachable", "shutting_down"];

/// Values of the label `reason` of `receive_connections_refused_total`.
const CONNECTION_REFUSALS: &[&str] = &[
    "limit",
    "peer_limit",
    "descriptors",
    "queue_full",
    "shutting_down",
    "silent",
    "tls",
    "http1",
    "not_http2",
];

/// Values of the label `reason` of `receive_connections_ended_total`.
const CONNECTION_ENDS: &[&str] =
    &["aged", "read_stalled", "write_stalled", "unresponsive", "protocol"];

impl ReceiveMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            connections: registry.gauge("receive_connections", "OTLP connections open now"),
            connections_refused: registry.counters(
                "receive_connections_refused_total",
                "OTLP connections closed before they spoke HTTP/2: OTLP_CONNECTIONS_MAX or \
                 OTLP_CONNECTIONS_PER_PEER_MAX were open, the last file descriptors are kept for \
                 Kafka, the client was silent or slow, or spoke something else",
                "reason",
                CONNECTION_REFUSALS,
            ),
            connections_ended: registry.counters(
                "receive_connections_ended_total",
                "OTLP connections that this side ended: old, at a standstill within a frame or \
                 with replies that the client does not read, without a sign of life, or against \
                 HTTP/2's rules",
                "reason",
                CONNECTION_ENDS,
            ),
            accept_errors: registry.counter(
                "receive_accept_errors_total",
                "failed accepts: out of file descriptors, or a client that gave up",
            ),
            requests_received: registry.counter(
                "receive_requests_received_total",
                "export requests that arrived; equals the sum of receive_requests_total and \
                 receive_requests_in_flight",
            ),
            requests: registry.counters(
                "receive_requests_total",
                "export requests answered, by outcome",
                "outcome",
                REQUEST_OUTCOMES,
            ),
            requests_in_flight: registry
                .gauge("receive_requests_in_flight", "export requests not yet answered"),
            bytes: registry.counter(
                "receive_bytes_total",
                "bytes of export requests as they came over the wire, compressed or not",
            ),
            bytes_in_flight: registry.gauge(
                "receive_bytes_in_flight",
                "bytes charged against the budget OTLP_BYTES_IN_FLIGHT_MAX",
            ),
            bytes_in_flight_limit: registry.gauge(
                "receive_bytes_in_flight_limit",
                "bytes that may be charged at present: OTLP_BYTES_IN_FLIGHT_MAX, less while Kafka \
                 acknowledges slowly, so that requests wait briefly or are refused",
            ),
            refusals: registry.counters(
                "receive_refusals_total",
                "export requests refused with UNAVAILABLE and RetryInfo, by reason",
                "reason",
                REFUSAL_REASONS,
            ),
        }
    }
}
