//! Request bodies: encoded once, then patched in place so that every request is new.
//!
//! A body is one gRPC message: the five-byte prefix, then an `ExportTraceServiceRequest` of one
//! Resource and one scope. Per request only ids and times are written, at offsets recorded when
//! the template was made: no allocation, no encoding, no hashing per span. Pure but for the bytes
//! it is given; it must never read a clock.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;

use crate::checksum::{CHECKSUM_KEY, Checksums, ScopeHash};
use crate::ids::{RunId, SpanOrigin, TraceOrigin, WorkerId, mix};
use crate::wire::{self, SpanOffsets};

/// gRPC's length-prefixed message: one byte of flags, four of length.
pub(crate) const GRPC_PREFIX_BYTES: usize = 5;
/// The Resource attribute that tells the sink how traces are cut out of the sequence numbers.
pub(crate) const SPANS_PER_TRACE_KEY: &str = "loadgen.spans_per_trace";

/// The order of fields in every message of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum FieldOrder {
    /// As SDKs encode: the trace id comes first in its span.
    Ascending,
    /// As the Collector encodes: the trace id comes last.
    Descending,
}

/// What requests look like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    pub(crate) run: RunId,
    pub(crate) spans_per_request: u32,
    /// Invariant: a multiple or a divisor of `spans_per_request`.
    pub(crate) spans_per_trace: u32,
    /// Of one span within the request, its tag and length included.
    pub(crate) span_bytes: usize,
    pub(crate) field_order: FieldOrder,
    /// Chooses the filler that brings spans to their size.
    pub(crate) seed: u64,
}

/// A shape that cannot be built.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ShapeError {
    #[error("--spans-per-request and --spans-per-trace must be at least 1")]
    Empty,
    #[error(
        "--spans-per-request {request} and --spans-per-trace {trace}: one must divide the other"
    )]
    Indivisible { request: u32, trace: u32 },
    #[error("--span-bytes {asked} is too small: a span without filler takes {least}")]
    SpanTooSmall { asked: usize, least: usize },
    #[error("a request of {bytes} bytes does not fit a gRPC message (at most {max})")]
    RequestTooLarge { bytes: usize, max: usize },
}

/// The templates of one shape.
#[derive(Debug)]
pub(crate) struct Payload {
    shape: Shape,
    /// For requests that begin with the root of a trace: all, unless traces span requests.
    opening: Template,
    /// For requests within a trace that an earlier request began.
    continuing: Template,
}

/// What makes one request different from every other.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stamp {
    pub(crate) worker: WorkerId,
    /// Number of the request within its worker, from 0.
    pub(crate) request: u64,
    /// Start time of the first span.
    pub(crate) unix_nanos: u64,
}

#[derive(Debug)]
struct Template {
    body: Vec<u8>,
    spans: Vec<SpanOffsets>,
}

impl Payload {
    /// Encodes the templates of `shape`.
    pub(crate) fn new(shape: Shape) -> Result<Self, ShapeError> {
        let Shape { spans_per_request: request, spans_per_trace: trace, .. } = shape;
        if request == 0 || trace == 0 {
            return Err(ShapeError::Empty);
        }
        if !request.is_multiple_of(trace) && !trace.is_multiple_of(request) {
            return Err(ShapeError::Indivisible { request, trace });
        }
        let bytes = shape.span_bytes.saturating_mul(request as usize);
        if bytes > REQUEST_BYTES_MAX {
            return Err(ShapeError::RequestTooLarge { bytes, max: REQUEST_BYTES_MAX });
        }
        let opening = Template::new(&shape, true)?;
        let continuing = Template::new(&shape, false)?;
        Ok(Self { shape, opening, continuing })
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.shape
    }

    /// Bytes of one body, prefix included; those that continue a trace differ by one parent id.
    pub(crate) fn body_bytes(&self) -> usize {
        self.opening.body.len()
    }

