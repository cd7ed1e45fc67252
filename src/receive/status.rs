//! Every answer as gRPC says it: one table, with the rule of the OTLP specification it follows.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE};
use http_body::Frame;
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{Code, Status, body::Body};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    limits::RETRY_DELAY,
    publish::{Answer, Failure, Shortage, Spans},
};

/// The reply to an export request, and the `outcome` it is counted under.
pub(super) fn reply(answer: Answer) -> (Response<Body>, &'static str) {
    match answer {
        Answer::Acknowledged(spans) => (success(&spans), "acknowledged"),
        // "If the processing of the request fails because the request contains data that cannot be
        // decoded or is otherwise invalid, the server MUST respond with INVALID_ARGUMENT."
        // opentelemetry-proto, docs/specification.md, OTLP/gRPC Response, Failures.
        Answer::Malformed(why) => (failure(Code::InvalidArgument, why), "invalid"),
        // Size limits are refused with RESOURCE_EXHAUSTED; without RetryInfo the client drops the
        // request instead of sending it for ever.
        // opentelemetry-proto, docs/specification.md, OTLP/gRPC Throttling and message size.
        Answer::TooLarge(why) => (failure(Code::ResourceExhausted, why), "too_large"),
        Answer::Unavailable { failure: cause, .. } => {
            let outcome = if cause.is_refusal() { "refused" } else { "failed" };
            (unavailable(cause), outcome)
        }
        Answer::TimedOut => {
            let why = "no acknowledgement within the deadline";
            (failure(Code::DeadlineExceeded, why), "timed_out")
        }
        Answer::Cancelled => (failure(Code::Cancelled, "the request broke off"), "cancelled"),
    }
}

/// Overload and outages are UNAVAILABLE with RetryInfo: "the server SHOULD return UNAVAILABLE and
/// MAY supply RetryInfo". opentelemetry-proto, docs/specification.md, OTLP/gRPC Throttling.
fn unavailable(cause: Failure) -> Response<Body> {
    let details = ErrorDetails::with_retry_info(Some(RETRY_DELAY));
    Status::with_error_details(Code::Unavailable, words(cause), details).into_http()
}

fn words(cause: Failure) -> String {
    match cause {
        Failure::Budget(Shortage::Process) => {
            "the receiver is at its limit of bytes in flight".into()
        }
        Failure::Budget(Shortage::Connection) => {
            "this connection is at its share of the bytes in flight".into()
        }
        Failure::QueueFull => "the publish queue is full".into(),
        Failure::BrokerUnreachable => "kafka does not answer".into(),
        Failure::ShuttingDown => "the receiver is shutting down".into(),
        Failure::Delivery(error) => {
            format!("kafka did not acknowledge every record: {}", error.as_str())
        }
        Failure::Abandoned => "the request was dropped half-way".into(),
    }
}

/// The metric label of a refusal; `None` when something may have been produced.
pub(super) fn refusal(cause: Failure) -> Option<&'static str> {
    match cause {
        Failure::Budget(Shortage::Process) => Some("budget"),
        Failure::Budget(Shortage::Connection) => Some("connection_budget"),
        Failure::QueueFull => Some("queue_full"),
        Failure::BrokerUnreachable => Some("broker_unreachable"),
        Failure::ShuttingDown => Some("shutting_down"),
        Failure::Delivery(_) | Failure::Abandoned => None,
    }
}

/// A method or encoding this server does not have.
pub(super) fn unimplemented(why: &str) -> Response<Body> {
    let mut response = failure(Code::Unimplemented, why);
    response.headers_mut().insert(ACCEPT_ENCODING, ENCODINGS);
    response
}

/// What is not gRPC at all is answered in HTTP's words, as the gRPC specification asks.
pub(super) fn not_grpc() -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

fn failure(code: Code, why: impl Into<String>) -> Response<Body> {
    Status::new(code, why).into_http()
}

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// OK. Nothing rejected: "the partial_success field MUST NOT be set", which makes the message
/// empty. Otherwise the count and the reason; a client "MUST NOT retry".
/// opentelemetry-proto, docs/specification.md, Full Success and Partial Success.
fn success(spans: &Spans) -> Response<Body> {
    const EMPTY: Bytes = Bytes::from_static(&[0; 5]);
    let data = if spans.rejected == 0 { EMPTY } else { partial_success(spans) };
    let mut response = Response::new(Body::new(Unary { data: Some(data), ended: false }));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, GRPC);
    headers.insert(ACCEPT_ENCODING, ENCODINGS);
    response
}

fn partial_success(spans: &Spans) -> Bytes {
    let response = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: spans.rejected as i64,
            error_message: spans.reason.unwrap_or_default().to_owned(),
        }),
    };
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(response.encoded_len() as u32);
    bytes.put_slice(&response.encode_to_vec());
    bytes.freeze()
}

/// The body of an OK: one message, then the status as trailers.
struct Unary {
    data: Option<Bytes>,
    ended: bool,
}

impl http_body::Body for Unary {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        if let Some(data) = self.data.take() {
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        if std::mem::replace(&mut self.ended, true) {
            return Poll::Ready(None);
        }
        let mut trailers = HeaderMap::with_capacity(1);
        trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
        Poll::Ready(Some(Ok(Frame::trailers(trailers))))
    }
}
