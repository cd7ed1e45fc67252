//! Integration tests without outside parts.
#![expect(clippy::unwrap_used, reason = "a test reports what went wrong by failing")]

/// Kafka to the backend, against a mock cluster and a scripted backend.
mod forward;
/// What the tests share.
mod support;
