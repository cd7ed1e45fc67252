//! Just enough of the protobuf wire format to rearrange an OTLP request and to find what the
//! generator patches in it.
//!
//! Pure, and only ever given bytes that this program has encoded itself: malformed input is a
//! programmer's error and panics. It must never be used on what arrives from outside.

use std::ops::Range;

use crate::checksum::CHECKSUM_KEY;

/// One field of a message: its number, where it is as a whole, and where its value is.
struct Field {
    number: u32,
    /// From the tag to the end.
    whole: Range<usize>,
    /// The value alone: for a length-delimited field what follows the length.
    value: Range<usize>,
}

/// Where in an encoded request the generator writes for one span.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct SpanOffsets {
    pub(crate) trace_id: u32,
    pub(crate) span_id: u32,
    /// The whole field `parent_span_id`, from its tag.
    pub(crate) parent: u32,
    pub(crate) start_time: u32,
    pub(crate) end_time: u32,
    /// The text of the checksum attribute.
    pub(crate) checksum: u32,
}

impl SpanOffsets {
    /// Moves every offset by `bytes`, for what is put in front of the request.
    pub(crate) fn shift(&mut self, bytes: u32) {
        self.trace_id += bytes;
        self.span_id += bytes;
        self.parent += bytes;
        self.start_time += bytes;
        self.end_time += bytes;
        self.checksum += bytes;
    }
}

/// The same request with the fields of every message in descending order of their numbers, as the
/// Collector's encoder writes them. Elements of a repeated field keep their order.
pub(crate) fn descending(request: &[u8]) -> Vec<u8> {
    let mut reordered = Vec::with_capacity(request.len());
    append_descending(request, Message::Request, &mut reordered);
    reordered
}

/// Finds the fields to patch in an encoded `ExportTraceServiceRequest`, spans in wire order.
pub(crate) fn locate_spans(request: &[u8]) -> Vec<SpanOffsets> {
    let mut spans = Vec::new();
    for resource_spans in fields(request, 0..request.len()) {
        for scope_spans in fields(request, resource_spans.value).filter(|field| field.number == 2) {
            for span in fields(request, scope_spans.value).filter(|field| field.number == 2) {
                spans.push(locate_span(request, span.value));
            }
        }
    }
    spans
}

fn locate_span(request: &[u8], span: Range<usize>) -> SpanOffsets {
    let mut offsets = SpanOffsets::default();
    for field in fields(request, span) {
        let at = field.value.start as u32;
        match field.number {
            1 => offsets.trace_id = at,
            2 => offsets.span_id = at,
            4 => offsets.parent = field.whole.start as u32,
            7 => offsets.start_time = at,
            8 => offsets.end_time = at,
            9 => {
                if let Some(checksum) = locate_checksum(request, field.value) {
                    offsets.checksum = checksum;
                }
            }
            _ => {}
        }
    }
    offsets
}

/// Where the text of `attribute` begins, if that is the checksum.
fn locate_checksum(request: &[u8], attribute: Range<usize>) -> Option<u32> {
    let is_checksum = fields(request, attribute.clone())
        .any(|field| field.number == 1 && request[field.value] == *CHECKSUM_KEY.as_bytes());
    let value = fields(request, attribute).find(|field| is_checksum && field.number == 2)?;
    fields(request, value.value).next().map(|text| text.value.start as u32)
}

/// The messages of an OTLP trace request whose fields have an order.
#[derive(Clone, Copy)]
enum Message {
    /// A message that holds attributes, in the field of this number.
    Attributed(u32),
    /// A message in which nothing needs reordering below its own fields.
    Leaf,
    Request,
    ResourceSpans,
    ScopeSpans,
    Span,
}

impl Message {
    /// The message that a field of this one holds; `None` for scalars, strings and bytes.
    fn child(self, field: u32) -> Option<Self> {
        let child = match (self, field) {
            (Self::Request, 1) => Self::ResourceSpans,
            (Self::ResourceSpans, 1) => Self::Attributed(1),
            (Self::ResourceSpans, 2) => Self::ScopeSpans,
            (Self::ScopeSpans, 1) => Self::Attributed(3),
            (Self::ScopeSpans, 2) => Self::Span,
            (Self::Span, 9) => Self::Leaf,
            (Self::Span, 11) => Self::Attributed(3),
            (Self::Span, 13) => Self::Attributed(4),
            (Self::Span, 15) => Self::Leaf,
            (Self::Attributed(attributes), _) if field == attributes => Self::Leaf,
            _ => return None,
        };
        Some(child)
    }
}