    /// True for requests that begin with the root of a trace: bodies of the two kinds differ in
    /// layout, so a buffer may only be patched again for a request of the same kind.
    pub(crate) fn opens_trace(&self, request: u64) -> bool {
        let first_sequence = request * u64::from(self.shape.spans_per_request);
        first_sequence.is_multiple_of(u64::from(self.shape.spans_per_trace))
    }

    /// A body to be patched: what [`Self::patch`] may be given for requests of the same kind.
    pub(crate) fn template(&self, opens_trace: bool) -> &[u8] {
        if opens_trace { &self.opening.body } else { &self.continuing.body }
    }

    /// Writes ids and times of `stamp` over `body`, a copy of the template for that request.
    pub(crate) fn patch(&self, body: &mut [u8], stamp: Stamp) {
        let Shape { run, spans_per_request, spans_per_trace, .. } = self.shape;
        let Stamp { worker, request, unix_nanos } = stamp;
        let template = if self.opens_trace(request) { &self.opening } else { &self.continuing };
        assert_eq!(body.len(), template.body.len(), "a body of the other kind");

        let mut sequence = request * u64::from(spans_per_request);
        let first_trace = sequence / u64::from(spans_per_trace);
        // Either a trace ends within the request, or the request within a trace.
        let traces = template.spans.chunks(spans_per_trace as usize);
        for (trace, spans) in (first_trace..).zip(traces) {
            let trace_id = TraceOrigin { run, worker, trace }.id();
            let root_sequence = trace * u64::from(spans_per_trace);
            let root_id = SpanOrigin { worker, sequence: root_sequence }.id();
            for offsets in spans {
                let start = unix_nanos + (sequence - root_sequence) * SPAN_STAGGER_NANOS;
                put(body, offsets.trace_id, trace_id);
                put(body, offsets.span_id, SpanOrigin { worker, sequence }.id());
                if let Some(parent_span_id) = offsets.parent_span_id {
                    put(body, parent_span_id, root_id);
                }
                put(body, offsets.start_time, start.to_le_bytes());
                put(body, offsets.end_time, (start + SPAN_DURATION_NANOS).to_le_bytes());
                sequence += 1;
            }
        }
    }
}

impl Template {
    fn new(shape: &Shape, opens_trace: bool) -> Result<Self, ShapeError> {
        let mut resource_spans = resource_spans(shape);
        let mut scope_spans = scope_spans();
        let mut checksums = Checksums::default();
        let scope_hash = checksums.scope(&resource_spans, &scope_spans);
        for index in 0..shape.spans_per_request {
            let is_root = opens_trace && index.is_multiple_of(shape.spans_per_trace);
            let mut span = sized_span(shape, index, is_root)?;
            sign(&mut span, &mut checksums, scope_hash);
            scope_spans.spans.push(span);
        }
        resource_spans.scope_spans.push(scope_spans);
        let request = ExportTraceServiceRequest { resource_spans: vec![resource_spans] };

        let mut message = request.encode_to_vec();
        if shape.field_order == FieldOrder::Descending {
            message = wire::descending(&message);
        }
        let mut spans = wire::locate_spans(&message);
        for offsets in &mut spans {
            offsets.shift(GRPC_PREFIX_BYTES);
        }
        let mut body = grpc_prefix(false, message.len()).to_vec();
        body.append(&mut message);
        Ok(Self { body, spans })
    }
}

/// The prefix of a gRPC message of `message_bytes`.
pub(crate) fn grpc_prefix(compressed: bool, message_bytes: usize) -> [u8; GRPC_PREFIX_BYTES] {
    let mut prefix = [0; GRPC_PREFIX_BYTES];
    prefix[0] = u8::from(compressed);
    prefix[1..].copy_from_slice(&(message_bytes as u32).to_be_bytes());
    prefix
}

fn resource_spans(shape: &Shape) -> ResourceSpans {
    let attributes = vec![
        attribute("service.name", Value::StringValue("loadgen".to_owned())),
        attribute("service.version", Value::StringValue(env!("CARGO_PKG_VERSION").to_owned())),
        attribute("service.instance.id", Value::StringValue(shape.run.to_string())),
        attribute(SPANS_PER_TRACE_KEY, Value::IntValue(i64::from(shape.spans_per_trace))),
    ];
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: Vec::new(),
        schema_url: SCHEMA_URL.to_owned(),
    }
}

