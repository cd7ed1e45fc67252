//! A letter in full, for people: headers, then resource, scope and spans. Pure.
//!
//! All text in it is foreign: it is quoted, and control characters are escaped.

use std::fmt::Write;

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, KeyValue, any_value::Value},
    trace::v1::{Span, span::SpanKind, status::StatusCode},
};
use prost::Message;

use super::{
    Timestamp,
    list::{line, titles},
};
use crate::kafka::Letter;

/// Everything in a letter.
pub(super) fn page(letter: &Letter, is_replayed: bool) -> String {
    let mut page = titles() + &line(letter, is_replayed);
    let key = letter.key.as_ref().map(|key| key.escape_ascii().to_string());
    item(&mut page, 1, "key", key.as_deref().unwrap_or("none"));
    for (name, value) in &letter.headers {
        item(&mut page, 1, &name.escape_debug().to_string(), &format!("{value:?}"));
    }
    match ExportTraceServiceRequest::decode(letter.value.as_slice()) {
        Ok(request) => spans(&mut page, &request),
        Err(error) => {
            item(&mut page, 1, "not OTLP", &error.to_string());
            item(&mut page, 1, "bytes", &letter.value.escape_ascii().to_string());
        }
    }
    page
}

fn spans(page: &mut String, request: &ExportTraceServiceRequest) {
    for resource in &request.resource_spans {
        item(page, 1, "resource", &format!("schema {:?}", resource.schema_url));
        attributes(page, 2, resource.resource.as_ref().map_or(&[], |it| &it.attributes));
        for scope in &resource.scope_spans {
            let named = scope.scope.as_ref();
            let name = named.map_or("", |it| &it.name);
            let version = named.map_or("", |it| &it.version);
            item(page, 2, "scope", &format!("{name:?} version {version:?}"));
            attributes(page, 3, named.map_or(&[], |it| &it.attributes));
            scope.spans.iter().for_each(|it| span(page, it));
        }
    }
}

fn span(page: &mut String, span: &Span) {
    item(page, 3, "span", &format!("{:?}", span.name));
    item(page, 4, "trace id", &hex(&span.trace_id));
    item(page, 4, "span id", &hex(&span.span_id));
    item(page, 4, "parent span id", &hex(&span.parent_span_id));
    let kind = SpanKind::try_from(span.kind).map_or("unknown", |kind| kind.as_str_name());
    item(page, 4, "kind", kind);
    item(page, 4, "start", &moment(span.start_time_unix_nano));
    item(page, 4, "end", &moment(span.end_time_unix_nano));
    if let Some(status) = &span.status {
        let code = StatusCode::try_from(status.code).map_or("unknown", |code| code.as_str_name());
        item(page, 4, "status", &format!("{code} {:?}", status.message));
    }
    attributes(page, 4, &span.attributes);
    for event in &span.events {
        item(page, 4, "event", &format!("{:?} at {}", event.name, moment(event.time_unix_nano)));
        attributes(page, 5, &event.attributes);
    }
    for link in &span.links {
        item(page, 4, "link", &format!("{} {}", hex(&link.trace_id), hex(&link.span_id)));
        attributes(page, 5, &link.attributes);
    }
}

fn attributes(page: &mut String, depth: usize, attributes: &[KeyValue]) {
    for KeyValue { key, value, .. } in attributes {
        let value = value.as_ref().map_or_else(|| "none".to_owned(), any);
        item(page, depth, &key.escape_debug().to_string(), &value);
    }
}

/// Nested no deeper than the decoder lets through.
fn any(value: &AnyValue) -> String {
    let list = |values: Vec<String>| values.join(", ");
    match &value.value {
        None => "none".to_owned(),
        Some(Value::StringValue(text)) => format!("{text:?}"),
        Some(Value::BoolValue(value)) => value.to_string(),
        Some(Value::IntValue(value)) => value.to_string(),
        Some(Value::DoubleValue(value)) => value.to_string(),
        Some(Value::BytesValue(bytes)) => format!("bytes {}", hex(bytes)),
        Some(Value::StringValueStrindex(index)) => format!("string {index}"),
        Some(Value::ArrayValue(array)) => {
            format!("[{}]", list(array.values.iter().map(any).collect()))
        }
        Some(Value::KvlistValue(pairs)) => {
            let pair = |it: &KeyValue| {
                format!("{:?}: {}", it.key, it.value.as_ref().map_or_else(String::new, any))
            };
            format!("{{{}}}", list(pairs.values.iter().map(pair).collect()))
        }
    }
}

fn moment(unix_nano: u64) -> String {
    Timestamp((unix_nano / 1_000_000) as i64).to_string()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        // Writing to a String cannot fail.
        write!(text, "{byte:02x}").ok();
        text
    })
}

fn item(page: &mut String, depth: usize, name: &str, value: &str) {
    // Writing to a String cannot fail.
    writeln!(page, "{:indent$}{name}: {value}", "", indent = 2 * depth).ok();
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{LetterId, PartitionId};

    /// Whoever may write a letter moves no cursor and adds no line, by whichever part of it.
    #[test]
    fn foreign_text_is_quoted() {
        let hostile = "\u{1b}[2J\nfake: line\u{202e}".to_owned();
        let letter = Letter {
            id: LetterId { partition: PartitionId(0), offset: 0 },
            timestamp_ms: None,
            headers: vec![(hostile.clone(), hostile.clone())],
            key: Some(hostile.clone().into_bytes()),
            value: hostile.into_bytes(),
        };
        let page = page(&letter, false);
        assert!(!page.contains(['\u{1b}', '\u{202e}']), "{page:?}");
        assert_eq!(page.lines().count(), 6, "{page}");
        assert!(page.contains(r"  \u{1b}[2J\nfake: line\u{202e}: "), "{page}");
    }
}
