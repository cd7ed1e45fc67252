//! Backend, batches and retries.

use std::time::Duration;

use super::{
    kinds::{Bytes, Count, Endpoint, Group, Time, Topic},
    reader::Reader,
};
use crate::limits;

/// Backend, batches and retries (`JAEGER_ENDPOINT`, `KAFKA_CONSUMER_GROUP`, `FORWARD_*`).
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// `JAEGER_ENDPOINT` as a URI: `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// `KAFKA_CONSUMER_GROUP`.
    pub group: String,
    /// `KAFKA_DLQ_TOPIC`: `<topic>.dlq` unless set.
    pub dead_letter_topic: String,
    /// `FORWARD_BATCH_BYTES`: a batch closes before it would exceed this.
    pub batch_bytes_max: usize,
    /// `FORWARD_BATCH_AGE`: a batch closes this long after its first record.
    pub batch_age_max: Duration,
    /// `FORWARD_REQUESTS_IN_FLIGHT`: lanes per forward thread.
    pub requests_in_flight: usize,
    /// `FORWARD_REQUEST_TIMEOUT`: deadline of one backend call.
    pub request_timeout: Duration,
    /// `FORWARD_RETRY_BACKOFF_MIN`: first wait of a retry.
    pub retry_backoff_min: Duration,
    /// `FORWARD_RETRY_BACKOFF_MAX`: longest wait of a retry.
    pub retry_backoff_max: Duration,
}

impl ForwardConfig {
    /// `topic` is the one whose records are forwarded.
    pub(super) fn read(reader: &mut Reader<'_>, topic: &str) -> Self {
        reader.heading("Forward");
        Self {
            endpoint: reader.read(
                "JAEGER_ENDPOINT",
                "http://jaeger:4317".to_owned(),
                Endpoint,
                "The backend's OTLP/gRPC endpoint: Jaeger, or any other that takes OTLP",
            ),
            group: reader.read(
                "KAFKA_CONSUMER_GROUP",
                "otel-event-pipeline".to_owned(),
                Group,
                "Consumer group; instances of one group share the partitions",
            ),
            dead_letter_topic: reader.read(
                "KAFKA_DLQ_TOPIC",
                format!("{topic}.dlq"),
                Topic,
                "Topic of records that the backend refused; by default KAFKA_TOPIC with .dlq added",
            ),
            batch_bytes_max: reader.read(
                "FORWARD_BATCH_BYTES",
                limits::FORWARD_BATCH_BYTES_DEFAULT,
                Bytes(limits::FORWARD_BATCH_BYTES_RANGE),
                "Largest request to the backend; Jaeger takes 4MiB unless configured for more",
            ),
            batch_age_max: reader.read(
                "FORWARD_BATCH_AGE",
                limits::FORWARD_BATCH_AGE_DEFAULT,
                Time(limits::FORWARD_BATCH_AGE_RANGE),
                "How long a request to the backend waits to fill",
            ),
            requests_in_flight: reader.read(
                "FORWARD_REQUESTS_IN_FLIGHT",
                limits::FORWARD_REQUESTS_DEFAULT,
                Count(limits::FORWARD_REQUESTS_RANGE),
                "Concurrent requests to the backend, per forward thread",
            ),
            request_timeout: reader.read(
                "FORWARD_REQUEST_TIMEOUT",
                limits::FORWARD_TIMEOUT_DEFAULT,
                Time(limits::FORWARD_TIMEOUT_RANGE),
                "Longest wait for the backend's answer, after which the request is retried",
            ),
            retry_backoff_min: reader.read(
                "FORWARD_RETRY_BACKOFF_MIN",
                limits::FORWARD_BACKOFF_MIN_DEFAULT,
                Time(limits::FORWARD_BACKOFF_RANGE),
                "First wait before a retry",
            ),
            retry_backoff_max: reader.read(
                "FORWARD_RETRY_BACKOFF_MAX",
                limits::FORWARD_BACKOFF_MAX_DEFAULT,
                Time(limits::FORWARD_BACKOFF_RANGE),
                "Longest wait before a retry; retries never end while the backend is away",
            ),
        }
    }
}
