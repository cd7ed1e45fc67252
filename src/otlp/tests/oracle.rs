//! The oracle: what prost makes of a request, compared with what the split makes of it.
//!
//! Used by the property tests, by the replay of the fuzz corpus and by the fuzz targets. The
//! messages here mirror OTLP's, but keep every occurrence of a field, and as bytes where the split
//! promises bytes: so a span, a Resource or a scope that comes out different in any way is seen.

use prost::Message;

use crate::limits::{
    NESTING_MESSAGES_MAX, SPLIT_HEADER_BUDGET_BYTES_MIN, SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX,
    SPLIT_SPANS_MAX,
};
use crate::otlp::{RecordMode, RejectReason, SplitError, SplitRules, Splitter, TraceId, walk};

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(bytes = "vec", repeated, tag = "1")]
    resources: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<ScopeSpans>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    schema_urls: Vec<Vec<u8>>,
    #[prost(message, repeated, tag = "1000")]
    scope_spans_old: Vec<ScopeSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(bytes = "vec", repeated, tag = "1")]
    scopes: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    spans: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    schema_urls: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", repeated, tag = "1")]
    trace_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    span_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    trace_states: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    parent_span_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "5")]
    names: Vec<Vec<u8>>,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_time: u64,
    #[prost(fixed64, tag = "8")]
    end_time: u64,
    #[prost(bytes = "vec", repeated, tag = "9")]
    attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "10")]
    dropped_attributes_count: u32,
    #[prost(bytes = "vec", repeated, tag = "11")]
    events: Vec<Vec<u8>>,
    #[prost(uint32, tag = "12")]
    dropped_events_count: u32,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(uint32, tag = "14")]
    dropped_links_count: u32,
    #[prost(bytes = "vec", repeated, tag = "15")]
    statuses: Vec<Vec<u8>>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", repeated, tag = "1")]
    trace_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "2")]
    span_ids: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    trace_states: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "4")]
    attributes: Vec<Vec<u8>>,
    #[prost(uint32, tag = "5")]
    dropped_attributes_count: u32,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

