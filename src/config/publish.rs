//! How requests become records.

use super::{
    kinds::{Bytes, Choice, Choices},
    reader::Reader,
};
use crate::{limits, otlp::RecordMode};

/// How requests become records: mode, largest record, placement.
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// `KAFKA_RECORD_MODE`.
    pub record_mode: RecordMode,
    /// `KAFKA_RECORD_BYTES_MAX`: key and value of one record.
    pub record_bytes_max: usize,
    /// `KAFKA_PARTITIONER`.
    pub partitioner: Partitioner,
}

impl PublishConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Records");
        Self {
            record_mode: reader.read(
                "KAFKA_RECORD_MODE",
                RecordMode::Trace,
                Choices::new(),
                "One record per trace, keyed by trace id, or one per partition, without a key",
            ),
            record_bytes_max: reader.read(
                "KAFKA_RECORD_BYTES_MAX",
                limits::RECORD_BYTES_DEFAULT,
                Bytes(limits::RECORD_BYTES_RANGE),
                "Largest record; larger traces are cut between spans, larger spans rejected",
            ),
            partitioner: reader.read(
                "KAFKA_PARTITIONER",
                Partitioner::Murmur2,
                Choices::new(),
                "Places traces as Kafka's Java client (murmur2) or the Collector (fnv1a) does",
            ),
        }
    }
}

impl Choice for RecordMode {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("trace", Self::Trace), ("partition", Self::Partition)];
}

/// How a trace id becomes a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// As Kafka's Java client places the hexadecimal key.
    Murmur2,
    /// As the OpenTelemetry Collector places the hexadecimal key.
    Fnv1a,
}

impl Choice for Partitioner {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("murmur2", Self::Murmur2), ("fnv1a", Self::Fnv1a)];
}
