//! The framing walk: whether a Kafka record is a whole request, as far as its top level shows.
//!
//! Pure; called by the forwarder before it appends a record to a batch. Two requests back to back
//! are one valid request, but only if the first ends where it should: a truncated or foreign record
//! would swallow what comes after it.

use super::schema::REQUEST;
use super::wire::{Cursor, Malformed};

/// Walks the top-level fields of `record`, an ExportTraceServiceRequest, to its exact end.
///
/// Unknown fields are tolerated, what is inside a field is not looked at, and an empty record is a
/// request without spans.
pub fn walk(record: &[u8]) -> Result<(), Malformed> {
    let mut message = Cursor::new(record, 0, record.len());
    while message.field(REQUEST)?.is_some() {}
    Ok(())
}
