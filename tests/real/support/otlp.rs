//! An OTLP/gRPC client with nothing clever in it, and requests to send with it.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use bytes::{Buf, BufMut, Bytes};
use http::uri::PathAndQuery;
use opentelemetry_proto::tonic::{
    collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
    common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span, Status as SpanStatus, span},
};
use prost::Message;
use testbed::raw_http2::EXPORT;
use tokio::runtime::{Builder, Runtime};
use tonic::{
    Request, Status,
    client::Grpc,
    codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder},
    transport::{Channel, Endpoint},
};

/// A runtime on the calling thread: tests are synchronous and wait for each answer.
pub(crate) fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().expect("a runtime needs one file descriptor")
}

/// One connection to an OTLP receiver.
pub(crate) struct Client {
    runtime: Runtime,
    grpc: Grpc<Channel>,
}

impl Client {
    /// Connects with the first request, and again with the next one after a failure.
    pub(crate) fn new(endpoint: &str) -> Self {
        let runtime = runtime();
        let endpoint = Endpoint::from_shared(endpoint.to_owned())
            .expect("test endpoints are valid")
            .timeout(REPLY_WITHIN);
        // The channel's background task needs a runtime to live on.
        let grpc = runtime.block_on(async { Grpc::new(endpoint.connect_lazy()) });
        Self { runtime, grpc }
    }

    /// Sends one request and returns its answer.
    pub(crate) fn export(
        &mut self,
        request: &ExportTraceServiceRequest,
    ) -> Result<ExportTraceServiceResponse, Status> {
        let message = Bytes::from(request.encode_to_vec());
        let grpc = &mut self.grpc;
        let answer = self.runtime.block_on(async {
            grpc.ready().await.map_err(|error| Status::unavailable(error.to_string()))?;
            let path = PathAndQuery::from_static(EXPORT);
            grpc.unary(Request::new(message), path, RawCodec).await
        })?;
        ExportTraceServiceResponse::decode(answer.into_inner())
            .map_err(|error| Status::internal(error.to_string()))
    }
}

/// A trace id that no other test and no other run uses.
pub(crate) fn unique_trace_id() -> [u8; 16] {
    static NEXT: AtomicU64 = AtomicU64::new(1);
    let mut id = [0; 16];
    id[..8].copy_from_slice(&now_unix_nano().to_be_bytes());
    id[8..].copy_from_slice(&NEXT.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    id
}

/// Lower-case hex, as record keys and query paths spell ids.
pub(crate) fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `span_count` spans of one trace: a root and its children, every field of the data model used,
/// each span carrying `payload_bytes` bytes of attribute.
pub(crate) fn trace(trace_id: [u8; 16], span_count: u64, payload_bytes: usize) -> Vec<Span> {
    let start = now_unix_nano();
    (1..=span_count)
        .map(|number| Span {
            trace_id: trace_id.to_vec(),
            span_id: span_id(trace_id, number),
            parent_span_id: if number == 1 { Vec::new() } else { span_id(trace_id, 1) },
            trace_state: "vendor=value".to_owned(),
            flags: 0x101,
            name: format!("step {number}"),
            kind: span::SpanKind::Server.into(),
            start_time_unix_nano: start + number,
            end_time_unix_nano: start + number * 1_000,
            attributes: vec![
                attribute("payload", Value::StringValue("x".repeat(payload_bytes))),
                attribute("retry", Value::BoolValue(false)),
                attribute("price", Value::DoubleValue(12.5)),
                attribute("items", Value::IntValue(i64::MAX)),
            ],
            dropped_attributes_count: 1,
            events: vec![span::Event {
                time_unix_nano: start + number * 500,
                name: "charged".to_owned(),
                attributes: vec![attribute("currency", Value::StringValue("€".to_owned()))],
                dropped_attributes_count: 2,
            }],
            dropped_events_count: 3,
            links: vec![span::Link {
                trace_id: vec![7; 16],
                span_id: vec![8; 8],
                trace_state: "other=1".to_owned(),
                attributes: vec![attribute("why", Value::StringValue("batch".to_owned()))],
                dropped_attributes_count: 4,
                flags: 0x100,
            }],
            dropped_links_count: 5,
            status: Some(SpanStatus { message: "card declined".to_owned(), code: 2 }),
        })
        .collect()
}

/// A request with these spans under one resource and one scope.
pub(crate) fn request(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    let name = Value::StringValue(service.to_owned());
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", name)],
                dropped_attributes_count: 6,
                entity_refs: Vec::new(),
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope {
                    name: "checkout".to_owned(),
                    version: "1.2.3".to_owned(),
                    attributes: vec![attribute("short", Value::BoolValue(true))],
                    dropped_attributes_count: 7,
                }),
                spans,
                schema_url: "https://opentelemetry.io/schemas/1.30.0".to_owned(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.29.0".to_owned(),
        }],
    }
}

fn span_id(trace_id: [u8; 16], number: u64) -> Vec<u8> {
    // Distinct between traces too: their last eight bytes count them.
    let trace = u64::from_be_bytes(trace_id[8..].try_into().expect("eight bytes"));
    ((trace << 24) + number).to_be_bytes().to_vec()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    KeyValue {
        key: key.to_owned(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    }
}

fn now_unix_nano() -> u64 {
    let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).expect("it is past 1970");
    u64::try_from(since_1970.as_nanos()).expect("until the year 2554")
}

/// Messages as bytes: what is sent and what comes back is not touched in between.
#[derive(Clone, Copy)]
pub(crate) struct RawCodec;

impl Codec for RawCodec {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        *self
    }

    fn decoder(&mut self) -> Self {
        *self
    }
}

impl Encoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, message: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(message);
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// As the SDKs wait by default.
const REPLY_WITHIN: Duration = Duration::from_secs(10);
