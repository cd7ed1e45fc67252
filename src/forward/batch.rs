//! Records on their way to the backend as one OTLP request.
//!
//! Pure; owned by a lane. OTLP requests back to back are one valid merged request, so records are
//! concatenated and never decoded. The message starts with the prefix of a gRPC message: what is
//! sent is this buffer and no copy of it.

use std::time::Instant;

use bytes::{BufMut, Bytes, BytesMut};

use crate::{
    kafka::{PartitionId, Record},
    otlp::TraceId,
};

/// Length of gRPC's message prefix: one byte "not compressed", four bytes of length.
pub(super) const PREFIX_BYTES: usize = 5;

/// Counts the assignments of a partition to this consumer; what an older one received is stale.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Generation(pub(super) u32);

/// How much of a record an entry holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// All of it.
    Whole,
    /// The spans of one of its traces.
    Trace {
        trace: TraceId,
        /// Behind the last one, the record is done with.
        is_last: bool,
    },
}

/// Where a record came from and where its bytes end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) partition: PartitionId,
    pub(super) generation: Generation,
    pub(super) offset: i64,
    pub(super) timestamp_ms: Option<i64>,
    pub(super) part: Part,
    /// A null value: nothing to send, but its place in the order is kept.
    pub(super) tombstone: bool,
    /// False for a null key.
    keyed: bool,
    /// End of the value in the message; it starts where the one before ends.
    value_end: usize,
    /// End of the key among the keys.
    key_end: usize,
}

impl Entry {
    /// True when the record is done with once this entry is: of each record, one entry is so.
    pub(super) fn ends_record(&self) -> bool {
        !matches!(self.part, Part::Trace { is_last: false, .. })
    }

    /// The trace that it holds of a record of several.
    pub(super) fn trace(&self) -> Option<TraceId> {
        match self.part {
            Part::Whole => None,
            Part::Trace { trace, .. } => Some(trace),
        }
    }
}

/// How many records end among `entries`: each counts once, however many parts it is in.
pub(super) fn record_count(entries: &[Entry]) -> usize {
    entries.iter().filter(|entry| entry.ends_record()).count()
}

/// A batch that still takes records.
#[derive(Debug, Default)]
pub(super) struct OpenBatch {
    message: BytesMut,
    keys: Vec<u8>,
    entries: Vec<Entry>,
    opened: Option<Instant>,
}

impl OpenBatch {
    /// Reuses the memory of a message that has been sent.
    pub(super) fn in_buffer(mut message: BytesMut) -> Self {
        message.clear();
        Self { message, ..Self::default() }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Whether a value still fits below `bytes_max`; the first record always does.
    pub(super) fn has_room(&self, value_bytes: usize, bytes_max: usize) -> bool {
        self.entries.is_empty() || self.message.len() + value_bytes <= bytes_max + PREFIX_BYTES
    }

    /// When the first record came.
    pub(super) fn opened(&self) -> Option<Instant> {
        self.opened
    }

    /// Appends a record; the only copy of its value that is made.
    pub(super) fn append(&mut self, record: &Record<'_>, generation: Generation, now: Instant) {
        self.append_part(record, Part::Whole, generation, now);
    }

    /// Appends a record whose value is only a part of what was consumed.
    pub(super) fn append_part(
        &mut self,
        record: &Record<'_>,
        part: Part,
        generation: Generation,
        now: Instant,
    ) {
        if self.message.is_empty() {
            self.message.put_bytes(0, PREFIX_BYTES);
        }
        self.opened.get_or_insert(now);
        self.message.extend_from_slice(record.value.unwrap_or_default());
        self.keys.extend_from_slice(record.key.unwrap_or_default());
        self.entries.push(Entry {
            partition: record.partition,
            generation,
            offset: record.offset,
            timestamp_ms: record.timestamp_ms,
            part,
            tombstone: record.value.is_none(),
            keyed: record.key.is_some(),
            value_end: self.message.len(),
            key_end: self.keys.len(),
        });
    }

    /// Takes no further record: writes the prefix.
    pub(super) fn close(mut self) -> Batch {
        let payload_bytes = self.message.len().saturating_sub(PREFIX_BYTES) as u32;
        if let Some(length) = self.message.get_mut(1..PREFIX_BYTES) {
            length.copy_from_slice(&payload_bytes.to_be_bytes());
        }
        Batch { message: self.message.freeze(), keys: self.keys, entries: self.entries }
    }
}

/// A batch whose bytes are final.
#[derive(Debug)]
pub(super) struct Batch {
    message: Bytes,
    keys: Vec<u8>,
    entries: Vec<Entry>,
}

impl Batch {
    /// What goes over the wire: prefix and payload. Cloning counts a reference.
    pub(super) fn message(&self) -> &Bytes {
        &self.message
    }

    /// Bytes of all values; zero means that there is nothing to send.
    pub(super) fn payload_bytes(&self) -> usize {
        self.message.len().saturating_sub(PREFIX_BYTES)
    }

    pub(super) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The record at `index` of the entries, as it was consumed.
    pub(super) fn record(&self, index: usize) -> Record<'_> {
        let entry = &self.entries[index];
        let (value_start, key_start) = match index.checked_sub(1) {
            Some(before) => (self.entries[before].value_end, self.entries[before].key_end),
            None => (PREFIX_BYTES, 0),
        };
        Record {
            partition: entry.partition,
            offset: entry.offset,
            timestamp_ms: entry.timestamp_ms,
            key: entry.keyed.then(|| &self.keys[key_start..entry.key_end]),
            value: (!entry.tombstone).then(|| &self.message[value_start..entry.value_end]),
        }
    }

