//! Request bodies: encoded once, then patched in place so that every request is new.
//!
//! A body is one gRPC message: the five-byte prefix, then an `ExportTraceServiceRequest` of one
//! Resource and one scope. Per request only ids and times are written, at offsets recorded when
//! the template was made: no allocation, no encoding, no hashing per span. Pure but for the bytes
//! it is given; it must never read a clock.
//!
//! Any span of the template can be the first of a trace in one request and not in the next. So the
//! ten bytes of `parent_span_id` hold, in the first span of a trace, a `trace_state` instead, and
//! the checksum is written with them: the one such span's, or the others'.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

use crate::checksum::{Checksums, ScopeHash};
use crate::content::{
    Profile, SPAN_DURATION_NANOS, TooSmall, resource_spans, scope_spans, sized_span,
};
use crate::ids::{RunId, SpanOrigin, TraceOrigin, WorkerId};
use crate::layout::{Layout, Slice};
use crate::wire::{self, SpanOffsets};

/// gRPC's length-prefixed message: one byte of flags, four of length.
pub(crate) const GRPC_PREFIX_BYTES: usize = 5;
/// Spans of a trace start one after the other, so that a timeline shows them apart.
pub(crate) const SPAN_STAGGER_NANOS: u64 = 1_000;

/// The order of fields in every message of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldOrder {
    /// As SDKs encode: the trace id comes first in its span
    Ascending,
    /// As the Collector encodes: the trace id comes last
    Descending,
}

/// What requests look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) run: RunId,
    pub(crate) profile: Profile,
    /// Of one span within the request, its tag and length included.
    pub(crate) span_bytes: usize,
    pub(crate) spans_per_request: u32,
    pub(crate) spans_per_trace: u32,
    /// Spans of the traces of a request take turns; otherwise each trace stands together.
    pub(crate) interleaved: bool,
    /// Every so many spans of a worker, the last is deliberately bad.
    pub(crate) bad_every: Option<u32>,
    pub(crate) field_order: FieldOrder,
    /// Chooses the content of spans.
    pub(crate) seed: u64,
}

/// A shape that cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    #[error("--spans-per-request and --spans-per-trace must be at least 1")]
    Empty,
    #[error("--span-bytes {asked} is too small: a span of this profile takes {least}")]
    SpanTooSmall { asked: usize, least: usize },
    #[error("a request of {bytes} bytes does not fit a gRPC message (at most {max})")]
    RequestTooLarge { bytes: usize, max: usize },
}

/// The template of one shape.
#[derive(Debug)]
pub(crate) struct Payload {
    shape: Shape,
    body: Vec<u8>,
    spans: Vec<SpanTemplate>,
}

/// What makes one request different from every other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) worker: WorkerId,
    /// Number of the request within its worker, from 0.
    pub(crate) request: u64,
    /// Start time of the first span of a trace.
    pub(crate) unix_nanos: u64,
}

#[derive(Debug)]
struct SpanTemplate {
    offsets: SpanOffsets,
    /// Of this span as the first of its trace.
    checksum_first: [u8; 16],
    checksum_other: [u8; 16],
}

impl Shape {
    /// A shape with the defaults of the command line, which tests change as they need.
    #[cfg(test)]
    pub(crate) fn of(run: RunId, profile: Profile) -> Self {
        Self {
            run,
            profile,
            span_bytes: profile.span_bytes(),
            spans_per_request: 512,
            spans_per_trace: 8,
            interleaved: false,
            bad_every: None,
            field_order: FieldOrder::Ascending,
            seed: 0,
        }
    }

    /// True when the span of this sequence number is deliberately bad.
    fn is_bad(&self, sequence: u64) -> bool {
        self.bad_every.is_some_and(|every| (sequence + 1).is_multiple_of(u64::from(every)))
    }

    /// How many spans of `request`, counted within its worker, are deliberately bad.
    pub(crate) fn bad_spans(&self, request: u64) -> u32 {
        self.bad_every.map_or(0, |every| {
            let (every, spans) = (u64::from(every), u64::from(self.spans_per_request));
            ((request + 1) * spans / every - request * spans / every) as u32
        })
    }
}

impl Payload {
    /// Encodes the template of `shape`.
    pub(crate) fn new(shape: Shape) -> Result<Self, ShapeError> {
        if shape.spans_per_request == 0 || shape.spans_per_trace == 0 {
            return Err(ShapeError::Empty);
        }
        let bytes = shape.span_bytes.saturating_mul(shape.spans_per_request as usize);
        if bytes > REQUEST_BYTES_MAX {
            return Err(ShapeError::RequestTooLarge { bytes, max: REQUEST_BYTES_MAX });
        }
        let mut resource_spans = resource_spans(&shape);
        let mut scope_spans = scope_spans();
        let mut checksums = Checksums::default();
        let scope_hash = checksums.scope(&resource_spans, &scope_spans);
        for index in 0..shape.spans_per_request {
            let span = sized_span(&shape, index).map_err(|TooSmall { least }| {
                ShapeError::SpanTooSmall { asked: shape.span_bytes, least }
            })?;
            scope_spans.spans.push(span);
        }
        let signatures: Vec<_> =
            scope_spans.spans.iter().map(|span| sign(span, &mut checksums, scope_hash)).collect();
        resource_spans.scope_spans.push(scope_spans);
        let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };

