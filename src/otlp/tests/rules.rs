//! The rules of the split, one by one: what is accepted, rejected, kept and where it goes.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;

use super::encode::{FieldOrder, Message};
use super::model::{UNKNOWN, attribute_of_levels, bare_span, levels_max, trace};
use crate::otlp::{
    Outcome, RecordMode, RejectReason, Rejections, SplitError, SplitRules, Splitter, TraceId, walk,
};

const RULES: SplitRules =
    SplitRules { mode: RecordMode::Trace, record_bytes_max: 900 * 1024, partition_count: 4 };

fn place(trace: &TraceId) -> u32 {
    u32::from(trace.0[0]) % RULES.partition_count
}

/// Splits, and answers with the records' bytes too.
fn split(request: &[u8], rules: &SplitRules) -> Result<(Outcome, Vec<Vec<u8>>), SplitError> {
    let mut splitter = Splitter::new();
    let outcome = splitter.split(request, rules, place)?;
    let mut scratch = Vec::new();
    let records = splitter.records().iter();
    Ok((outcome, records.map(|it| splitter.write(request, it, &mut scratch).to_vec()).collect()))
}

/// A request of one Resource and one scope, with nothing but the spans.
fn request(spans: impl IntoIterator<Item = Message>) -> Vec<u8> {
    let scope_spans = Message::new().messages(2, spans);
    let resource_spans = Message::new().message(2, scope_spans);
    Message::new().message(1, resource_spans).encode(FieldOrder::Ascending)
}

/// The fate of a single span.
fn rejection(span: Message) -> Option<RejectReason> {
    let (outcome, records) = split(&request([span]), &RULES).unwrap();
    assert_eq!(outcome.span_count + outcome.rejected.total(), 1);
    assert_eq!(records.len() as u64, outcome.span_count);
    outcome.rejected.first()
}

fn good() -> Message {
    bare_span(trace(1), 1)
}

/// Requests without spans, the empty one included, succeed and make no record.
#[test]
fn no_spans_no_records() {
    let empty_scope = request([]);
    let empty_resource = Message::new().bytes(1, "").encode(FieldOrder::Ascending);
    for request in [Vec::new(), empty_scope, empty_resource] {
        let (outcome, records) = split(&request, &RULES).unwrap();
        let expected = Outcome { span_count: 0, rejected: Rejections::default(), fell_back: false };
        assert_eq!((outcome, records), (expected, Vec::new()));
    }
}

/// A trace id is good if it is 16 bytes and not all zero.
#[test]
fn trace_id_rule() {
    let span = |id: &[u8]| Message::new().bytes(1, id).bytes(2, [1; 8]);
    assert_eq!(rejection(span(&[1; 16])), None);
    for bad in [&[0; 16][..], &[1; 15], &[1; 17], &[]] {
        assert_eq!(rejection(span(bad)), Some(RejectReason::TraceId));
    }
    assert_eq!(rejection(Message::new().bytes(2, [1; 8])), Some(RejectReason::TraceId));
}

/// A span id is good if it is 8 bytes and not all zero.
#[test]
fn span_id_rule() {
    let span = |id: &[u8]| Message::new().bytes(1, [1; 16]).bytes(2, id);
    assert_eq!(rejection(span(&[1; 8])), None);
    for bad in [&[0; 8][..], &[1; 7], &[1; 16], &[]] {
        assert_eq!(rejection(span(bad)), Some(RejectReason::SpanId));
    }
}

/// A parent's span id may be absent, empty or all zero, but not of another length.
#[test]
fn parent_span_id_rule() {
    for parent in [&[1; 8][..], &[0; 8], &[]] {
        assert_eq!(rejection(good().bytes(4, parent)), None);
    }
    assert_eq!(rejection(good().bytes(4, [1; 16])), Some(RejectReason::ParentSpanId));
}

/// A link's ids may be absent or empty, but not of another length.
#[test]
fn link_id_rule() {
    let linked = |trace_id: &[u8], span_id: &[u8]| {
        rejection(good().message(13, Message::new().bytes(1, trace_id).bytes(2, span_id)))
    };
    assert_eq!(linked(&[1; 16], &[1; 8]), None);
    assert_eq!(linked(&[], &[]), None);
    assert_eq!(linked(&[1; 15], &[1; 8]), Some(RejectReason::LinkId));
    assert_eq!(linked(&[1; 16], &[1; 9]), Some(RejectReason::LinkId));
}

