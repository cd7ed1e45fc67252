//! Arrivals in and out of order, damaged, foreign and repeated.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use super::{Arrivals, Judged, WorkerArrivals};
use crate::content::Profile;
use crate::ids::{RunId, WorkerId};
use crate::payload::{GRPC_PREFIX_BYTES, Payload, Shape, Stamp};

const RUN: RunId = RunId(3);
const WORKER: WorkerId = WorkerId(1);

/// Request number `request` of a run: four spans, two traces.
fn request(request: u64) -> ExportTraceServiceRequest {
    request_with(request, None)
}

fn request_with(request: u64, bad_every: Option<u32>) -> ExportTraceServiceRequest {
    let shape = Shape {
        spans_per_request: 4,
        spans_per_trace: 2,
        bad_every,
        ..Shape::of(RUN, Profile::Small)
    };
    let payload = Payload::new(shape).unwrap();
    let mut body = payload.template().to_vec();
    payload.patch(&mut body, Stamp { worker: WORKER, request, unix_nanos: 1 });
    ExportTraceServiceRequest::decode(&body[GRPC_PREFIX_BYTES..]).unwrap()
}

fn spans(request: &mut ExportTraceServiceRequest) -> &mut Vec<Span> {
    &mut request.resource_spans[0].scope_spans[0].spans
}

fn arrived(requests: impl IntoIterator<Item = ExportTraceServiceRequest>) -> Arrivals {
    let mut arrivals = Arrivals::default();
    for request in requests {
        arrivals.record(&Judged::new(request), None);
    }
    arrivals
}

fn counts(worker: &WorkerArrivals) -> (u64, u64, u64, u64) {
    (worker.spans.len(), worker.duplicate, worker.reordered, worker.corrupt)
}

/// What the generator makes is recognised, once, whatever the order of requests.
#[test]
fn generated_spans_are_recognised() {
    let arrivals = arrived([request(1), request(0), request(1)]);
    assert_eq!(arrivals.distinct(), 8);
    assert_eq!(arrivals.foreign, 0);
    assert_eq!(counts(&arrivals.workers[&(RUN, WORKER)]), (8, 4, 0, 0));
}

/// Order is judged within a trace, not between traces.
#[test]
fn reordering_within_a_trace_is_seen() {
    let mut swapped = request(0);
    spans(&mut swapped).swap(0, 1);
    assert_eq!(counts(&arrived([swapped]).workers[&(RUN, WORKER)]), (4, 0, 1, 0));
    let mut traces_swapped = request(0);
    spans(&mut traces_swapped).rotate_left(2);
    assert_eq!(counts(&arrived([traces_swapped]).workers[&(RUN, WORKER)]), (4, 0, 0, 0));
}

/// A change to the content, the duration, the Resource, the scope, the parent or the span id is
/// CORRUPT.
#[test]
fn damage_is_seen() {
    let damage: [fn(&mut ExportTraceServiceRequest); 6] = [
        |request| spans(request)[1].name.push('x'),
        |request| spans(request)[1].end_time_unix_nano += 1,
        |request| spans(request)[1].parent_span_id[7] ^= 1,
        |request| spans(request)[1].attributes.clear(),
        |request| spans(request)[1].attributes.swap(0, 1),
        |request| spans(request)[1].parent_span_id.clear(),
    ];
    for damage in damage {
        let mut request = request(0);
        damage(&mut request);
        assert_eq!(counts(&arrived([request]).workers[&(RUN, WORKER)]), (4, 0, 0, 1));
    }

    let mut other_resource = request(0);
    other_resource.resource_spans[0].resource = None;
    assert_eq!(arrived([other_resource]).workers[&(RUN, WORKER)].corrupt, 4);
    let mut other_scope = request(0);
    other_scope.resource_spans[0].scope_spans[0].schema_url.clear();
    assert_eq!(arrived([other_scope]).workers[&(RUN, WORKER)].corrupt, 4);

    // An id that names another trace's span, or an absurd one, is not counted as arrived.
    for byte in [1, 7] {
        let mut other_span = request(0);
        spans(&mut other_span)[3].span_id[byte] ^= 0x10;
        assert_eq!(counts(&arrived([other_span]).workers[&(RUN, WORKER)]), (3, 0, 0, 1));
    }
}

