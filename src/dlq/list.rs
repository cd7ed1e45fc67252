//! A letter in one line. Pure.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use super::selection::set_aside;
use crate::kafka::Letter;

/// What stands in place of what a foreign record does not have.
const ABSENT: &str = "-";

/// The titles of the columns.
pub(super) fn titles() -> String {
    columns(["LETTER", "SET ASIDE", "REASON", "SPANS", "BYTES", "REPLAYED", "ORIGINAL"])
}

/// A letter under those titles.
pub(super) fn line(letter: &Letter, is_replayed: bool) -> String {
    columns([
        &letter.id.to_string(),
        &set_aside(letter).map_or_else(|| ABSENT.to_owned(), |moment| moment.to_string()),
        &plain(letter.header("reason")),
        &span_count(letter).map_or_else(|| ABSENT.to_owned(), |count| count.to_string()),
        &letter.value.len().to_string(),
        if is_replayed { "yes" } else { "no" },
        &original(letter),
    ])
}

/// Where the letter came from, as `topic/partition/offset`.
pub(super) fn original(letter: &Letter) -> String {
    ["original.topic", "original.partition", "original.offset"]
        .map(|name| plain(letter.header(name)))
        .join("/")
}

fn plain(header: Option<&str>) -> String {
    header.map_or_else(|| ABSENT.to_owned(), |text| text.escape_debug().to_string())
}

/// Spans in the letter, if it is a request.
fn span_count(letter: &Letter) -> Option<usize> {
    let request = ExportTraceServiceRequest::decode(letter.value.as_slice()).ok()?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Some(scopes.map(|scope| scope.spans.len()).sum())
}

fn columns([letter, time, reason, spans, bytes, replayed, original]: [&str; 7]) -> String {
    format!("{letter:<10} {time:<24} {reason:<13} {spans:>6} {bytes:>8} {replayed:<8} {original}\n")
}
