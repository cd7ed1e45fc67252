//! What a forward thread tells the outside: metrics, conditions in words, rate-limited log lines.
//!
//! Owned by one forward thread, which calls it per record to count and otherwise per batch. Decides
//! nothing.

use std::{
    collections::BTreeMap,
    sync::Arc,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use super::{
    batch::{Batch, record_count},
    lane::{Reaction, Verdict},
    offsets::Offsets,
    outcome::{Class, Outcome, Refusal},
};
use crate::{
    health::{Condition, Health},
    internal_telemetry::{ForwardMetrics, RateLimited, Recorder, Stage, Telemetry},
    kafka::{Extent, NextOffset, PartitionId, Record},
    limits,
};

/// The voice of one forward thread.
pub(super) struct Report {
    thread: String,
    telemetry: Arc<Telemetry>,
    recorder: Recorder,
    backend: Arc<Condition>,
    group: Arc<Condition>,
    dead_letter_topic: Arc<Condition>,
    lanes: Arc<Condition>,
    refusals: RateLimited,
    storms: RateLimited,
    refused_spans: RateLimited,
    halves: RateLimited,
    letters: RateLimited,
    letter_failures: RateLimited,
    commit_failures: RateLimited,
    troubles: RateLimited,
    resets: RateLimited,
    /// Kafka's timestamp of the last record forwarded or, before one is, of the first consumed or,
    /// before that, when lag was first seen; none where nothing waits.
    reached_ms: BTreeMap<PartitionId, i64>,
}

impl Report {
    /// Registers the thread's conditions; `required` where forwarding is all that the process does.
    pub(super) fn new(
        thread: &str,
        telemetry: &Arc<Telemetry>,
        health: &Health,
        required: bool,
    ) -> Self {
        let limited = || RateLimited::new(limits::TROUBLE_LOG_INTERVAL);
        Self {
            thread: thread.to_owned(),
            telemetry: Arc::clone(telemetry),
            recorder: telemetry.latency.recorder(),
            backend: health.condition("backend", false),
            group: health.condition("consumer group", required),
            dead_letter_topic: health.condition("dead-letter topic", required),
            lanes: health.condition("lanes", false),
            refusals: limited(),
            storms: limited(),
            refused_spans: limited(),
            halves: limited(),
            letters: limited(),
            letter_failures: limited(),
            commit_failures: limited(),
            troubles: limited(),
            resets: limited(),
            reached_ms: BTreeMap::new(),
        }
    }

    fn metrics(&self) -> &ForwardMetrics {
        &self.telemetry.forward
    }

    /// A record was taken into a lane.
    pub(super) fn consumed(&mut self, record: &Record<'_>) {
        let bytes = record.key.map_or(0, <[u8]>::len) + record.value.map_or(0, <[u8]>::len);
        self.metrics().records_consumed.inc();
        self.metrics().bytes_consumed.inc_by(bytes as u64);
        self.metrics().records_pending.inc();
        if let Some(timestamp_ms) = record.timestamp_ms {
            let reached_ms = self.reached_ms.entry(record.partition).or_insert(timestamp_ms);
            *reached_ms = timestamp_ms.min(*reached_ms);
        }
    }

    /// A record was one that `dlq replay` sent back.
    pub(super) fn replayed(&self, partition: PartitionId) {
        let label = partition.0.to_string();
        self.metrics().records_replayed.with_label_values(&[&label]).inc();
    }

    /// Records go back to the group unforwarded.
    pub(super) fn returned(&self, records: usize) {
        self.metrics().records.with_label_values(&["returned"]).inc_by(records as u64);
        self.metrics().records_pending.sub(records as i64);
    }

    /// A batch is done with.
    pub(super) fn settled(&mut self, batch: &Batch, verdict: Option<&Verdict>, now: Instant) {
        let metrics = &self.telemetry.forward;
        let entries = batch.entries();
        metrics.records_pending.sub(record_count(entries) as i64);
        let count = |outcome, records: usize| {
            metrics.records.with_label_values(&[outcome]).inc_by(records as u64);
        };
        let divided = entries.iter().filter(|entry| entry.trace().is_some());
        count("divided", divided.filter(|entry| entry.ends_record()).count());
        let whole = || entries.iter().filter(|entry| entry.trace().is_none());
        if let Some(Verdict { reason, detail }) = verdict {
            count("dead_lettered", whole().count());
            let reason = reason.label();
            metrics.dead_letters.with_label_values(&[reason]).inc();
            if let Some(trouble) = self.letters.occurred(now) {
                let (count, lasting) = (trouble.occurrences, trouble.lasting);
                tracing::warn!(
                    thread = self.thread,
                    reason,
                    detail,
                    count,
                    ?lasting,
                    "records went to the dead-letter topic: list and replay them from there"
                );
            }
            return;
        }
        count("tombstone", whole().filter(|entry| entry.tombstone).count());
        count("forwarded", whole().filter(|entry| !entry.tombstone).count());
        if batch.payload_bytes() > 0 {
            metrics.batches_forwarded.inc();
            metrics.bytes_forwarded.inc_by(batch.payload_bytes() as u64);
        }
        self.aged(batch);
    }

    fn aged(&mut self, batch: &Batch) {
        let now_ms = unix_ms();
        for run in batch.entries().chunk_by(|left, right| left.partition == right.partition) {
            for timestamp_ms in run.iter().filter_map(|entry| entry.timestamp_ms) {
                let age_ms = now_ms.saturating_sub(timestamp_ms).max(0) as u64;
                self.recorder.record(Stage::RecordAge, Duration::from_millis(age_ms));
            }
            if let Some(last) = run.last()
                && let Some(timestamp_ms) = last.timestamp_ms
            {
                self.reached_ms.insert(last.partition, timestamp_ms);
            }
        }
    }

    /// The backend answered a call.
    pub(super) fn answered(&mut self, outcome: &Outcome, elapsed: Duration, now: Instant) {
        self.recorder.record(Stage::BackendCall, elapsed);
        let metrics = &self.telemetry.forward;
        let (spans_refused, warning) = match outcome {
            Outcome::Accepted { spans_refused, warning } => (*spans_refused, warning),
            Outcome::Refused(refusal) => {
                metrics.responses.with_label_values(&[refusal.code]).inc();
                return;
            }
        };
        metrics.responses.with_label_values(&["ok"]).inc();
        metrics.spans_refused.inc_by(spans_refused);
        self.backend.set(true, format!("{}: accepts", self.thread));
        let recovered = [self.refusals.recovered(now), self.storms.recovered(now)];
        if let Some(trouble) = recovered.into_iter().flatten().max_by_key(|it| it.lasting) {
            let (count, lasting) = (trouble.occurrences, trouble.lasting);
            tracing::info!(thread = self.thread, count, ?lasting, "backend accepts again");
        }
        if (spans_refused > 0 || !warning.is_empty())
            && let Some(trouble) = self.refused_spans.occurred(now)
        {
            tracing::warn!(
                thread = self.thread,
                spans_refused,
                warning,
                count = trouble.occurrences,
                "backend took a request in part: refused spans are counted and not sent again"
            );
        }
    }

    /// The backend refused what `lane` sends.
    pub(super) fn refused(
        &mut self,
        lane: usize,
        refusal: &Refusal,
        reaction: Reaction,
        storm: bool,
        now: Instant,
    ) {
        let wait = match reaction {
            Reaction::Bury => return,
            Reaction::Halve => return self.halved(refusal, now),
            Reaction::Retry(wait) => wait,
        };
        let class = refusal.class.label();
        self.metrics().retries.with_label_values(&[class]).inc();
        let Refusal { code, message, .. } = refusal;
        let stopped = if storm { "; dead-lettering stopped" } else { "" };
        let thread = &self.thread;
        let why = format!("{thread} lane {lane}: {code}: {message}; next try in {wait:?}{stopped}");
        self.backend.set(false, why);
        // What led to a storm was told already, and must not keep the storm from being told.
        let limited = if storm { &mut self.storms } else { &mut self.refusals };
        let Some(trouble) = limited.occurred(now) else { return };
        let (thread, count, lasting) = (&self.thread, trouble.occurrences, trouble.lasting);
        let problem = match refusal.class {
            _ if storm => {
                "backend refuses record after record, dead-lettering stopped: look at the backend"
            }
            Class::Configuration => {
                "backend refuses us, nothing is lost: check JAEGER_ENDPOINT and its credentials"
            }
            Class::Crash => "a record breaks the backend's connection: look at the backend's log",
            _ => "backend does not take requests, nothing is lost: it is tried until it does",
        };
        if storm || matches!(refusal.class, Class::Configuration | Class::Crash) {
            tracing::error!(thread, code, message, count, ?lasting, "{problem}");
        } else {
            tracing::warn!(thread, code, message, count, ?lasting, "{problem}");
        }
    }

    fn halved(&mut self, refusal: &Refusal, now: Instant) {
        self.metrics().bisections.inc();
        if let Some(trouble) = self.halves.occurred(now) {
            let (code, message) = (refusal.code, &refusal.message);
            tracing::warn!(
                thread = self.thread,
                code,
                message,
                count = trouble.occurrences,
                "backend refuses a batch, cut in two: if it is too large, lower FORWARD_BATCH_BYTES"
            );
        }
    }

    /// A dead letter was not acknowledged; its lane waits.
    pub(super) fn burial_failed(&mut self, error: &str, wait: Duration, now: Instant) {
        self.metrics().dead_letter_failures.inc();
        self.dead_letter_topic(Err(error.to_owned()));
        if let Some(trouble) = self.letter_failures.occurred(now) {
            tracing::error!(
                thread = self.thread, error, ?wait, count = trouble.occurrences,
                lasting = ?trouble.lasting,
                "dead letter not written, its lane waits: check the dead-letter topic"
            );
        }
    }

    /// A dead letter was acknowledged.
    pub(super) fn buried(&mut self, now: Instant) {
        self.dead_letter_topic(Ok(()));
        if let Some(trouble) = self.letter_failures.recovered(now) {
            let lasting = trouble.lasting;
            tracing::info!(thread = self.thread, ?lasting, "dead letters are written again");
        }
    }

    /// What was found out about the dead-letter topic.
    pub(super) fn dead_letter_topic(&self, found: Result<(), String>) {
        match found {
            Ok(()) => self.dead_letter_topic.set(true, format!("{}: usable", self.thread)),
            Err(why) => self.dead_letter_topic.set(false, format!("{}: {why}", self.thread)),
        }
    }

    /// True once the dead-letter topic has been found usable, and until it fails.
    pub(super) fn dead_letter_topic_holds(&self) -> bool {
        self.dead_letter_topic.holds()
    }

    /// The coordinator was heard of.
    pub(super) fn steady(&mut self, partitions: usize, now: Instant) {
        self.group.set(true, format!("{}: member with {partitions} partitions", self.thread));
        if let Some(trouble) = self.troubles.recovered(now) {
            let lasting = trouble.lasting;
            tracing::info!(thread = self.thread, ?lasting, "consumer is well again");
        }
    }

    /// The coordinator was not heard of for `silence`.
    pub(super) fn unsteady(&self, silence: Duration) {
        let seconds = silence.as_secs();
        self.group.set(false, format!("{}: no place in the group for {seconds}s", self.thread));
    }

    /// Partitions came or went.
    pub(super) fn rebalanced(&mut self, gone: &[PartitionId], held: &[PartitionId]) {
        self.metrics().rebalances.inc();
        for partition in gone {
            self.reached_ms.remove(partition);
            let label = partition.0.to_string();
            // Absent is as good as removed.
            self.metrics().lag_records.remove_label_values(&[&label]).ok();
            self.metrics().lag_seconds.remove_label_values(&[&label]).ok();
        }
        let partitions: Vec<i32> = held.iter().map(|partition| partition.0).collect();
        tracing::info!(thread = self.thread, ?partitions, "partitions held after a rebalance");
    }

    /// How far forwarding is behind the ends of the partitions held.
    pub(super) fn lag(&mut self, extents: &[Extent], offsets: &Offsets) {
        let now_ms = unix_ms();
        for Extent { partition, start, end, .. } in extents {
            let Some(position) = offsets.acknowledged(*partition, *start) else { continue };
            let label = partition.0.to_string();
            let lag = (end.0 - position.0).max(0);
            self.metrics().lag_records.with_label_values(&[&label]).set(lag);
            let mut age_ms = 0;
            if lag == 0 {
                // The next record begins a wait of its own.
                self.reached_ms.remove(partition);
            } else {
                let reached_ms = *self.reached_ms.entry(*partition).or_insert(now_ms);
                age_ms = now_ms.saturating_sub(reached_ms).max(0);
            }
            self.metrics().lag_seconds.with_label_values(&[&label]).set(age_ms / 1000);
        }
    }

    /// A commit failed; it is repeated.
    pub(super) fn commit_failed(&mut self, error: &str, now: Instant) {
        self.metrics().commit_failures.inc();
        if let Some(trouble) = self.commit_failures.occurred(now) {
            tracing::warn!(
                thread = self.thread,
                error,
                count = trouble.occurrences,
                "offsets not committed: tried again, a crash before that repeats records"
            );
        }
    }

    /// The client reports trouble, or refuses what it was asked.
    pub(super) fn trouble(&mut self, error: &str, now: Instant) {
        if let Some(trouble) = self.troubles.occurred(now) {
            tracing::warn!(
                thread = self.thread, error, count = trouble.occurrences,
                lasting = ?trouble.lasting, "consumer has trouble: check the brokers"
            );
        }
    }

    /// A committed offset was out of range; librdkafka's words tell which, and where it goes on.
    pub(super) fn offset_reset(&mut self, what: &str, now: Instant) {
        self.metrics().offset_resets.inc();
        if let Some(trouble) = self.resets.occurred(now) {
            tracing::error!(
                thread = self.thread,
                what,
                count = trouble.occurrences,
                "committed offset is out of range, reading from the earliest record: see \
                 docs/OPERATIONS.md#offset-out-of-range"
            );
        }
    }

    /// A member with another assignor keeps us out of the group.
    pub(super) fn kept_out(&mut self, now: Instant) {
        if let Some(trouble) = self.troubles.occurred(now) {
            tracing::error!(
                thread = self.thread,
                count = trouble.occurrences,
                lasting = ?trouble.lasting,
                "kept out of the consumer group by a member with another assignor: see \
                 docs/OPERATIONS.md#another-assignor"
            );
        }
    }

    /// A silent partition is fetched anew.
    pub(super) fn sought(&self, partition: PartitionId, next: NextOffset) {
        self.metrics().watchdog_seeks.inc();
        tracing::warn!(
            thread = self.thread,
            partition = partition.0,
            offset = next.0,
            "partition was silent in spite of its lag: fetched anew"
        );
    }

    /// Whether every lane gets its records through, and what each waits for.
    pub(super) fn lanes(&self, well: bool, words: &str) {
        self.lanes.set(well, format!("{}: {words}", self.thread));
    }

    /// How many lanes work, and whether the consumer is paused.
    pub(super) fn loads(&self, lanes_working: usize, paused: bool) {
        let metrics = self.metrics();
        metrics.lanes_busy.with_label_values(&[&self.thread]).set(lanes_working as i64);
        metrics.paused.with_label_values(&[&self.thread]).set(i64::from(paused));
    }
}

fn unix_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_millis() as i64
}
