//! One OTLP/gRPC connection, one layer below gRPC: h2 streams with bodies that are framed already.
//!
//! Owned by one worker on one thread. A connection that breaks is opened again by whoever needs it
//! next. It must never retry a request by itself: what an answer means is [`Answer`]'s business.

use std::cell::Cell;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Version, header};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time;
use tonic::{Code, Status};

use crate::answer::{Answer, RESPONSE_BYTES_MAX};
use crate::endpoint::{Endpoint, Header};
use crate::tls::Tls;

/// A connection that could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no answer in {}s", CONNECT_TIMEOUT.as_secs())]
    Deadline,
    #[error("{0}")]
    Http2(#[from] h2::Error),
    #[error("{0}")]
    Io(#[from] io::Error),
}

/// What every connection of a run shares.
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    /// Present when the endpoint is `https://`.
    pub(crate) tls: Option<Tls>,
    pub(crate) headers: Vec<Header>,
    /// The value of `grpc-encoding`; `None` when the header is left out.
    pub(crate) encoding: Option<&'static str>,
    /// Of one attempt, as the receiver is told in `grpc-timeout`.
    pub(crate) timeout: Duration,
}

/// A connection that is opened again when it has broken.
pub(crate) struct Channel {
    target: Arc<Target>,
    /// Everything of a request but its body.
    head: Request<()>,
    /// `None` until the first connection, and while there is none.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    reconnects: Cell<u64>,
    is_local: Cell<bool>,
}

