//! What lies in the dead-letter topic: letters, and marks of those that were replayed.
//!
//! Pure: what a record holds in, what it means out. On the main thread of the `dlq` task. Anybody
//! may have written the record, so it must not panic on any header, and must not send a letter to
//! where a header does not say it came from.

use std::fmt;

use super::PartitionId;
use crate::config::is_topic;

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

    /// Where the letter came from, if its headers name a place that Kafka can have.
    ///
    /// A topic that cannot be would end a replay here every time; a partition below 0 would let
    /// the producer choose one.
    pub fn origin(&self) -> Option<Origin<'_>> {
        let partition: i32 = self.header("original.partition")?.parse().ok()?;
        let topic = self.header("original.topic")?;
        let is_place = partition >= 0 && is_topic(topic);
        is_place.then_some(Origin { topic, partition: PartitionId(partition) })
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

#[cfg(test)]
mod tests {
    use super::*;

    fn record(headers: &[(&str, &str)]) -> Letter {
        let id = LetterId { partition: PartitionId(2), offset: 7 };
        let mut record =
            Letter { id, timestamp_ms: None, headers: Vec::new(), key: None, value: Vec::new() };
        for (name, value) in headers {
            record.add_header(name.as_bytes(), Some(value.as_bytes()));
        }
        record
    }

    /// A mark is what names a letter and has no value; all else is a letter.
    #[test]
    fn marks_are_told_from_letters() {
        let mark = record(&[("a", "b"), (REPLAYED_HEADER, "2/7")]);
        assert_eq!(Found::new(mark.clone(), false), Found::Replayed(mark.id));
        let names_nothing = record(&[(REPLAYED_HEADER, "2/")]);
        for (letter, has_value) in [(mark, true), (names_nothing, false), (record(&[]), false)] {
            assert_eq!(Found::new(letter.clone(), has_value), Found::Letter(letter));
        }
    }

    /// A letter goes back to the place in its headers, and nowhere if Kafka cannot have that place.
    #[test]
    fn origin_is_a_place() {
        let headers = |topic, partition| {
            record(&[
                ("otel.dlq.original.topic", topic),
                ("otel.dlq.original.partition", partition),
            ])
        };
        let letter = headers("otel.traces", "3");
        let origin = Origin { topic: "otel.traces", partition: PartitionId(3) };
        assert_eq!(letter.origin(), Some(origin));
        for (topic, partition) in [("a", "-1"), ("a", "x"), ("", "0"), ("a\0b", "0"), ("..", "0")] {
            assert_eq!(headers(topic, partition).origin(), None, "{topic:?} {partition}");
        }
        assert_eq!(record(&[]).origin(), None);
    }

    /// What is not UTF-8 becomes text, and a null value an empty one.
    #[test]
    fn headers_become_text() {
        let mut letter = record(&[]);
        letter.add_header(b"caf\xe9", None);
        assert_eq!(letter.headers, [("caf\u{fffd}".to_owned(), String::new())]);
    }
}