/// A deliberately bad span that a receiver lets through is known for the one that it is.
#[test]
fn bad_spans_are_recognised() {
    let arrivals = arrived([request_with(0, Some(3)), request_with(0, None)]);
    assert_eq!(counts(&arrivals.workers[&(RUN, WORKER)]), (4, 4, 0, 0));
}

/// Spans of other programs are counted apart.
#[test]
fn foreign_spans_are_counted() {
    let mut mixed = request(0);
    spans(&mut mixed)[2].trace_id = vec![7; 16];
    let arrivals = arrived([mixed]);
    assert_eq!((arrivals.foreign, arrivals.distinct()), (1, 3));
}

/// A lossy receiver forgets as many spans as it is told to, and no more.
#[test]
fn spans_are_lost_on_demand() {
    let mut judged = Judged::new(request(0));
    assert_eq!(judged.lose(3), 3);
    assert_eq!(judged.lose(3), 1);
    let mut arrivals = Arrivals::default();
    arrivals.record(&judged, None);
    assert_eq!(arrivals.distinct(), 0);
}

/// Arrivals read are the arrivals written.
#[test]
fn arrivals_survive_their_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrived");
    let mut arrivals = arrived([request(0), request(40), request(40)]);
    arrivals.foreign = 2;
    arrivals.sink = 5;
    arrivals.save(&path).unwrap();
    assert_eq!(Arrivals::load(&path).unwrap(), arrivals);
}

/// Latency runs from the intended start that spans carry to the first arrival of those that are
/// intact, and survives the file.
#[test]
fn latency_is_that_of_first_arrivals() {
    let mut arrivals = Arrivals::default();
    let mut damaged = request(1);
    spans(&mut damaged)[0].name.push('x');
    // The generator's stamp says that both requests were meant to start at 1 ns.
    arrivals.record(&Judged::new(request(0)), Some(1 + 2_000_000));
    arrivals.record(&Judged::new(damaged), Some(1 + 2_000_000));
    arrivals.record(&Judged::new(request(0)), Some(1 + 9_000_000));
    arrivals.record(&Judged::new(request(2)), None);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrived");
    arrivals.save(&path).unwrap();
    let latency = Arrivals::load(&path).unwrap().end_to_end.percentiles().unwrap();
    assert_eq!(latency.count, 7);
    assert!((latency.p50 / 2_000.0 - 1.0).abs() < 0.002, "{latency:?}");
    assert!((latency.max / 2_000.0 - 1.0).abs() < 0.002, "{latency:?}");
}

/// What two sinks got adds up; what both got is duplicate.
#[test]
fn arrivals_of_two_sinks_merge() {
    let mut damaged = request(2);
    spans(&mut damaged)[1].attributes.clear();
    let mut merged = arrived([request(0), request(1), request(1)]);
    merged.merge(arrived([request(1), damaged]));
    assert_eq!(merged.distinct(), 12);
    assert_eq!(counts(&merged.workers[&(RUN, WORKER)]), (12, 8, 0, 1));
}

/// A deliberately bad span that a receiver lets through has arrived, and is not corrupt.
#[test]
fn deliberately_bad_spans_are_recognised() {
    let mut lenient = request(1);
    let bad = &mut spans(&mut lenient)[3];
    let mut mark: [u8; 8] = bad.span_id[..].try_into().unwrap();
    mark[2] |= 0x80;
    bad.parent_span_id = mark.to_vec();
    bad.span_id = vec![0; 8];
    let arrivals = arrived([lenient]);
    let worker = &arrivals.workers[&(RUN, WORKER)];
    assert_eq!((counts(worker), worker.bad), ((4, 0, 0, 0), 1));
    assert_eq!(worker.spans.count(7..8), 1);
}