/// Of several trace ids the last is the span's, an empty last one is none, and a wrong length in
/// any of them rejects the span: Jaeger's decoder stops at the first.
#[test]
fn last_trace_id_wins() {
    let span = good().bytes(1, trace(7).0);
    let request_of_two = request([span, good()]);
    let mut splitter = Splitter::new();
    splitter.split(&request_of_two, &RULES, place).unwrap();
    let keys: Vec<_> = splitter.records().iter().map(|record| record.key.unwrap()).collect();
    assert_eq!(keys, [trace(7), trace(1)]);

    assert_eq!(rejection(good().bytes(1, "")), Some(RejectReason::TraceId));
    let short_first = Message::new().bytes(1, [1; 3]).bytes(1, [1; 16]).bytes(2, [1; 8]);
    assert_eq!(rejection(short_first), Some(RejectReason::TraceId));
}

/// Attributes nested as deep as the limit pass, one level more is rejected: in attributes, events
/// and links, by arrays and by key-value lists.
#[test]
fn nesting_rule() {
    for lists in [false, true] {
        let holders: [fn(Message) -> Message; 3] = [
            |attribute| good().message(9, attribute),
            |attribute| good().message(11, Message::new().bytes(2, "e").message(3, attribute)),
            |attribute| good().message(13, Message::new().bytes(1, [1; 16]).message(4, attribute)),
        ];
        for hold in holders {
            let of_levels = |levels| rejection(hold(attribute_of_levels(levels, lists)));
            assert_eq!(of_levels(levels_max(lists)), None);
            assert_eq!(of_levels(levels_max(lists) + 1), Some(RejectReason::Nesting));
        }
    }
}

/// What is let through is not too deep for a decoder that stops at 100 messages, wherever it lies.
#[test]
fn the_deepest_can_be_decoded() {
    for lists in [false, true] {
        let attribute = || attribute_of_levels(levels_max(lists), lists);
        let event = Message::new().bytes(2, "e").message(3, attribute());
        let span = good().message(9, attribute()).message(11, event);
        let request = Message::new()
            .message(1, Message::new().message(2, Message::new().message(2, span)))
            .encode(FieldOrder::Ascending);
        assert_eq!(split(&request, &RULES).unwrap().0.span_count, 1);
        ExportTraceServiceRequest::decode(request.as_slice()).unwrap();
    }
}

/// A Resource or a scope nested too deep rejects every span beneath it and no other, in either
/// field order; spans that are bad themselves keep their own reason.
#[test]
fn header_nesting_rule() {
    let deep = || attribute_of_levels(levels_max(false) + 1, false);
    let deep_resource = Message::new().message(1, deep());
    let deep_scope = Message::new().message(3, deep());
    let spans = |ids: [u64; 2]| ids.map(|id| bare_span(trace(1), id));
    let bad = Message::new().bytes(1, [1; 16]);
    let under_resource = Message::new()
        .message(1, deep_resource)
        .message(2, Message::new().messages(2, spans([1, 2])).message(2, bad));
    let under_scope = Message::new()
        .message(2, Message::new().message(1, deep_scope).messages(2, spans([3, 4])))
        .message(2, Message::new().messages(2, spans([5, 6])));
    for order in [FieldOrder::Ascending, FieldOrder::Descending] {
        let request = Message::new()
            .message(1, under_resource.clone())
            .message(1, under_scope.clone())
            .encode(order);
        let (outcome, records) = split(&request, &RULES).unwrap();
        assert_eq!(outcome.span_count, 2);
        assert_eq!(outcome.rejected.count(RejectReason::ResourceNesting), 2);
        assert_eq!(outcome.rejected.count(RejectReason::ScopeNesting), 2);
        assert_eq!(outcome.rejected.count(RejectReason::SpanId), 1);
        let kept = Message::new().message(2, Message::new().messages(2, spans([5, 6])));
        assert_eq!(records, [Message::new().message(1, kept).encode(order)]);
    }
}

