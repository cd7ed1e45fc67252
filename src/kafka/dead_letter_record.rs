//! What lies in the dead-letter topic: letters, and marks of those that were replayed.
//!
//! Pure: what a record holds in, what it means out. On the main thread of the `dlq` task. Anybody
//! may have written the record, so it must not panic on any header, and must not send a letter to
//! where a header does not say it came from.

use std::fmt;

use super::PartitionId;

/// On a record that was replayed, and on the mark that says so: partition and offset of the letter.
pub(super) const REPLAYED_HEADER: &str = "otel.dlq.replayed";

/// Where a letter lies in the dead-letter topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LetterId {
    /// Its partition.
    pub partition: PartitionId,
    /// Its offset there.
    pub offset: i64,
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.partition.0, self.offset)
    }
}

impl LetterId {
    /// Reads what [`fmt::Display`] writes.
    fn parse(text: &str) -> Option<Self> {
        let (partition, offset) = text.split_once('/')?;
        let partition = PartitionId(partition.parse().ok()?);
        Some(Self { partition, offset: offset.parse().ok()? })
    }
}

/// A record of the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Letter {
    /// Where it lies.
    pub id: LetterId,
    /// Kafka's timestamp in Unix milliseconds.
    pub timestamp_ms: Option<i64>,
    /// Every header, in order; what is not text is made so.
    pub headers: Vec<(String, String)>,
    /// The original's key, `None` when null.
    pub key: Option<Vec<u8>>,
    /// The original's value, or the part that was set aside.
    pub value: Vec<u8>,
}

impl Letter {
    /// The value of the header `otel.dlq.<name>`.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |key: &str| key.strip_prefix("otel.dlq.") == Some(name);
        self.headers.iter().find(|(key, _)| named(key)).map(|(_, value)| value.as_str())
    }

    /// Notes the next header of the record.
    pub fn add_header(&mut self, name: &[u8], value: Option<&[u8]>) {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        self.headers.push((text(name), text(value.unwrap_or_default())));
    }

    /// Where the letter came from, if its headers name a place.
    pub fn origin(&self) -> Option<Origin<'_>> {
        let partition = self.header("original.partition")?.parse().ok()?;
        let topic = self.header("original.topic")?;
        Some(Origin { topic, partition: PartitionId(partition) })
    }
}

/// Where a letter came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Origin<'a> {
    /// The topic of the original.
    pub topic: &'a str,
    /// The partition of the original.
    pub partition: PartitionId,
}

/// What lies in the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found {
    /// A letter.
    Letter(Letter),
    /// The mark that a letter before it in this partition was replayed.
    Replayed(LetterId),
}

impl Found {
    /// Tells marks from letters: a mark names a letter and has no value.
    pub fn new(record: Letter, has_value: bool) -> Self {
        let named = record.headers.iter().find(|(key, _)| key == REPLAYED_HEADER);
        match named.and_then(|(_, id)| LetterId::parse(id)) {
            Some(replayed) if !has_value => Self::Replayed(replayed),
            _ => Self::Letter(record),
        }
    }
}