fn scope_spans() -> ScopeSpans {
    let scope = InstrumentationScope {
        name: "loadgen".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ScopeSpans { scope: Some(scope), spans: Vec::new(), schema_url: SCHEMA_URL.to_owned() }
}

/// The span at `index` of a request, of the size asked for, with placeholders where it is patched.
fn sized_span(shape: &Shape, index: u32, is_root: bool) -> Result<Span, ShapeError> {
    let (method, route) = OPERATIONS[index as usize % OPERATIONS.len()];
    let mut span = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        parent_span_id: if is_root { Vec::new() } else { vec![1; 8] },
        name: format!("{method} {route}"),
        kind: if is_root { SpanKind::Server } else { SpanKind::Internal }.into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 1,
        attributes: vec![
            attribute("http.request.method", Value::StringValue(method.to_owned())),
            attribute("http.route", Value::StringValue(route.to_owned())),
            attribute("http.response.status_code", Value::IntValue(200)),
            attribute(CHECKSUM_KEY, Value::StringValue("0".repeat(16))),
            attribute(FILLER_KEY, Value::StringValue(String::new())),
        ],
        ..Span::default()
    };
    let least = framed_bytes(&span);
    if least > shape.span_bytes {
        return Err(ShapeError::SpanTooSmall { asked: shape.span_bytes, least });
    }
    let mut filler_bytes = shape.span_bytes - least;
    let seed = mix(shape.seed ^ mix(u64::from(index)));
    loop {
        let filler = Value::StringValue(filler(seed, filler_bytes));
        *span.attributes.last_mut().expect("a span has attributes") = attribute(FILLER_KEY, filler);
        // Lengths grow by a byte or two with the filler; the span is never larger than asked for.
        match framed_bytes(&span).saturating_sub(shape.span_bytes) {
            0 => return Ok(span),
            excess => filler_bytes = filler_bytes.saturating_sub(excess),
        }
    }
}

/// Puts the checksum of `span` where its placeholder is.
fn sign(span: &mut Span, checksums: &mut Checksums, scope_hash: ScopeHash) {
    let (checksum, _) = checksums.strip(scope_hash, &mut span.clone());
    let carrier = span.attributes.iter_mut().find(|attribute| attribute.key == CHECKSUM_KEY);
    *carrier.expect("a span has a placeholder for its checksum") =
        attribute(CHECKSUM_KEY, Value::StringValue(format!("{checksum:016x}")));
}

/// The size of a span within its scope: tag, length and content.
fn framed_bytes(span: &Span) -> usize {
    let content = span.encoded_len();
    1 + prost::length_delimiter_len(content) + content
}

/// Letters and digits that look random: a filler of one letter would compress to nothing.
fn filler(seed: u64, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..bytes as u64)
        .map(|at| char::from(ALPHABET[mix(seed.wrapping_add(at)) as usize % ALPHABET.len()]))
        .collect()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

fn put<const N: usize>(body: &mut [u8], at: usize, value: [u8; N]) {
    body[at..at + N].copy_from_slice(&value);
}

/// Where the spans' content ends up when its size is chosen: the last attribute.
const FILLER_KEY: &str = "loadgen.filler";
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";
const OPERATIONS: [(&str, &str); 4] =
    [("GET", "/items"), ("GET", "/items/{id}"), ("POST", "/orders"), ("PUT", "/carts/{id}")];
/// Spans of a trace start one after the other, so that a timeline shows them apart.
pub(crate) const SPAN_STAGGER_NANOS: u64 = 1_000;
const SPAN_DURATION_NANOS: u64 = 1_000_000;
/// The specification's recommended limit for receivers; larger requests only test refusals, and
/// four times it still does.
const REQUEST_BYTES_MAX: usize = 256 << 20;

#[cfg(test)]
mod tests;