/// Everything but spans is repeated verbatim and in order in every record, wherever it lies among
/// the spans; blocks without a span of the record are left out; scope_spans in their old field
/// 1000 stay there.
#[test]
fn headers_are_repeated_verbatim() {
    let field = |number, content: &[u8]| {
        Message::new().bytes(number, content).encode(FieldOrder::Ascending)
    };
    let unknown = Message::new().varint(UNKNOWN, 7).encode(FieldOrder::Ascending);
    let url = field(3, b"https://schema");
    let header = field(1, b"");
    let [a, b] = [1, 2].map(|it| field(2, &bare_span(trace(it), 3).encode(FieldOrder::Ascending)));

    let scope = [&unknown[..], &a, &url, &b, &header].concat();
    let scope_of_b = [&header[..], &b].concat();
    let resource =
        [&url[..], &field(2, &scope), &unknown, &field(1000, &scope_of_b), &header].concat();
    let (outcome, records) =
        split(&[&unknown[..], &field(1, &resource), &url].concat(), &RULES).unwrap();
    assert_eq!(outcome.span_count, 3);

    let scope_with = |span: &[u8]| field(2, &[&unknown, &url, &header, span].concat());
    let record_with = |scopes: &[u8]| {
        let resource = field(1, &[&url, &unknown, &header, scopes].concat());
        [&unknown[..], &url, &resource].concat()
    };
    let scopes_of_b = [scope_with(&b), field(1000, &scope_of_b)].concat();
    assert_eq!(records, [record_with(&scope_with(&a)), record_with(&scopes_of_b)]);
}

/// One trace in the request, or in partition mode one partition: the record is the request's own
/// memory, overlong encodings and empty blocks included.
#[test]
fn single_record_passes_untouched() {
    let mut request = request([good(), good()]);
    request.extend([0x8a, 0x00, 0x80, 0x00]); // an empty ResourceSpans, tag and length overlong
    let mut splitter = Splitter::new();
    for (mode, key) in [(RecordMode::Trace, Some(trace(1))), (RecordMode::Partition, None)] {
        splitter.split(&request, &SplitRules { mode, ..RULES }, place).unwrap();
        let [record] = splitter.records() else { panic!("{:?}", splitter.records()) };
        assert_eq!((record.key, record.span_count), (key, 2));
        assert_eq!(record.bytes_len, request.len());
        let bytes = splitter.write(&request, record, &mut Vec::new()).as_ptr();
        assert_eq!(bytes, request.as_ptr());
    }
}

/// Partition mode makes one record per partition, without a key, spans in the request's order.
#[test]
fn partition_mode_groups_by_partition() {
    let numbers = [1, 5, 2, 1, 9];
    let spans = |wanted: &[u8]| request(wanted.iter().map(|&it| bare_span(trace(it), it.into())));
    let rules = SplitRules { mode: RecordMode::Partition, ..RULES };
    let (outcome, records) = split(&spans(&numbers), &rules).unwrap();
    assert!(!outcome.fell_back);
    // Traces 1, 5 and 9 share a partition.
    assert_eq!(records, [spans(&[1, 5, 1, 9]), spans(&[2])]);
}

/// The key is the trace id in 32 lower-case hexadecimal digits.
#[test]
fn key_is_lower_case_hex() {
    let id = TraceId([0x0a, 0xf7, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0xab, 0xcd, 0xef, 0xff]);
    assert_eq!(&id.key(), b"0af700010203040506070809abcdefff");
}

/// The framing walk accepts whole requests, alone and back to back, the empty one and unknown
/// fields, and refuses a request cut short or followed by anything else.
#[test]
fn framing_walk_ends_exactly() {
    let whole = request([good()]);
    assert_eq!(walk(&[]), Ok(()));
    assert_eq!(walk(&whole), Ok(()));
    assert_eq!(walk(&[whole.clone(), whole.clone()].concat()), Ok(()));
    assert_eq!(walk(&Message::new().fixed32(UNKNOWN, 1).encode(FieldOrder::Ascending)), Ok(()));
    for len in 1..whole.len() {
        assert!(walk(&whole[..len]).is_err(), "{len} bytes");
    }
    for foreign in [&b"{\"json\":1}"[..], b"\x00\x00\x00\x00\x07", b"\x08\x01"] {
        assert!(walk(&[&whole, foreign].concat()).is_err(), "{foreign:?}");
    }
}
