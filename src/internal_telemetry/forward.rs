//! Kafka to the backend.
//!
//! Records reconcile: `forward_records_consumed_total` = the sum over `forward_records_total` +
//! `forward_records_pending`. A record is counted by outcome when its offset may be committed, or
//! when it is given back to the group unforwarded.

use prometheus::{IntCounter, IntCounterVec, IntGauge, IntGaugeVec};

use super::Registry;

/// Metrics of `forward/`.
pub struct ForwardMetrics {
    /// Records polled from Kafka.
    pub records_consumed: IntCounter,
    /// Key and value bytes of those records.
    pub bytes_consumed: IntCounter,
    /// Those of them that `dlq replay` had sent back, by partition.
    pub records_replayed: IntCounterVec,
    /// Records done with, by outcome.
    pub records: IntCounterVec,
    /// Records polled and not yet done with.
    pub records_pending: IntGauge,
    /// Bytes of messages that the backend accepted.
    pub bytes_forwarded: IntCounter,
    /// Messages that the backend accepted.
    pub batches_forwarded: IntCounter,
    /// Spans that the backend refused by partial success.
    pub spans_refused: IntCounter,
    /// Answers of the backend, by code.
    pub responses: IntCounterVec,
    /// Backend calls that will be repeated, by class of failure.
    pub retries: IntCounterVec,
    /// Batches cut in two because of a refusal.
    pub bisections: IntCounter,
    /// Dead letters acknowledged by Kafka, by reason.
    pub dead_letters: IntCounterVec,
    /// Dead letters that Kafka did not acknowledge.
    pub dead_letter_failures: IntCounter,
    /// Offset commits that failed or did not reach the group.
    pub commit_failures: IntCounter,
    /// Assignments and revocations taken in.
    pub rebalances: IntCounter,
    /// Silent partitions fetched anew.
    pub watchdog_seeks: IntCounter,
    /// Partitions read from their earliest record on, the committed offset being out of range.
    pub offset_resets: IntCounter,
    /// Lanes with work, by thread.
    pub lanes_busy: IntGaugeVec,
    /// 1 while the consumer of a thread is paused.
    pub paused: IntGaugeVec,
    /// Records between the forwarded position and the end, by partition.
    pub lag_records: IntGaugeVec,
    /// Age of the last forwarded record, or of the first one waiting, if any is, by partition.
    pub lag_seconds: IntGaugeVec,
}

/// Values of the label `outcome` of `forward_records_total`.
pub(crate) const RECORD_OUTCOMES: &[&str] =
    &["forwarded", "divided", "dead_lettered", "tombstone", "returned"];

/// Values of the label `code` of `forward_responses_total`.
pub(crate) const RESPONSE_CODES: &[&str] = &[
    "ok",
    "cancelled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
    "connection",
    "http",
    "timeout",
];

/// Values of the label `class` of `forward_retries_total`.
pub(crate) const FAILURE_CLASSES: &[&str] =
    &["now", "configuration", "data", "suspect", "too_large", "broken", "crash"];

/// Values of the label `reason` of `forward_dead_letters_total`.
pub(crate) const DEAD_LETTER_REASONS: &[&str] =
    &["misframed", "refused", "too_large", "backend_crash"];

impl ForwardMetrics {
    pub(super) fn new(registry: &mut Registry) -> Self {
        Self {
            records_consumed: registry
                .counter("forward_records_consumed_total", "records polled from Kafka"),
            bytes_consumed: registry
                .counter("forward_bytes_consumed_total", "key and value bytes of those records"),
            records_replayed: records_replayed(registry),
            records: records(registry),
            records_pending: registry
                .gauge("forward_records_pending", "records polled and not yet done with"),
            bytes_forwarded: registry
                .counter("forward_bytes_total", "bytes of messages that the backend accepted"),
            batches_forwarded: registry
                .counter("forward_batches_total", "messages that the backend accepted"),
            spans_refused: registry
                .counter("forward_spans_refused_total", "spans refused by partial success"),
            responses: registry.counters(
                "forward_responses_total",
                "answers of the backend, by gRPC code or kind of failure",
                "code",
                RESPONSE_CODES,
            ),
            retries: registry.counters(
                "forward_retries_total",
                "backend calls to be repeated, by class of failure",
                "class",
                FAILURE_CLASSES,
            ),
            bisections: registry.counter(
                "forward_bisections_total",
                "batches and records taken apart after a refusal",
            ),
            dead_letters: registry.counters(
                "forward_dead_letters_total",
                "records, and single traces of records, acknowledged by the dead-letter topic",
                "reason",
                DEAD_LETTER_REASONS,
            ),
            dead_letter_failures: registry
                .counter("forward_dead_letter_failures_total", "dead letters not acknowledged"),
            commit_failures: registry
                .counter("forward_commit_failures_total", "offset commits that failed"),
            rebalances: registry
                .counter("forward_rebalances_total", "changes of the partitions held"),
            watchdog_seeks: registry
                .counter("forward_watchdog_seeks_total", "silent partitions fetched anew"),
            offset_resets: registry
                .counter("forward_offset_resets_total", "committed offsets out of range"),
            lanes_busy: registry.gauges(
                "forward_lanes_busy",
                "lanes sending, retrying or dead-lettering",
                &["thread"],
            ),
            paused: registry.gauges(
                "forward_paused",
                "1 while the consumer is paused because its window is full",
                &["thread"],
            ),
            lag_records: registry.gauges(
                "forward_lag_records",
                "records between the forwarded position and the end of the partition",
                &["partition"],
            ),
            lag_seconds: registry.gauges(
                "forward_lag_seconds",
                "age of the last forwarded record, or of the first one waiting, if any is",
                &["partition"],
            ),
        }
    }
}

fn records_replayed(registry: &mut Registry) -> IntCounterVec {
    registry.open_counters(
        "forward_records_replayed_total",
        "records polled that dlq replay had sent back",
        &["partition"],
    )
}

fn records(registry: &mut Registry) -> IntCounterVec {
    registry.counters(
        "forward_records_total",
        "records done with, by outcome (divided: refused whole, then done trace by trace; \
                 returned: given back to the group unforwarded)",
        "outcome",
        RECORD_OUTCOMES,
    )
}
