//! The HTTP pages: who asks for what, and whose connections end without an answer.

use prometheus::{IntCounter, IntCounterVec};

use super::Registry;

/// Metrics of `admin/`.
pub struct AdminMetrics {
    /// Requests answered, by status.
    pub requests: IntCounterVec,
    /// Connections closed before their exchange was complete, by reason.
    pub connections_dropped: IntCounterVec,
    /// Connections that the system failed to accept.
    pub accept_errors: IntCounter,
}

/// Values of the label `status` of `admin_requests_total`.
pub(crate) const STATUSES: &[&str] = &["200", "400", "404", "405", "431", "500", "503"];

/// Values of the label `reason` of `admin_connections_dropped_total`.
pub(crate) const DROP_REASONS: &[&str] = &["crowded_out", "timed_out"];

impl AdminMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            requests: registry.counters(
                "admin_requests_total",
                "requests for HTTP pages answered, by status",
                "status",
                STATUSES,
            ),
            connections_dropped: registry.counters(
                "admin_connections_dropped_total",
                "HTTP connections closed before their answer was taken, by reason",
                "reason",
                DROP_REASONS,
            ),
            accept_errors: registry.counter(
                "admin_accept_errors_total",
                "HTTP connections that the system did not let in, such as for want of descriptors",
            ),
        }
    }
}