impl Channel {
    /// A channel to `target`, not yet connected.
    pub(crate) fn new(target: Arc<Target>) -> Self {
        let Target { endpoint, headers: own_headers, encoding, timeout, .. } = &*target;
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.version_mut() = Version::HTTP_2;
        *head.uri_mut() =
            format!("{endpoint}{EXPORT_PATH}").parse().expect("an endpoint and a path make a URI");
        let headers = head.headers_mut();
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        for Header { name, value } in own_headers {
            headers.insert(name, value.clone());
        }
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert("grpc-accept-encoding", HeaderValue::from_static("identity"));
        let timeout = HeaderValue::try_from(format!("{}m", timeout.as_millis().min(99_999_999)))
            .expect("digits and a letter make a header value");
        headers.insert("grpc-timeout", timeout);
        if let Some(encoding) = encoding {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        let (reconnects, is_local) = (Cell::new(0), Cell::new(false));
        Self { target, head, sender: Mutex::new(None), reconnects, is_local }
    }

    /// Opens the connection. Called once, before the first request.
    pub(crate) async fn connect(&self) -> Result<(), ConnectError> {
        *self.sender.lock().await = Some(self.open().await?);
        Ok(())
    }

    /// True when the receiver is on this host.
    pub(crate) fn is_local(&self) -> bool {
        self.is_local.get()
    }

    /// How often the connection was opened again.
    pub(crate) fn reconnects(&self) -> u64 {
        self.reconnects.get()
    }

    /// Sends `body`, a framed gRPC message, and waits for the answer. Waits for a connection for
    /// as long as there is none: the caller sets the deadline.
    pub(crate) async fn export(&self, body: Bytes) -> Answer {
        let mut sender = self.sender().await;
        let sent = sender.send_request(self.head.clone(), false);
        let (response, mut stream) = match sent {
            Ok(sent) => sent,
            Err(error) => return broken(&error),
        };
        if let Err(error) = stream.send_data(body, true) {
            return broken(&error);
        }
        let answer = match response.await {
            Ok(response) => read_answer(response).await,
            Err(error) => Err(error),
        };
        answer.unwrap_or_else(|error| broken(&error))
    }

    /// The open connection, or a new one. One caller opens it, the others wait for that.
    async fn sender(&self) -> SendRequest<Bytes> {
        let mut current = self.sender.lock().await;
        if let Some(sender) = current.take()
            && let Ok(sender) = sender.ready().await
        {
            *current = Some(sender.clone());
            return sender;
        }
        loop {
            if let Ok(sender) = self.open().await {
                self.reconnects.update(|reconnects| reconnects + 1);
                *current = Some(sender.clone());
                return sender;
            }
            time::sleep(RECONNECT_DELAY).await;
        }
    }

    async fn open(&self) -> Result<SendRequest<Bytes>, ConnectError> {
        let handshake = async {
            let Target { endpoint, tls, .. } = &*self.target;
            let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
            stream.set_nodelay(true)?;
            let receiver = stream.peer_addr()?.ip();
            self.is_local.set(receiver.is_loopback() || receiver == stream.local_addr()?.ip());
            match tls {
                None => handshake(stream).await,
                Some(tls) => handshake(tls.connect(&endpoint.host, stream).await?).await,
            }
        };
        time::timeout(CONNECT_TIMEOUT, handshake).await.unwrap_or(Err(ConnectError::Deadline))
    }
}

/// Starts HTTP/2 on `stream`, and the task that drives it.
async fn handshake<S>(stream: S) -> Result<SendRequest<Bytes>, ConnectError>
where
    S: AsyncRead + AsyncWrite + Unpin + 'static,
{
    let (sender, connection) = h2::client::Builder::new()
        .enable_push(false)
        // The window also sets h2's budget for tiny frames, and every answer is one.
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .handshake::<_, Bytes>(stream)
        .await?;
    // How a connection ends is seen by the requests on it.
    tokio::task::spawn_local(async { connection.await.unwrap_or_default() });
    Ok(sender)
}

/// Reads a response to its end: `grpc-status` is in the trailers, or in the headers of a response
/// that has nothing else (gRPC over HTTP2, "Trailers-Only").
async fn read_answer(response: Response<RecvStream>) -> Result<Answer, h2::Error> {
    let (head, mut stream) = response.into_parts();
    let mut body = BytesMut::new();
    while let Some(chunk) = stream.data().await {
        let chunk = chunk?;
        stream.flow_control().release_capacity(chunk.len())?;
        let room = RESPONSE_BYTES_MAX.saturating_sub(body.len());
        body.extend_from_slice(&chunk[..chunk.len().min(room)]);
    }
    let trailers = stream.trailers().await?;
    Ok(judge(head.status, &head.headers, &body, trailers.as_ref()))
}

fn judge(
    http_status: StatusCode,
    headers: &HeaderMap,
    body: &[u8],
    trailers: Option<&HeaderMap>,
) -> Answer {
    let in_trailers = trailers.and_then(Status::from_header_map);
    match in_trailers.or_else(|| Status::from_header_map(headers)) {
        Some(status) if status.code() == Code::Ok => {
            let encoding = headers.get("grpc-encoding").map_or(&[][..], HeaderValue::as_bytes);
            Answer::from_body(body, encoding)
        }
        Some(status) => Answer::from_status(&status),
        None => Answer::from_http(http_status),
    }
}

/// What a broken stream means: a refused stream was not processed (RFC 9113, 8.7), for any other
/// nobody can say.
fn broken(error: &h2::Error) -> Answer {
    match error.reason() {
        Some(Reason::REFUSED_STREAM) => Answer::from_status(&Status::unavailable("refused stream")),
        _ => Answer::NONE,
    }
}

/// The method that takes traces, as a path.
pub(crate) const EXPORT_PATH: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";
const USER_AGENT: &str = concat!("loadgen/", env!("CARGO_PKG_VERSION"));
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Often enough to be there soon after a restart, seldom enough to not hinder it.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use tonic::Code;

    use super::judge;
    use crate::ledger::Outcome;

    /// The status is found in trailers and in headers; without one, HTTP's own counts.
    #[test]
    fn the_status_is_found() {
        let none = HeaderMap::new();
        let unavailable: HeaderMap =
            [("grpc-status".parse().unwrap(), HeaderValue::from_static("14"))]
                .into_iter()
                .collect();
        let refused = Outcome::Refused { code: Code::Unavailable, retry_info: false };
        let outcome =
            |headers, trailers, http_status| judge(http_status, headers, &[], trailers).outcome;
        assert_eq!(outcome(&unavailable, None, StatusCode::OK), refused);
        assert_eq!(outcome(&none, Some(&unavailable), StatusCode::OK), refused);
        assert_eq!(outcome(&none, Some(&none), StatusCode::BAD_GATEWAY), refused);
        assert_eq!(outcome(&none, None, StatusCode::OK), Outcome::Rejected(Code::Unknown));
    }
}