/// Of Resource (field 1), of scope and event (field 3): the attributes, whichever they are.
#[derive(Clone, PartialEq, Message)]
struct Owner {
    #[prost(bytes = "vec", repeated, tag = "1")]
    first: Vec<Vec<u8>>,
    #[prost(bytes = "vec", repeated, tag = "3")]
    third: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct EventAttributes {
    #[prost(bytes = "vec", repeated, tag = "3")]
    attributes: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct KeyValue {
    #[prost(bytes = "vec", repeated, tag = "2")]
    values: Vec<Vec<u8>>,
}

#[derive(Clone, PartialEq, Message)]
struct AnyValue {
    #[prost(message, repeated, tag = "5")]
    arrays: Vec<Container>,
    #[prost(message, repeated, tag = "6")]
    lists: Vec<Container>,
}

#[derive(Clone, PartialEq, Message)]
struct Container {
    #[prost(bytes = "vec", repeated, tag = "1")]
    entries: Vec<Vec<u8>>,
}

/// A span with everything it must keep.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct SpanInContext {
    trace_id: [u8; 16],
    span: Vec<u8>,
    scopes: Vec<Vec<u8>>,
    scope_schema_urls: Vec<Vec<u8>>,
    in_old_field: bool,
    resources: Vec<Vec<u8>>,
    resource_schema_urls: Vec<Vec<u8>>,
}

/// The partition that tests place a trace in.
pub(crate) fn place(trace: &TraceId, partition_count: u32) -> u32 {
    u32::from(trace.0[0] ^ trace.0[15]) % partition_count
}

/// Splits `request` and panics if anything about the result differs from what prost says.
pub(crate) fn check(splitter: &mut Splitter, request: &[u8], rules: &SplitRules) {
    let outcome = splitter.split(request, rules, |trace| place(trace, rules.partition_count));
    check_memory(splitter, request, rules);
    let spans = match (read(request), outcome) {
        (Err(_), Err(SplitError::Malformed(_))) => return,
        (Err(error), outcome) => panic!("prost: {error}, split: {outcome:?}"),
        (Ok(_), Err(SplitError::Malformed(malformed))) => {
            let refused = malformed.what == "groups nested too deep" || full_decode_fails(request);
            assert!(refused, "prost: well-formed, split: {malformed}");
            return;
        }
        (Ok(spans), Err(SplitError::HeadersTooLarge)) => {
            assert!(spans.len() * request.len() > SPLIT_HEADER_BUDGET_BYTES_MIN);
            return;
        }
        (Ok(spans), Err(SplitError::TooManySpans)) => {
            assert!(spans.len() > SPLIT_SPANS_MAX);
            return;
        }
        (Ok(spans), Ok(_)) => spans,
    };
    let outcome = outcome.expect("errors have returned above");
    walk(request).expect("a request that can be split is framed");

    let mut found = read_records(splitter, request, rules, outcome.fell_back);
    assert_eq!(found.len() as u64, outcome.span_count);
    assert_eq!(found.len() as u64 + outcome.rejected.total(), spans.len() as u64);
    let accepted: Option<Vec<bool>> = spans.iter().map(|(_, accepted)| *accepted).collect();
    if accepted.is_none() {
        // A value that cannot be decoded as far as its depth: prost refuses it further down.
        assert!(full_decode_fails(request));
        return;
    }
    let mut expected: Vec<_> =
        spans.into_iter().filter(|(_, it)| *it == Some(true)).map(|(span, _)| span).collect();
    expected.sort();
    found.sort();
    let too_large = outcome.rejected.count(RejectReason::SpanTooLarge);
    if too_large == 0 {
        assert_eq!(found, expected);
    } else {
        assert_eq!(found.len() as u64 + too_large, expected.len() as u64);
        assert!(found.iter().all(|span| expected.binary_search(span).is_ok()));
    }
}

/// Memory stays within the multiple that limits.rs states, and small tables.
fn check_memory(splitter: &Splitter, request: &[u8], rules: &SplitRules) {
    let tables = 64 * 1024 + 8 * rules.partition_count as usize;
    let bytes_max = request.len() * SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX + tables;
    assert!(splitter.scratch_bytes() <= bytes_max, "{} bytes", splitter.scratch_bytes());
}

/// The spans of all records, after checking each record by itself.
fn read_records(
    splitter: &Splitter,
    request: &[u8],
    rules: &SplitRules,
    fell_back: bool,
) -> Vec<SpanInContext> {
    let keyed = rules.mode == RecordMode::Trace && !fell_back;
    let mut scratch = Vec::new();
    let mut found = Vec::new();
    for record in splitter.records() {
        let bytes = splitter.write(request, record, &mut scratch);
        assert_eq!(bytes.len(), record.bytes_len);
        assert!(bytes.len() <= rules.record_bytes_max);
        assert_eq!(record.is_request(), std::ptr::eq(bytes, request));
        walk(bytes).expect("a record is framed");
        let spans = read(bytes).expect("a record is well-formed");
        assert_eq!(spans.len() as u32, record.span_count);
        assert!(!spans.is_empty());
        assert_eq!(record.key.is_some(), keyed);
        for (span, _) in spans {
            let trace = TraceId(span.trace_id);
            assert!(record.key.is_none_or(|key| key == trace), "a record of two traces");
            assert_eq!(record.partition, place(&trace, rules.partition_count));
            found.push(span);
        }
    }
    found
}

/// All spans of a request, each with whether it is good (`None`: it cannot be decoded that far).
fn read(request: &[u8]) -> Result<Vec<(SpanInContext, Option<bool>)>, prost::DecodeError> {
    let mut spans = Vec::new();
    for resource in Request::decode(request)?.resource_spans {
        let scopes = resource.scope_spans.iter().map(|scope| (scope, false));
        let scopes_old = resource.scope_spans_old.iter().map(|scope| (scope, true));
        for (scope, in_old_field) in scopes.chain(scopes_old) {
            let headers_are_good =
                all(resource.resources.iter().map(|it| owner_is_shallow(it, |it| it.first)))
                    .and_then(|resource_is_good| {
                        let scopes = scope.scopes.iter();
                        let good = all(scopes.map(|it| owner_is_shallow(it, |it| it.third)))?;
                        Some(good && resource_is_good)
                    });
            for bytes in &scope.spans {
                let span = Span::decode(bytes.as_slice())?;
                let ids_are_good = ids_are_good(&span);
                let values_are_good = values_are_shallow(&span);
                let good = values_are_good.zip(headers_are_good).map(|(a, b)| a && b);
                let trace_id = span.trace_ids.last().and_then(|id| id.first_chunk().copied());
                spans.push((
                    SpanInContext {
                        trace_id: trace_id.unwrap_or_default(),
                        span: bytes.clone(),
                        scopes: scope.scopes.clone(),
                        scope_schema_urls: scope.schema_urls.clone(),
                        in_old_field,
                        resources: resource.resources.clone(),
                        resource_schema_urls: resource.schema_urls.clone(),
                    },
                    good.map(|good| good && ids_are_good),
                ));
            }
        }
    }
    Ok(spans)
}

fn ids_are_good(span: &Span) -> bool {
    let lengths = |ids: &[Vec<u8>], len| ids.iter().all(|id| id.is_empty() || id.len() == len);
    let present = |ids: &[Vec<u8>]| ids.last().is_some_and(|id| id.iter().any(|&byte| byte != 0));
    lengths(&span.trace_ids, 16)
        && lengths(&span.span_ids, 8)
        && lengths(&span.parent_span_ids, 8)
        && present(&span.trace_ids)
        && present(&span.span_ids)
        && span.links.iter().all(|link| lengths(&link.trace_ids, 16) && lengths(&link.span_ids, 8))
}

fn values_are_shallow(span: &Span) -> Option<bool> {
    let attributes = span.attributes.iter().chain(span.links.iter().flat_map(|it| &it.attributes));
    let attributes_are_shallow = all(attributes.map(|it| attribute_is_shallow(it, 0)))?;
    let events_are_shallow = all(span.events.iter().map(|event| {
        let event = EventAttributes::decode(event.as_slice()).ok()?;
        all(event.attributes.iter().map(|it| attribute_is_shallow(it, 0)))
    }))?;
    Some(attributes_are_shallow && events_are_shallow)
}

fn owner_is_shallow(bytes: &[u8], attributes: fn(Owner) -> Vec<Vec<u8>>) -> Option<bool> {
    let owner = Owner::decode(bytes).ok()?;
    all(attributes(owner).iter().map(|it| attribute_is_shallow(it, 0)))
}

/// Whether the KeyValue in `depth` messages stays within the limit.
fn attribute_is_shallow(bytes: &[u8], depth: usize) -> Option<bool> {
    let depth = depth + 1;
    if depth > NESTING_MESSAGES_MAX {
        return Some(false);
    }
    let attribute = KeyValue::decode(bytes).ok()?;
    all(attribute.values.iter().map(|value| value_is_shallow(value, depth)))
}

/// Whether the AnyValue in `depth` messages stays within the limit.
fn value_is_shallow(bytes: &[u8], depth: usize) -> Option<bool> {
    let depth = depth + 1;
    if depth > NESTING_MESSAGES_MAX {
        return Some(false);
    }
    let value = AnyValue::decode(bytes).ok()?;
    let containers = value.arrays.len() + value.lists.len();
    if containers > 0 && depth == NESTING_MESSAGES_MAX {
        return Some(false);
    }
    let elements = value.arrays.iter().flat_map(|array| &array.entries);
    let entries = value.lists.iter().flat_map(|list| &list.entries);
    let elements_are_shallow = all(elements.map(|it| value_is_shallow(it, depth + 1)))?;
    let entries_are_shallow = all(entries.map(|it| attribute_is_shallow(it, depth + 1)))?;
    Some(elements_are_shallow && entries_are_shallow)
}

/// Whether all are true, if all are known.
fn all(known: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    known.collect::<Option<Vec<_>>>().map(|known| known.into_iter().all(|it| it))
}

/// Whether a full decode with OTLP's own messages fails; old scope spans it would not look at.
fn full_decode_fails(request: &[u8]) -> bool {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use opentelemetry_proto::tonic::trace::v1::ScopeSpans as FullScopeSpans;
    let old = Request::decode(request).map(|request| {
        let resources = request.resource_spans.into_iter();
        resources.flat_map(|resource| resource.scope_spans_old).collect::<Vec<_>>()
    });
    ExportTraceServiceRequest::decode(request).is_err()
        || old.is_ok_and(|scopes| {
            scopes.iter().any(|it| FullScopeSpans::decode(it.encode_to_vec().as_slice()).is_err())
        })
}
