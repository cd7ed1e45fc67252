//! A client one layer below gRPC: it can send what no well-behaved client would.

use std::{net::SocketAddr, time::Duration};

use bytes::Bytes;
use h2::client::SendRequest;
use http::{HeaderMap, Request};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tokio::{net::TcpStream, runtime::Runtime, time::timeout};
use tonic::{Code, Status};
use tonic_types::StatusExt;

pub(crate) use testbed::raw_http2::EXPORT;

/// tonic's own default.
const WINDOW_BYTES: u32 = 5 << 20;

/// No reply is waited for longer than this.
const PATIENCE: Duration = Duration::from_secs(30);

/// One HTTP/2 connection.
pub(crate) struct OtlpClient {
    runtime: Runtime,
    sender: SendRequest<Bytes>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Reply {
    /// The gRPC status, with its details.
    pub(crate) status: Status,
    /// The response message, empty when there was none.
    pub(crate) message: Bytes,
    /// The response headers.
    pub(crate) headers: HeaderMap,
}

impl Reply {
    /// The gRPC code.
    pub(crate) fn code(&self) -> Code {
        self.status.code()
    }

    /// The delay of a RetryInfo, `None` when the status carries none.
    pub(crate) fn retry_delay(&self) -> Option<Duration> {
        self.status.get_error_details().retry_info().and_then(|info| info.retry_delay)
    }

    /// `rejected_spans` and `error_message`; `None` when `partial_success` is not set.
    pub(crate) fn partial_success(&self) -> Option<(i64, String)> {
        let response = ExportTraceServiceResponse::decode(self.message.clone()).unwrap();
        response.partial_success.map(|partial| (partial.rejected_spans, partial.error_message))
    }
}

impl OtlpClient {
    /// Connects.
    pub(crate) fn connect(address: SocketAddr) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let sender = runtime.block_on(async {
            let stream = TcpStream::connect(address).await.unwrap();
            // As wide as gRPC clients have it: h2 bounds unread tiny frames by it.
            let handshake = h2::client::Builder::new()
                .initial_connection_window_size(WINDOW_BYTES)
                .handshake(stream);
            let (sender, connection) = handshake.await.unwrap();
            drive(connection);
            sender
        });
        Self { runtime, sender }
    }

    /// Exports one message, well framed, and waits for the reply.
    pub(crate) fn export(&self, message: &[u8]) -> Reply {
        self.call(EXPORT, &[], framed(0, message))
    }

    /// Sends `body` as it is, with `headers` beside gRPC's own, and waits for the reply.
    pub(crate) fn call(&self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Reply {
        self.runtime.block_on(async {
            timeout(PATIENCE, exchange(self.sender.clone(), path, headers, body)).await.unwrap()
        })
    }

    /// Sends the beginning of an export, never its end, and waits for the reply.
    pub(crate) fn stall(&self, headers: &[(&str, &str)], part: Vec<u8>) -> Reply {
        self.runtime.block_on(async {
            let sender = self.sender.clone().ready().await.unwrap();
            let (response, mut stream) = open(sender, EXPORT, headers);
            stream.send_data(part.into(), false).unwrap();
            timeout(PATIENCE, reply(response)).await.unwrap()
        })
    }

    /// Sends all of `bodies` at once, each a stream of its own, and waits for every reply.
    pub(crate) fn export_all(&self, bodies: Vec<Vec<u8>>) -> Vec<Reply> {
        self.runtime.block_on(async {
            let mut exchanges = tokio::task::JoinSet::new();
            for body in bodies {
                let sender = self.sender.clone();
                exchanges.spawn(async move { exchange(sender, EXPORT, &[], body).await });
            }
            timeout(PATIENCE, exchanges.join_all()).await.unwrap()
        })
    }

    /// Sends the beginning of an export and, once the server has seen it, gives it up.
    pub(crate) fn abandon(&self, part: Vec<u8>) {
        self.runtime.block_on(async {
            let sender = self.sender.clone().ready().await.unwrap();
            let (_response, mut stream) = open(sender, EXPORT, &[]);
            stream.send_data(part.into(), false).unwrap();
            // Frames of a connection stay in order: with this answered, the other has arrived.
            exchange(self.sender.clone(), "/none", &[], framed(0, b"")).await;
            stream.send_reset(h2::Reason::CANCEL);
            exchange(self.sender.clone(), "/none", &[], framed(0, b"")).await;
        });
    }
}

/// A gRPC message frame.
pub(crate) fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let mut body = vec![flag];
    body.extend_from_slice(&(message.len() as u32).to_be_bytes());
    body.extend_from_slice(message);
    body
}

#[expect(clippy::disallowed_methods, reason = "a test's own connection")]
fn drive(connection: h2::client::Connection<TcpStream>) {
    // Its error is the one that every stream reports as well.
    tokio::spawn(async move { connection.await.ok() });
}

type Opened = (h2::client::ResponseFuture, h2::SendStream<Bytes>);

fn open(mut sender: SendRequest<Bytes>, path: &str, headers: &[(&str, &str)]) -> Opened {
    let mut request = Request::post(format!("http://pipeline{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers");
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    sender.send_request(request.body(()).unwrap(), false).unwrap()
}

async fn exchange(
    sender: SendRequest<Bytes>,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> Reply {
    let sender = sender.ready().await.unwrap();
    let (response, mut stream) = open(sender, path, headers);
    // A server that refuses early resets the stream: what counts is the reply.
    send(&mut stream, body.into()).await.ok();
    reply(response).await
}

async fn reply(response: h2::client::ResponseFuture) -> Reply {
    let (head, mut body) = response.await.unwrap().into_parts();
    let mut message = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        message.extend_from_slice(&data);
    }
    let trailers = body.trailers().await.unwrap();
    let status = trailers.as_ref().and_then(Status::from_header_map);
    let status = status.or_else(|| Status::from_header_map(&head.headers));
    // The prefix is checked by what decodes the rest.
    let message = Bytes::from(message.split_off(message.len().min(5)));
    Reply { status: status.expect("every reply has a grpc-status"), message, headers: head.headers }
}

/// Sends as the peer's windows allow.
async fn send(stream: &mut h2::SendStream<Bytes>, mut body: Bytes) -> Result<(), h2::Error> {
    while !body.is_empty() {
        stream.reserve_capacity(body.len());
        let room = std::future::poll_fn(|context| stream.poll_capacity(context)).await;
        let room = room.unwrap_or(Ok(0))?;
        stream.send_data(body.split_to(room.min(body.len())), false)?;
    }
    stream.send_data(Bytes::new(), true)
}
