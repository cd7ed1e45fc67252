//! One OTLP/gRPC connection, one layer below gRPC: h2 streams with bodies that are framed already.
//!
//! Owned by one worker on one thread. A connection that breaks is opened again by whoever needs it
//! next. It must never retry a request by itself: what an answer means is [`Answer`]'s business.

use std::cell::Cell;
use std::fmt;
use std::io;
use std::str::FromStr;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use h2::client::SendRequest;
use h2::{Reason, RecvStream};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode, Uri, Version, header};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::time;
use tonic::{Code, Status};

use crate::answer::Answer;

/// Where load goes: `http://host:port`, as in `OTEL_EXPORTER_OTLP_ENDPOINT`.
#[derive(Clone, Debug)]
pub(crate) struct Endpoint {
    host: String,
    port: u16,
}

/// An endpoint that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum EndpointError {
    #[error("expected http://host:port")]
    Malformed,
    #[error("only http:// is supported, without TLS")]
    Scheme,
}

/// A connection that could not be opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("no answer in {}s", CONNECT_TIMEOUT.as_secs())]
    Deadline,
    #[error("{0}")]
    Http2(#[from] h2::Error),
    #[error("{0}")]
    Tcp(#[from] io::Error),
}

/// A connection that is opened again when it has broken.
pub(crate) struct Channel {
    endpoint: Endpoint,
    /// Everything of a request but its body.
    head: Request<()>,
    /// `None` until the first connection, and while there is none.
    sender: Mutex<Option<SendRequest<Bytes>>>,
    reconnects: Cell<u64>,
}

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError::Malformed)?;
        match uri.scheme_str() {
            Some("http") => {}
            Some(_) => return Err(EndpointError::Scheme),
            None => return Err(EndpointError::Malformed),
        }
        let host = uri.host().ok_or(EndpointError::Malformed)?;
        if !matches!(uri.path(), "" | "/") {
            return Err(EndpointError::Malformed);
        }
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { host, port: uri.port_u16().unwrap_or(OTLP_GRPC_PORT) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.host.contains(':') {
            true => write!(f, "http://[{}]:{}", self.host, self.port),
            false => write!(f, "http://{}:{}", self.host, self.port),
        }
    }
}

impl Channel {
    /// A channel to `endpoint`, not yet connected. `timeout` is what requests tell the receiver in
    /// `grpc-timeout`.
    pub(crate) fn new(
        endpoint: Endpoint,
        encoding: Option<&'static str>,
        timeout: Duration,
    ) -> Self {
        let mut head = Request::new(());
        *head.method_mut() = Method::POST;
        *head.version_mut() = Version::HTTP_2;
        *head.uri_mut() =
            format!("{endpoint}{EXPORT_PATH}").parse().expect("an endpoint and a path make a URI");
        let headers = head.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
        headers.insert(header::TE, HeaderValue::from_static("trailers"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(USER_AGENT));
        let timeout = HeaderValue::try_from(format!("{}m", timeout.as_millis().min(99_999_999)))
            .expect("digits and a letter make a header value");
        headers.insert("grpc-timeout", timeout);
        if let Some(encoding) = encoding {
            headers.insert("grpc-encoding", HeaderValue::from_static(encoding));
        }
        Self { endpoint, head, sender: Mutex::new(None), reconnects: Cell::new(0) }
    }

    /// Opens the connection. Called once, before the first request.
    pub(crate) async fn connect(&self) -> Result<(), ConnectError> {
        *self.sender.lock().await = Some(open(&self.endpoint).await?);
        Ok(())
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
            if let Ok(sender) = open(&self.endpoint).await {
                self.reconnects.update(|reconnects| reconnects + 1);
                *current = Some(sender.clone());
                return sender;
            }
            time::sleep(RECONNECT_DELAY).await;
        }
    }
}

async fn open(endpoint: &Endpoint) -> Result<SendRequest<Bytes>, ConnectError> {
    let handshake = async {
        let stream = TcpStream::connect((endpoint.host.as_str(), endpoint.port)).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = h2::client::Builder::new()
            .enable_push(false)
            // The window also sets h2's budget for tiny frames, and every answer is one.
            .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
            .handshake::<_, Bytes>(stream)
            .await?;
        // How a connection ends is seen by the requests on it.
        tokio::task::spawn_local(async { connection.await.unwrap_or_default() });
        Ok(sender)
    };
    time::timeout(CONNECT_TIMEOUT, handshake).await.unwrap_or(Err(ConnectError::Deadline))
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
        Some(status) if status.code() == Code::Ok => Answer::from_body(body),
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
const OTLP_GRPC_PORT: u16 = 4317;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Often enough to be there soon after a restart, seldom enough to not hinder it.
const RECONNECT_DELAY: Duration = Duration::from_millis(100);
const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
/// An answer is a few bytes, with an error message a few hundred.
const RESPONSE_BYTES_MAX: usize = 64 << 10;

#[cfg(test)]
mod tests {
    use http::{HeaderMap, HeaderValue, StatusCode};
    use tonic::Code;

    use super::{Endpoint, EndpointError, judge};
    use crate::ledger::Outcome;

    /// Host and port are read, the port defaults to OTLP's, and what cannot work is refused.
    #[test]
    fn endpoints_are_read() {
        let shown = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        assert_eq!(shown("http://localhost:1").as_deref(), Ok("http://localhost:1"));
        assert_eq!(shown("http://localhost/").as_deref(), Ok("http://localhost:4317"));
        assert_eq!(shown("http://[::1]:9").as_deref(), Ok("http://[::1]:9"));
        assert_eq!(shown("https://localhost"), Err(EndpointError::Scheme));
        for text in ["localhost:4317", "http://", "http://localhost/v1/traces"] {
            assert!(shown(text).is_err(), "{text}");
        }
    }

    /// The status is found in trailers and in headers; without one, HTTP's own counts.
    #[test]
    fn the_status_is_found() {
        let none = HeaderMap::new();
        let unavailable: HeaderMap =
            [("grpc-status".parse().unwrap(), HeaderValue::from_static("14"))]
                .into_iter()
                .collect();
        let refused = Outcome::Refused(Code::Unavailable);
        let outcome =
            |headers, trailers, http_status| judge(http_status, headers, &[], trailers).outcome;
        assert_eq!(outcome(&unavailable, None, StatusCode::OK), refused);
        assert_eq!(outcome(&none, Some(&unavailable), StatusCode::OK), refused);
        assert_eq!(outcome(&none, Some(&none), StatusCode::BAD_GATEWAY), refused);
        assert_eq!(outcome(&none, None, StatusCode::OK), Outcome::Rejected(Code::Unknown));
    }
}