fn append_descending(message: &[u8], kind: Message, reordered: &mut Vec<u8>) {
    let mut sorted: Vec<Field> = fields(message, 0..message.len()).collect();
    sorted.sort_by_key(|field| std::cmp::Reverse(field.number));
    for field in sorted {
        match kind.child(field.number) {
            Some(child) => {
                // Reordering inside changes no length, so the tag and the length stay as they are.
                reordered.extend_from_slice(&message[field.whole.start..field.value.start]);
                append_descending(&message[field.value], child, reordered);
            }
            None => reordered.extend_from_slice(&message[field.whole]),
        }
    }
}

/// The fields of the message at `range`, with positions in `bytes`.
fn fields(bytes: &[u8], range: Range<usize>) -> impl Iterator<Item = Field> {
    let mut at = range.start;
    std::iter::from_fn(move || {
        if at == range.end {
            return None;
        }
        let start = at;
        let tag = varint(bytes, &mut at);
        let value = match tag & 7 {
            0 => {
                let value_start = at;
                varint(bytes, &mut at);
                value_start..at
            }
            1 => at..at + 8,
            2 => {
                let length = varint(bytes, &mut at) as usize;
                at..at + length
            }
            5 => at..at + 4,
            wire_type => panic!("wire type {wire_type} is not written by an OTLP encoder"),
        };
        at = value.end;
        assert!(at <= range.end, "a field ends after its message");
        Some(Field { number: (tag >> 3) as u32, whole: start..at, value })
    })
}

fn varint(bytes: &[u8], at: &mut usize) -> u64 {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = bytes[*at];
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return value;
        }
    }
    panic!("a varint is at most ten bytes long");
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::common::v1::any_value::Value;
    use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
    use opentelemetry_proto::tonic::trace::v1::span::{Event, Link};
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
    use prost::Message as _;

    use super::{descending, locate_spans};
    use crate::checksum::CHECKSUM_KEY;

    fn nested_request() -> ExportTraceServiceRequest {
        let text = |text: &str| AnyValue { value: Some(Value::StringValue(text.to_owned())) };
        let list = ArrayValue { values: vec![text("one"), text("two")] };
        let checksum = KeyValue {
            key: CHECKSUM_KEY.to_owned(),
            value: Some(text("sum")),
            ..KeyValue::default()
        };
        let attribute = KeyValue {
            key: "list".to_owned(),
            value: Some(AnyValue { value: Some(Value::ArrayValue(list)) }),
            ..KeyValue::default()
        };
        let span = Span {
            trace_id: vec![1; 16],
            span_id: vec![2; 8],
            parent_span_id: vec![3; 8],
            name: "x".repeat(200),
            start_time_unix_nano: 4,
            end_time_unix_nano: 5,
            attributes: vec![attribute.clone(), checksum, attribute.clone()],
            events: vec![Event { name: "e".to_owned(), ..Event::default() }],
            links: vec![Link { attributes: vec![attribute], ..Link::default() }],
            status: Some(Status { message: "m".to_owned(), code: 2 }),
            ..Span::default()
        };
        let scope_spans = ScopeSpans {
            spans: vec![span.clone(), span],
            schema_url: "s".to_owned(),
            ..ScopeSpans::default()
        };
        ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                scope_spans: vec![scope_spans],
                schema_url: "r".to_owned(),
                ..ResourceSpans::default()
            }],
        }
    }

    /// Reordering keeps the meaning and the size, and puts the trace id last in its span.
    #[test]
    fn descending_order_means_the_same() {
        let request = nested_request();
        let ascending = request.encode_to_vec();
        let descending = descending(&ascending);
        assert_ne!(ascending, descending);
        assert_eq!(ascending.len(), descending.len());
        assert!(descending.ends_with(&[&[0x0a, 16][..], &[1; 16][..]].concat()));
        assert_eq!(ExportTraceServiceRequest::decode(&descending[..]).unwrap(), request);
    }

    /// Every patched field is found in both orders.
    #[test]
    fn spans_are_located_in_both_orders() {
        let ascending = nested_request().encode_to_vec();
        for bytes in [descending(&ascending), ascending] {
            let spans = locate_spans(&bytes);
            assert_eq!(spans.len(), 2);
            let at = |offset: u32| &bytes[offset as usize..];
            for span in spans {
                assert_eq!(at(span.trace_id)[..16], [1; 16]);
                assert_eq!(at(span.span_id)[..8], [2; 8]);
                assert_eq!(at(span.parent)[..10], [0x22, 8, 3, 3, 3, 3, 3, 3, 3, 3]);
                assert_eq!(at(span.start_time)[..8], 4_u64.to_le_bytes());
                assert_eq!(at(span.end_time)[..8], 5_u64.to_le_bytes());
                assert_eq!(at(span.checksum)[..3], *b"sum");
            }
        }
    }
}
