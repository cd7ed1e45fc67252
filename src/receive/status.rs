//! Every answer as gRPC says it: one table, with the rule of the OTLP specification it follows.

use bytes::{BufMut, Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Response, header::CONTENT_TYPE};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceResponse,
};
use prost::Message;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::{
    limits::RETRY_DELAY,
    publish::{Answer, Failure, Shortage, Spans},
};

/// What goes back over a stream.
pub(super) struct Reply {
    /// The headers; they hold the status as well when there is no message.
    pub(super) head: Response<()>,
    /// A gRPC message with its prefix, to be followed by [`ok_trailers`].
    pub(super) message: Option<Bytes>,
}

impl From<Response<()>> for Reply {
    fn from(head: Response<()>) -> Self {
        Self { head, message: None }
    }
}

/// The reply to an export request, and the `outcome` it is counted under.
pub(super) fn reply(answer: Answer) -> (Reply, &'static str) {
    match answer {
        Answer::Acknowledged(spans) => (success(&spans), "acknowledged"),
        // "If the processing of the request fails because the request contains data that cannot be
        // decoded or is otherwise invalid, the server MUST respond with INVALID_ARGUMENT."
        // opentelemetry-proto, docs/specification.md, OTLP/gRPC Response, Failures.
        Answer::Malformed(why) => (failure(Code::InvalidArgument, why).into(), "invalid"),
        // Size limits are refused with RESOURCE_EXHAUSTED; without RetryInfo the client drops the
        // request instead of sending it for ever.
        // opentelemetry-proto, docs/specification.md, OTLP/gRPC Throttling and message size.
        Answer::TooLarge(why) => (failure(Code::ResourceExhausted, why).into(), "too_large"),
        Answer::Unavailable { failure: cause, .. } => {
            let outcome = if cause.is_refusal() { "refused" } else { "failed" };
            (unavailable(cause).into(), outcome)
        }
        Answer::TimedOut => {
            let why = "no acknowledgement within the deadline";
            (failure(Code::DeadlineExceeded, why).into(), "timed_out")
        }
        Answer::Cancelled => {
            (failure(Code::Cancelled, "the request broke off").into(), "cancelled")
        }
    }
}

/// Overload and outages are UNAVAILABLE with RetryInfo: "the server SHOULD return UNAVAILABLE and
/// MAY supply RetryInfo". opentelemetry-proto, docs/specification.md, OTLP/gRPC Throttling.
fn unavailable(cause: Failure) -> Response<()> {
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
        Failure::BrokerUnreachable => "kafka cannot be written to now; /readyz says why".into(),
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
pub(super) fn unimplemented(why: &str) -> Response<()> {
    let mut response = failure(Code::Unimplemented, why);
    response.headers_mut().insert(ACCEPT_ENCODING, ENCODINGS);
    response
}

/// What is not gRPC at all is answered in HTTP's words, as the gRPC specification asks.
pub(super) fn not_grpc() -> Response<()> {
    let mut response = Response::new(());
    *response.status_mut() = http::StatusCode::UNSUPPORTED_MEDIA_TYPE;
    response
}

/// A status without a message, in the headers ("Trailers-Only").
pub(super) fn failure(code: Code, why: impl Into<String>) -> Response<()> {
    Status::new(code, why).into_http()
}

/// OK with a message, prefix included.
pub(super) fn ok(message: Bytes) -> Reply {
    let mut head = Response::new(());
    head.headers_mut().insert(CONTENT_TYPE, GRPC);
    Reply { head, message: Some(message) }
}

/// What ends the stream of an OK.
pub(super) fn ok_trailers() -> HeaderMap {
    let mut trailers = HeaderMap::with_capacity(1);
    trailers.insert(GRPC_STATUS, HeaderValue::from_static("0"));
    trailers
}

const ACCEPT_ENCODING: HeaderName = HeaderName::from_static("grpc-accept-encoding");
const ENCODINGS: HeaderValue = HeaderValue::from_static("identity,gzip,zstd");
const GRPC: HeaderValue = HeaderValue::from_static("application/grpc");
const GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// OK. Nothing rejected: "the partial_success field MUST NOT be set", which makes the message
/// empty. Otherwise the count and the reason; a client "MUST NOT retry".
/// opentelemetry-proto, docs/specification.md, Full Success and Partial Success.
fn success(spans: &Spans) -> Reply {
    const EMPTY: Bytes = Bytes::from_static(&[0; 5]);
    let message = if spans.rejected == 0 { EMPTY } else { partial_success(spans) };
    let mut reply = ok(message);
    reply.head.headers_mut().insert(ACCEPT_ENCODING, ENCODINGS);
    reply
}

fn partial_success(spans: &Spans) -> Bytes {
    let response = ExportTraceServiceResponse {
        partial_success: Some(ExportTracePartialSuccess {
            rejected_spans: spans.rejected as i64,
            error_message: spans.reason.unwrap_or_default().to_owned(),
        }),
    };
    framed(&response)
}

/// A gRPC message behind its prefix, not compressed.
pub(super) fn framed(message: &impl Message) -> Bytes {
    let mut bytes = BytesMut::new();
    bytes.put_u8(0);
    bytes.put_u32(message.encoded_len() as u32);
    bytes.put_slice(&message.encode_to_vec());
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::DeliveryError;

    /// The status in a reply's headers, and the `outcome` it is counted under.
    fn told(error: DeliveryError) -> (Status, &'static str) {
        let failure = Failure::Delivery(error);
        let (reply, outcome) = reply(Answer::Unavailable { failure, spans: Spans::default() });
        assert!(reply.message.is_none());
        (Status::from_header_map(reply.head.headers()).expect("a status"), outcome)
    }

    /// A record that Kafka did not acknowledge, for whatever reason, is UNAVAILABLE with RetryInfo
    /// and names the reason; it counts as failed, not as refused: other records may be in Kafka.
    #[test]
    fn delivery_errors_are_retryable() {
        for error in DeliveryError::ALL {
            let (status, outcome) = told(error);
            assert_eq!((status.code(), outcome), (Code::Unavailable, "failed"), "{error:?}");
            let words = format!("kafka did not acknowledge every record: {}", error.as_str());
            assert_eq!(status.message(), words);
            let retry = status.get_error_details().retry_info().and_then(|it| it.retry_delay);
            assert_eq!(retry, Some(RETRY_DELAY), "{error:?}");
            assert_eq!(refusal(Failure::Delivery(error)), None);
        }
    }
}
