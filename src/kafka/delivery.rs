//! Delivery reports and client events of a producer.
//!
//! Runs on the `delivery-N` thread that polls the producer. Must not panic (a panic here would
//! leak the rest of the batch) and must not parse anything.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use rdkafka::{
    ClientContext, Statistics,
    config::RDKafkaLogLevel,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{DeliveryResult, ProducerContext},
};

use super::{client_log, statistics};
use crate::internal_telemetry::Telemetry;

/// Takes the report of one record.
pub trait Deliver: Send + Sync + 'static {
    /// The record is on every in-sync replica, or will not be.
    fn delivered(self: Arc<Self>, outcome: Result<(), DeliveryError>);
}

/// Why a record was not acknowledged. The set is closed: it is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DeliveryError {
    /// No acknowledgement within the message timeout; the broker may still have it.
    TimedOut,
    /// Fewer in-sync replicas than `min.insync.replicas`.
    NotEnoughReplicas,
    /// The broker found the batch too large; librdkafka fails every record in it.
    TooLarge,
    /// The principal may not write to the topic.
    NotAuthorized,
    /// The topic or partition does not exist.
    UnknownTopic,
    /// Given up at shutdown.
    Purged,
    /// The producer is beyond repair.
    Fatal,
    /// Anything else librdkafka says.
    Other,
}

impl DeliveryError {
    /// Every value, for the metric's declaration.
    pub const ALL: [Self; 8] = [
        Self::TimedOut,
        Self::NotEnoughReplicas,
        Self::TooLarge,
        Self::NotAuthorized,
        Self::UnknownTopic,
        Self::Purged,
        Self::Fatal,
        Self::Other,
    ];

    /// The metric label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::TimedOut => "timed_out",
            Self::NotEnoughReplicas => "not_enough_replicas",
            Self::TooLarge => "too_large",
            Self::NotAuthorized => "not_authorized",
            Self::UnknownTopic => "unknown_topic",
            Self::Purged => "purged",
            Self::Fatal => "fatal",
            Self::Other => "other",
        }
    }
}

impl From<RDKafkaErrorCode> for DeliveryError {
    fn from(code: RDKafkaErrorCode) -> Self {
        use RDKafkaErrorCode as Code;
        match code {
            Code::MessageTimedOut | Code::RequestTimedOut | Code::OperationTimedOut => {
                Self::TimedOut
            }
            Code::NotEnoughReplicas | Code::NotEnoughReplicasAfterAppend => Self::NotEnoughReplicas,
            Code::MessageSizeTooLarge | Code::InvalidMessageSize => Self::TooLarge,
            Code::TopicAuthorizationFailed | Code::ClusterAuthorizationFailed => {
                Self::NotAuthorized
            }
            Code::UnknownTopic | Code::UnknownTopicOrPartition | Code::UnknownPartition => {
                Self::UnknownTopic
            }
            Code::PurgeQueue | Code::PurgeInflight => Self::Purged,
            Code::Fatal => Self::Fatal,
            _ => Self::Other,
        }
    }
}

/// Reports so far, good and bad, and the good ones among them.
#[derive(Default)]
pub(super) struct Reports {
    reported: AtomicU64,
    delivered: AtomicU64,
}

impl Reports {
    /// Records reported so far, and how many of them were acknowledged.
    pub(super) fn so_far(&self) -> (u64, u64) {
        (self.reported.load(Ordering::Relaxed), self.delivered.load(Ordering::Relaxed))
    }
}

/// What librdkafka tells about one client of a producer.
pub(super) struct ProducerEvents<A> {
    telemetry: Arc<Telemetry>,
    reports: Arc<Reports>,
    opaque: std::marker::PhantomData<fn() -> A>,
}

impl<A> ProducerEvents<A> {
    pub(super) fn new(telemetry: Arc<Telemetry>, reports: Arc<Reports>) -> Self {
        Self { telemetry, reports, opaque: std::marker::PhantomData }
    }
}

impl<A: Deliver> ProducerContext for ProducerEvents<A> {
    type DeliveryOpaque = Arc<A>;

    fn delivery(&self, report: &DeliveryResult<'_>, opaque: Arc<A>) {
        // One thread polls one producer: plain load and store would do, these cost the same.
        self.reports.reported.fetch_add(1, Ordering::Relaxed);
        match report {
            Ok(_) => {
                self.reports.delivered.fetch_add(1, Ordering::Relaxed);
                opaque.delivered(Ok(()));
            }
            Err((error, _)) => {
                let error =
                    error.rdkafka_error_code().map_or(DeliveryError::Other, DeliveryError::from);
                self.telemetry.kafka.delivery_errors.with_label_values(&[error.as_str()]).inc();
                opaque.delivered(Err(error));
            }
        }
    }
}

impl<A: Deliver> ClientContext for ProducerEvents<A> {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::log("publish", level, facility, message);
    }

    fn stats(&self, statistics: Statistics) {
        statistics::observe(&self.telemetry.kafka, &statistics);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        // Connection errors repeat with every attempt; the metadata watch tells of the outage.
        tracing::debug!(%error, reason, "kafka client event");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every error of librdkafka that has a label of its own gets that label, and nothing else
    /// passes for one of them.
    #[test]
    fn errors_have_their_labels() {
        use RDKafkaErrorCode as Code;
        let table: [(&str, &[Code]); 8] = [
            ("timed_out", &[Code::MessageTimedOut, Code::RequestTimedOut, Code::OperationTimedOut]),
            ("not_enough_replicas", &[Code::NotEnoughReplicas, Code::NotEnoughReplicasAfterAppend]),
            ("too_large", &[Code::MessageSizeTooLarge, Code::InvalidMessageSize]),
            ("not_authorized", &[Code::TopicAuthorizationFailed, Code::ClusterAuthorizationFailed]),
            (
                "unknown_topic",
                &[Code::UnknownTopic, Code::UnknownTopicOrPartition, Code::UnknownPartition],
            ),
            ("purged", &[Code::PurgeQueue, Code::PurgeInflight]),
            ("fatal", &[Code::Fatal]),
            (
                "other",
                &[
                    Code::NotLeaderForPartition,
                    Code::LeaderNotAvailable,
                    Code::InvalidRecord,
                    Code::OutOfOrderSequenceNumber,
                    Code::NoError,
                ],
            ),
        ];
        for (label, codes) in table {
            for code in codes {
                assert_eq!(DeliveryError::from(*code).as_str(), label, "{code:?}");
            }
        }
        let labels: Vec<_> = DeliveryError::ALL.iter().map(|error| error.as_str()).collect();
        assert_eq!(labels, table.map(|(label, _)| label));
    }
}
