//! Payloads decode, are unique, and have the size that was asked for.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{FieldOrder, GRPC_PREFIX_BYTES, Payload, Shape, ShapeError, Stamp};
use crate::checksum::Checksums;
use crate::content::Profile;
use crate::ids::{RunId, SpanOrigin, TraceOrigin, WorkerId};

fn shape(spans_per_request: u32, spans_per_trace: u32) -> Shape {
    Shape { spans_per_request, spans_per_trace, ..Shape::of(RunId(9), Profile::Small) }
}

fn patch(payload: &Payload, body: &mut [u8], request: u64) -> ExportTraceServiceRequest {
    payload.patch(body, Stamp { worker: WorkerId(2), request, unix_nanos: 1_000 });
    let length = u32::from_be_bytes(body[1..GRPC_PREFIX_BYTES].try_into().unwrap());
    assert_eq!((body[0], length as usize), (0, body.len() - GRPC_PREFIX_BYTES));
    ExportTraceServiceRequest::decode(&body[GRPC_PREFIX_BYTES..]).unwrap()
}

fn patched(payload: &Payload, request: u64) -> ExportTraceServiceRequest {
    patch(payload, &mut payload.template().to_vec(), request)
}

fn spans(request: &ExportTraceServiceRequest) -> &[Span] {
    &request.resource_spans[0].scope_spans[0].spans
}

/// Patched requests decode in both field orders, alike, and no two spans share an id.
#[test]
fn both_orders_decode_alike_and_every_span_is_unique() {
    for shape in [shape(6, 3), shape(6, 4), Shape { interleaved: true, ..shape(6, 4) }] {
        let ascending = Payload::new(shape).unwrap();
        let field_order = FieldOrder::Descending;
        let descending = Payload::new(Shape { field_order, ..shape }).unwrap();
        assert_ne!(ascending.template(), descending.template());
        let mut seen = HashSet::new();
        for request in 0..50 {
            let decoded = patched(&ascending, request);
            assert_eq!(decoded, patched(&descending, request));
            assert!(spans(&decoded).iter().all(|span| seen.insert(span.span_id.clone())));
        }
        assert_eq!(seen.len(), 300);
    }
}

/// A body patched again is that of its new request, whatever it was before.
#[test]
fn bodies_are_reused() {
    let payload = Payload::new(Shape { bad_every: Some(5), ..shape(7, 3) }).unwrap();
    let mut body = payload.template().to_vec();
    for request in 0..30 {
        assert_eq!(patch(&payload, &mut body, request), patched(&payload, request));
    }
}

/// Ids say which span this is, and the spans after the first of a trace name it as their parent.
#[test]
fn ids_and_parents_follow_the_sequence() {
    let payload = Payload::new(shape(6, 4)).unwrap();
    for (index, span) in spans(&patched(&payload, 5)).iter().enumerate() {
        let sequence = 30 + index as u64;
        let (worker, trace) = (WorkerId(2), sequence / 4);
        assert_eq!(SpanOrigin::read(&span.span_id), Some(SpanOrigin { worker, sequence }));
        let origin = TraceOrigin { run: RunId(9), worker, trace };
        assert_eq!(TraceOrigin::read(&span.trace_id), Some(origin));
        if sequence.is_multiple_of(4) {
            assert!(span.parent_span_id.is_empty());
            assert_eq!(span.trace_state, "lg=first");
        } else {
            assert_eq!(span.parent_span_id, SpanOrigin { worker, sequence: trace * 4 }.id());
            assert_eq!(span.trace_state, "");
        }
        assert_eq!(span.start_time_unix_nano, 1_000 + sequence % 4 * 1_000);
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
}

/// Interleaved, the traces of a request take turns.
#[test]
fn traces_are_interleaved() {
    let payload = Payload::new(Shape { interleaved: true, ..shape(6, 3) }).unwrap();
    let request = patched(&payload, 1);
    let sequence = |span: &Span| SpanOrigin::read(&span.span_id).unwrap().sequence;
    let sequences: Vec<_> = spans(&request).iter().map(sequence).collect();
    assert_eq!(sequences, [6, 9, 7, 10, 8, 11]);
}

/// A trace larger than a request has one root, in the request that opens it.
#[test]
fn traces_may_span_requests() {
    let payload = Payload::new(shape(3, 9)).unwrap();
    let roots = |request| {
        spans(&patched(&payload, request))
            .iter()
            .filter(|span| span.parent_span_id.is_empty())
            .count()
    };
    assert_eq!((0..6).map(roots).collect::<Vec<_>>(), [1, 0, 0, 1, 0, 0]);
    let traces: HashSet<_> = (0..3)
        .flat_map(|request| spans(&patched(&payload, request)).to_vec())
        .map(|span| span.trace_id)
        .collect();
    assert_eq!(traces.len(), 1);
}

/// One span in every so many is bad, says which it is, and is counted with its request.
#[test]
fn bad_spans_are_marked_and_counted() {
    let shape = Shape { bad_every: Some(4), ..shape(6, 3) };
    let payload = Payload::new(shape).unwrap();
    let mut bad_sequences = Vec::new();
    for request in 0..4 {
        let decoded = patched(&payload, request);
        let bad: Vec<_> = spans(&decoded).iter().filter(|span| span.span_id == [0; 8]).collect();
        assert_eq!(bad.len(), shape.bad_spans(request) as usize);
        bad_sequences.extend(bad.iter().map(|span| {
            let origin = SpanOrigin::read_bad(&span.span_id, &span.parent_span_id).unwrap();
            assert_eq!(origin.worker, WorkerId(2));
            origin.sequence
        }));
    }
    assert_eq!(bad_sequences, [3, 7, 11, 15, 19, 23]);
}

/// The checksum that a span carries is that of its content after patching, first of its trace,
/// bad or neither.
#[test]
fn checksums_survive_patching() {
    let payload = Payload::new(Shape { bad_every: Some(5), ..shape(6, 4) }).unwrap();
    for request in 0..10 {
        let mut decoded = patched(&payload, request);
        let mut resource_spans = decoded.resource_spans.remove(0);
        let mut scope_spans = resource_spans.scope_spans.remove(0);
        let mut checksums = Checksums::default();
        let found = std::mem::take(&mut scope_spans.spans);
        let scope_hash = checksums.scope(&resource_spans, &scope_spans);
        for mut span in found {
            let (computed, carried) = checksums.strip(scope_hash, &mut span);
            assert_eq!(Some(computed), carried);
        }
    }
}

/// Shapes that cannot be built are refused with the reason.
#[test]
fn impossible_shapes_are_refused() {
    let error = |shape| Payload::new(shape).unwrap_err();
    assert_eq!(error(shape(6, 0)), ShapeError::Empty);
    assert_eq!(error(shape(0, 6)), ShapeError::Empty);
    assert!(matches!(
        error(Shape { span_bytes: 10, ..shape(6, 3) }),
        ShapeError::SpanTooSmall { asked: 10, least: 11.. }
    ));
    assert!(matches!(
        error(Shape { span_bytes: 1024, ..shape(1 << 20, 1) }),
        ShapeError::RequestTooLarge { .. }
    ));
}
