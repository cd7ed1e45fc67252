//! One OTLP/gRPC export as one HTTP/2 request: a framed message out, a status back.
//!
//! Part of the backend client, on the `send` thread. Below tonic's generated clients, because those
//! copy the message and send an empty frame after it; the message here is framed already.

use std::{future::poll_fn, time::Duration};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use http_body_util::{BodyExt, Full};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{Code, Status, body::Body, transport::Channel};
use tower_service::Service;

use super::{
    batch::PREFIX_BYTES,
    outcome::{Outcome, Refusal, one_line},
};
use crate::{limits, otlp::TRACES};

/// The time limit of a call, and how the backend is told of it.
#[derive(Clone)]
pub(super) struct Deadline {
    timeout: Duration,
    header: HeaderValue,
}

impl Deadline {
    pub(super) fn new(timeout: Duration) -> Self {
        // gRPC over HTTP2, "Timeout": at most eight digits.
        let ms = timeout.as_millis().min(99_999_999);
        let header = HeaderValue::from_str(&format!("{ms}m")).expect("digits are a valid header");
        Self { timeout, header }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.timeout
    }
}

/// Sends `message`, which begins with its gRPC prefix, and reads the answer to its end.
pub(super) async fn export(mut channel: Channel, message: Bytes, deadline: &Deadline) -> Outcome {
    let transport = |error| Outcome::Refused(Refusal::from_transport(&error));
    if let Err(error) = poll_fn(|context| channel.poll_ready(context)).await {
        return transport(error);
    }
    match channel.call(request(message, deadline)).await {
        Ok(response) => read(response).await,
        Err(error) => transport(error),
    }
}

fn request(message: Bytes, deadline: &Deadline) -> Request<Body> {
    let mut request = Request::new(Body::new(Full::new(message)));
    *request.method_mut() = http::Method::POST;
    *request.version_mut() = http::Version::HTTP_2;
    *request.uri_mut() = Uri::from_static(TRACES.grpc_export_path);
    let headers = request.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers.insert("grpc-timeout", deadline.header.clone());
    request
}

/// Reads headers, message and trailers. gRPC over HTTP2, "Responses": a call that fails at once has
/// its status among the headers.
async fn read(response: Response<Body>) -> Outcome {
    let (head, mut body) = response.into_parts();
    if let Some(status) = Status::from_header_map(&head.headers) {
        return conclude(&status, &Bytes::new());
    }
    if head.status != StatusCode::OK || !is_grpc(&head.headers) {
        return Outcome::Refused(Refusal::from_http(head.status, retry_after(&head.headers)));
    }
    let mut answer = BytesMut::new();
    let mut trailers = None;
    while let Some(frame) = body.frame().await {
        match frame.map(|frame| frame.into_data()) {
            // What is over the limit is discarded: the status, which comes last, still counts.
            Ok(Ok(data)) if answer.len() + data.len() <= limits::BACKEND_ANSWER_BYTES_MAX => {
                answer.extend_from_slice(&data);
            }
            Ok(Ok(_too_much)) => {}
            Ok(Err(frame)) => trailers = frame.into_trailers().ok(),
            Err(status) => return Outcome::Refused(Refusal::from_transport(&status)),
        }
    }
    // gRPC over HTTP2, "Responses": the status is always there; without it the answer was cut off.
    let Some(status) = trailers.as_ref().and_then(Status::from_header_map) else {
        let missing = Status::unknown("the answer ended without a gRPC status");
        return Outcome::Refused(Refusal::from_transport(&missing));
    };
    conclude(&status, &answer.freeze())
}

fn conclude(status: &Status, answer: &Bytes) -> Outcome {
    if status.code() != Code::Ok {
        return Outcome::Refused(Refusal::from_status(status));
    }
    // OTLP, "Partial Success": an OK may refuse spans; one that cannot be read is an OK still.
    let payload = answer.get(PREFIX_BYTES..).unwrap_or_default();
    match ExportTraceServiceResponse::decode(payload) {
        Ok(response) => {
            let partial = response.partial_success.unwrap_or_default();
            Outcome::Accepted {
                spans_refused: partial.rejected_spans.try_into().unwrap_or_default(),
                warning: one_line(&partial.error_message),
            }
        }
        Err(error) => {
            let warning = one_line(&format!("unreadable answer: {error}"));
            Outcome::Accepted { spans_refused: 0, warning }
        }
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content_type = headers.get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    content_type.is_some_and(|value| value.starts_with(b"application/grpc"))
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok()?;
    Some(Duration::from_secs(seconds))
}
