//! Payloads decode, are unique, and have the size that was asked for.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{FieldOrder, GRPC_PREFIX_BYTES, Payload, Shape, ShapeError, Stamp, framed_bytes};
use crate::checksum::Checksums;
use crate::ids::{RunId, SpanOrigin, TraceOrigin, WorkerId};

const SHAPE: Shape = Shape {
    run: RunId(9),
    spans_per_request: 6,
    spans_per_trace: 3,
    span_bytes: 290,
    field_order: FieldOrder::Ascending,
    seed: 1,
};

fn patched(payload: &Payload, request: u64) -> ExportTraceServiceRequest {
    let mut body = payload.template(payload.opens_trace(request)).to_vec();
    payload.patch(&mut body, Stamp { worker: WorkerId(2), request, unix_nanos: 1_000 });
    let length = u32::from_be_bytes(body[1..GRPC_PREFIX_BYTES].try_into().unwrap());
    assert_eq!((body[0], length as usize), (0, body.len() - GRPC_PREFIX_BYTES));
    ExportTraceServiceRequest::decode(&body[GRPC_PREFIX_BYTES..]).unwrap()
}

fn spans(request: &ExportTraceServiceRequest) -> &[Span] {
    &request.resource_spans[0].scope_spans[0].spans
}

/// Patched requests decode in both field orders, alike, and no two spans share an id.
#[test]
fn both_orders_decode_alike_and_every_span_is_unique() {
    let ascending = Payload::new(SHAPE).unwrap();
    let descending = Payload::new(Shape { field_order: FieldOrder::Descending, ..SHAPE }).unwrap();
    assert_ne!(ascending.template(true), descending.template(true));
    let mut seen = HashSet::new();
    for request in 0..50 {
        let decoded = patched(&ascending, request);
        assert_eq!(decoded, patched(&descending, request));
        assert!(spans(&decoded).iter().all(|span| seen.insert(span.span_id.clone())));
    }
    assert_eq!(seen.len(), 300);
}

/// Ids say which span this is, and the spans after the first of a trace name it as their parent.
#[test]
fn ids_and_parents_follow_the_sequence() {
    let payload = Payload::new(SHAPE).unwrap();
    for (index, span) in spans(&patched(&payload, 4)).iter().enumerate() {
        let sequence = 24 + index as u64;
        let (worker, trace) = (WorkerId(2), sequence / 3);
        assert_eq!(SpanOrigin::read(&span.span_id), Some(SpanOrigin { worker, sequence }));
        let origin = TraceOrigin { run: RunId(9), worker, trace };
        assert_eq!(TraceOrigin::read(&span.trace_id), Some(origin));
        if sequence.is_multiple_of(3) {
            assert!(span.parent_span_id.is_empty());
        } else {
            assert_eq!(span.parent_span_id, SpanOrigin { worker, sequence: trace * 3 }.id());
        }
        assert_eq!(span.start_time_unix_nano, 1_000 + sequence % 3 * 1_000);
        assert!(span.end_time_unix_nano > span.start_time_unix_nano);
    }
}

/// A trace larger than a request has one root, in the request that opens it.
#[test]
fn traces_may_span_requests() {
    let shape = Shape { spans_per_request: 3, spans_per_trace: 9, ..SHAPE };
    let payload = Payload::new(shape).unwrap();
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

/// Every span has the size asked for, to within the two bytes by which lengths jump.
#[test]
fn spans_have_the_size_asked_for() {
    for span_bytes in [260, 290, 337, 338, 800, 4096, 70_000] {
        let payload = Payload::new(Shape { span_bytes, ..SHAPE }).unwrap();
        for span in spans(&patched(&payload, 0)) {
            assert!((span_bytes - 2..=span_bytes).contains(&framed_bytes(span)), "{span_bytes}");
        }
    }
}

/// The checksum that a span carries is that of its content after patching.
#[test]
fn checksums_survive_patching() {
    let mut decoded = patched(&Payload::new(SHAPE).unwrap(), 7);
    let mut resource_spans = decoded.resource_spans.remove(0);
    let mut scope_spans = resource_spans.scope_spans.remove(0);
    let mut checksums = Checksums::default();
    let scope_hash = checksums.scope(&resource_spans, &scope_spans);
    for span in &mut scope_spans.spans {
        let (computed, carried) = checksums.strip(scope_hash, span);
        assert_eq!(Some(computed), carried);
    }
}

/// Shapes that cannot be built are refused with the reason.
#[test]
fn impossible_shapes_are_refused() {
    let error = |shape| Payload::new(shape).unwrap_err();
    assert_eq!(error(Shape { spans_per_trace: 0, ..SHAPE }), ShapeError::Empty);
    assert_eq!(
        error(Shape { spans_per_trace: 4, ..SHAPE }),
        ShapeError::Indivisible { request: 6, trace: 4 }
    );
    assert!(matches!(
        error(Shape { span_bytes: 10, ..SHAPE }),
        ShapeError::SpanTooSmall { asked: 10, least: 11.. }
    ));
    assert!(matches!(
        error(Shape { spans_per_request: 1 << 20, span_bytes: 1024, spans_per_trace: 1, ..SHAPE }),
        ShapeError::RequestTooLarge { .. }
    ));
}