    /// Two batches that together hold the same records in the same order.
    pub(super) fn halve(&self, now: Instant) -> (Self, Self) {
        let middle = self.entries.len() / 2;
        (
            self.copy(now, |index, _| index < middle).close(),
            self.copy(now, |index, _| index >= middle).close(),
        )
    }

    /// A batch of those records that `keep` wants, in the same order.
    pub(super) fn retain(&self, now: Instant, keep: impl Fn(&Entry) -> bool) -> OpenBatch {
        self.copy(now, |_, entry| keep(entry))
    }

    /// The buffer for another batch, if nobody else holds it any more.
    pub(super) fn into_buffer(self) -> Option<BytesMut> {
        self.message.try_into_mut().ok()
    }

    fn copy(&self, now: Instant, keep: impl Fn(usize, &Entry) -> bool) -> OpenBatch {
        let mut copy = OpenBatch::default();
        for (index, entry) in self.entries.iter().enumerate() {
            if keep(index, entry) {
                copy.append_part(&self.record(index), entry.part, entry.generation, now);
            }
        }
        copy
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, option, prelude::any, prop_assert, prop_assert_eq, proptest};

    use super::*;

    type Owned = (i32, Option<Vec<u8>>, Option<Vec<u8>>);

    fn record(offset: usize, owned: &Owned) -> Record<'_> {
        Record {
            partition: PartitionId(owned.0),
            offset: offset as i64,
            timestamp_ms: Some(offset as i64),
            key: owned.1.as_deref(),
            value: owned.2.as_deref(),
        }
    }

    fn filled(records: &[Owned]) -> Batch {
        let mut open = OpenBatch::default();
        for (offset, owned) in records.iter().enumerate() {
            open.append(&record(offset, owned), Generation(1), Instant::now());
        }
        open.close()
    }

    fn all(batch: &Batch) -> Vec<(i64, Owned)> {
        let one = |index| {
            let record = batch.record(index);
            let (key, value) = (record.key.map(Vec::from), record.value.map(Vec::from));
            (record.offset, (record.partition.0, key, value))
        };
        (0..batch.entries().len()).map(one).collect()
    }

    fn records() -> impl proptest::strategy::Strategy<Value = Vec<Owned>> {
        let bytes = || option::of(vec(any::<u8>(), 0..40));
        vec((0..4_i32, bytes(), bytes()), 0..40)
    }

    proptest! {
        /// The message is gRPC's prefix and the values back to back; every record comes back whole.
        #[test]
        fn nothing_is_lost(records in records()) {
            let batch = filled(&records);
            let values: Vec<u8> =
                records.iter().flat_map(|it| it.2.clone().unwrap_or_default()).collect();
            if !records.is_empty() {
                prop_assert_eq!(&batch.message()[PREFIX_BYTES..], &values[..]);
                prop_assert_eq!(batch.message()[0], 0);
                prop_assert_eq!(&batch.message()[1..5], &(values.len() as u32).to_be_bytes()[..]);
            }
            let expected: Vec<(i64, Owned)> = (0..).zip(records).collect();
            prop_assert_eq!(all(&batch), expected);
        }

        /// Halves hold the same records in order, and retaining takes out exactly what it should.
        #[test]
        fn parts_keep_records(records in records(), partition in 0..4_i32) {
            let batch = filled(&records);
            let (left, right) = batch.halve(Instant::now());
            let mut parts = all(&left);
            parts.extend(all(&right));
            prop_assert_eq!(parts, all(&batch));
            let kept = batch.retain(Instant::now(), |entry| entry.partition.0 != partition);
            let mut expected = all(&batch);
            expected.retain(|(_, owned)| owned.0 != partition);
            prop_assert_eq!(all(&kept.close()), expected);
        }

        /// A batch that asks for room never exceeds its limit, but for a single record alone.
        #[test]
        fn limit_is_kept(sizes in vec(0..300_usize, 1..60), bytes_max in 1..1000_usize) {
            let mut open = OpenBatch::default();
            for (offset, size) in sizes.into_iter().enumerate() {
                let owned = (0, None, Some(vec![7; size]));
                if !open.has_room(size, bytes_max) {
                    open = OpenBatch::default();
                }
                open.append(&record(offset, &owned), Generation(1), Instant::now());
                let payload_bytes = open.message.len() - PREFIX_BYTES;
                prop_assert!(payload_bytes <= bytes_max || open.entries.len() == 1);
            }
        }
    }

    /// The buffer of a batch is used again only when no sender holds it.
    #[test]
    fn buffer_is_reused_when_free() {
        let batch = filled(&[(0, None, Some(vec![1; 100]))]);
        let in_flight = batch.message().clone();
        assert!(batch.into_buffer().is_none());
        drop(in_flight);
        let batch = filled(&[(0, None, Some(vec![1; 100]))]);
        let reused = OpenBatch::in_buffer(batch.into_buffer().expect("nobody else holds it"));
        assert!(reused.is_empty() && reused.message.capacity() >= 100);
    }
}