        let mut message = request.encode_to_vec();
        if shape.field_order == FieldOrder::Descending {
            message = wire::descending(&message);
        }
        let located = wire::locate_spans(&message).into_iter().zip(signatures);
        let spans = located.map(|(mut offsets, [checksum_first, checksum_other])| {
            offsets.shift(GRPC_PREFIX_BYTES as u32);
            SpanTemplate { offsets, checksum_first, checksum_other }
        });
        let spans = spans.collect();
        let mut body = grpc_prefix(false, message.len()).to_vec();
        body.append(&mut message);
        Ok(Self { shape, body, spans })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// A body to be patched, prefix included.
    pub(crate) fn template(&self) -> &[u8] {
        &self.body
    }

    /// Writes ids and times of `stamp` over `body`, a copy of the template or an earlier body.
    pub(crate) fn patch(&self, body: &mut [u8], stamp: Stamp) {
        let Shape { run, spans_per_request, spans_per_trace, interleaved, .. } = self.shape;
        let Stamp { worker, request, unix_nanos } = stamp;
        assert_eq!(body.len(), self.body.len(), "a body of another shape");
        let layout = Layout::new(request, spans_per_request, spans_per_trace, interleaved);
        for Slice { index, trace, first_span, span_count } in layout.slices() {
            let trace_id = TraceOrigin { run, worker, trace }.id();
            let root_sequence = trace * u64::from(spans_per_trace);
            let root_id = SpanOrigin { worker, sequence: root_sequence }.id();
            for number in 0..span_count {
                let sequence = root_sequence + first_span + number;
                let start = unix_nanos + (first_span + number) * SPAN_STAGGER_NANOS;
                let span = &self.spans[layout.position(index, number) as usize];
                let own = SpanOrigin { worker, sequence };
                let offsets = span.offsets;
                put(body, offsets.trace_id, trace_id);
                put(body, offsets.start_time, start.to_le_bytes());
                put(body, offsets.end_time, (start + SPAN_DURATION_NANOS).to_le_bytes());
                if self.shape.is_bad(sequence) {
                    put(body, offsets.span_id, [0; 8]);
                    put(body, offsets.parent, parent_field(own.bad_mark()));
                    put(body, offsets.checksum, span.checksum_other);
                    continue;
                }
                put(body, offsets.span_id, own.id());
                if sequence == root_sequence {
                    put(body, offsets.parent, *FIRST_FIELD);
                    put(body, offsets.checksum, span.checksum_first);
                } else {
                    put(body, offsets.parent, parent_field(root_id));
                    put(body, offsets.checksum, span.checksum_other);
                }
            }
        }
    }
}

/// The prefix of a gRPC message of `message_bytes`.
pub(crate) fn grpc_prefix(compressed: bool, message_bytes: usize) -> [u8; GRPC_PREFIX_BYTES] {
    let mut prefix = [0; GRPC_PREFIX_BYTES];
    prefix[0] = u8::from(compressed);
    prefix[1..].copy_from_slice(&(message_bytes as u32).to_be_bytes());
    prefix
}

/// The checksums of `span` as the first of its trace and as any other.
fn sign(span: &Span, checksums: &mut Checksums, scope_hash: ScopeHash) -> [[u8; 16]; 2] {
    [FIRST_TRACE_STATE, ""].map(|trace_state| {
        let mut span = Span { trace_state: trace_state.to_owned(), ..span.clone() };
        let (checksum, _) = checksums.strip(scope_hash, &mut span);
        let text = format!("{checksum:016x}");
        text.as_bytes().try_into().expect("a checksum is 16 characters")
    })
}

/// `parent_span_id` as it is encoded.
fn parent_field(id: [u8; 8]) -> [u8; 10] {
    let mut field = [PARENT_TAG, 8, 0, 0, 0, 0, 0, 0, 0, 0];
    field[2..].copy_from_slice(&id);
    field
}

fn put<const N: usize>(body: &mut [u8], at: u32, value: [u8; N]) {
    body[at as usize..][..N].copy_from_slice(&value);
}

/// Tag of field 4, `parent_span_id`: length-delimited.
const PARENT_TAG: u8 = 0x22;
const FIRST_TRACE_STATE: &str = "lg=first";
/// `trace_state`, field 3, as it is encoded: next to field 4 in either order, and as long.
const FIRST_FIELD: &[u8; 10] = b"\x1a\x08lg=first";
/// The specification's recommended limit for receivers; larger requests only test refusals, and
/// four times it still does.
const REQUEST_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests;
