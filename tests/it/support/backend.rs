//! An OTLP/gRPC backend that answers as the test's script says, and remembers what it took.
//!
//! Written on bare h2, so that a script can answer with any status, with plain HTTP, with nothing,
//! or by dropping the connection.

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};

use bytes::{BufMut, Bytes, BytesMut};
use h2::{
    Reason, RecvStream, SendStream,
    server::{self, SendResponse},
};
use http::{HeaderMap, HeaderValue, Request, Response};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use otel_event_pipeline::threads::Threads;
use prost::Message;
use tokio::{
    net::{TcpListener, TcpStream},
    runtime,
    sync::{mpsc, oneshot},
    task::JoinSet,
};
use tonic::{Code, Status};

/// What a script answers.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// OK, without partial success.
    Accept,
    /// OK, with this many spans refused.
    Partial(i64),
    /// A gRPC status.
    Status(Status),
    /// An HTTP answer without a gRPC status.
    Http(u16),
    /// Nothing, ever.
    Hang,
    /// A reset of the stream alone, as of a server that gives the call up.
    GiveUp,
    /// The end of the connection.
    Disconnect,
}

impl Reply {
    /// A gRPC status without details.
    pub(crate) fn status(code: Code, message: &str) -> Self {
        Self::Status(Status::new(code, message))
    }
}

/// A request as the script sees it.
#[derive(Clone, Debug)]
pub(crate) struct Export {
    /// How many requests came before it.
    pub(crate) index: usize,
    /// Bytes of the message.
    pub(crate) message_bytes: usize,
    /// The names of its spans, in order.
    pub(crate) spans: Vec<String>,
}

type Script = dyn Fn(&Export) -> Reply + Send + Sync;

/// A running backend; it ends with this value.
pub(crate) struct Backend {
    address: SocketAddr,
    log: Arc<Log>,
    stop: Option<oneshot::Sender<()>>,
    threads: Threads,
}

#[derive(Default)]
struct Log {
    exports: Mutex<Vec<Export>>,
    accepted: Mutex<Vec<String>>,
}

impl Backend {
    /// Listens on a free port of the loopback.
    pub(crate) fn start(script: impl Fn(&Export) -> Reply + Send + Sync + 'static) -> Self {
        let log = Arc::new(Log::default());
        let (stop, stopped) = oneshot::channel();
        let (ready, address) = crossbeam_channel::bounded(1);
        let (script, served): (Arc<Script>, _) = (Arc::new(script), Arc::clone(&log));
        let mut threads = Threads::new();
        let body = move || {
            let runtime = runtime::Builder::new_current_thread().enable_all().build().unwrap();
            runtime.block_on(async move {
                let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
                ready.send(listener.local_addr().unwrap()).unwrap();
                let mut connections = JoinSet::new();
                connections.spawn(async move {
                    let mut streams = JoinSet::new();
                    while let Ok((stream, _)) = listener.accept().await {
                        streams.spawn(connection(stream, Arc::clone(&script), Arc::clone(&served)));
                    }
                });
                stopped.await.ok();
            });
        };
        threads.spawn("backend".to_owned(), None, body).unwrap();
        let address = address.recv().unwrap();
        Self { address, log, stop: Some(stop), threads }
    }

    /// Where it listens, as `http://host:port`.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every request, in the order of arrival.
    pub(crate) fn exports(&self) -> Vec<Export> {
        self.log.exports.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The names of the spans of all requests answered with OK, in the order of the answers.
    pub(crate) fn accepted(&self) -> Vec<String> {
        self.log.accepted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Backend {
    fn drop(&mut self) {
        self.stop.take();
        self.threads.join("backend", Instant::now() + Duration::from_secs(5));
    }
}

/// Serves one connection until the client goes or a script disconnects it.
async fn connection(stream: TcpStream, script: Arc<Script>, log: Arc<Log>) {
    let (disconnect, mut disconnected) = mpsc::channel(1);
    let mut serving = JoinSet::new();
    serving.spawn(serve(stream, script, log, disconnect));
    // Dropping the set ends the connection with all its streams.
    disconnected.recv().await;
}

async fn serve(
    stream: TcpStream,
    script: Arc<Script>,
    log: Arc<Log>,
    disconnect: mpsc::Sender<()>,
) {
    let mut builder = server::Builder::new();
    builder.initial_window_size(8 << 20).initial_connection_window_size(8 << 20);
    let Ok(mut connection) = builder.handshake::<_, Bytes>(stream).await else { return };
    let mut exports = JoinSet::new();
    while let Some(Ok((request, respond))) = connection.accept().await {
        let (script, log) = (Arc::clone(&script), Arc::clone(&log));
        exports.spawn(export(request, respond, script, log, disconnect.clone()));
    }
}

async fn export(
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
    script: Arc<Script>,
    log: Arc<Log>,
    disconnect: mpsc::Sender<()>,
) {
    let Some(message) = read(request.into_body()).await else { return };
    let decoded = ExportTraceServiceRequest::decode(&message[5..]).expect("a whole request");
    let scopes = decoded.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    let spans = scopes.flat_map(|scope| &scope.spans).map(|span| span.name.clone()).collect();
    let export = {
        let mut exports = log.exports.lock().unwrap();
        let export = Export { index: exports.len(), message_bytes: message.len() - 5, spans };
        exports.push(export.clone());
        export
    };
    let reply = script(&export);
    if matches!(reply, Reply::Accept | Reply::Partial(_)) {
        log.accepted.lock().unwrap().extend(export.spans);
    }
    match reply {
        Reply::Accept => answer(&mut respond, ExportTraceServiceResponse::default()),
        Reply::Partial(rejected_spans) => {
            let error_message = "refused by the script".to_owned();
            let partial = ExportTracePartialSuccess { rejected_spans, error_message };
            answer(&mut respond, ExportTraceServiceResponse { partial_success: Some(partial) });
        }
        Reply::Status(status) => {
            let mut headers = head(200);
            status.add_header(headers.headers_mut()).unwrap();
            respond.send_response(headers, true).unwrap();
        }
        Reply::Http(code) => {
            let response = Response::builder().status(code).body(()).unwrap();
            respond.send_response(response, true).unwrap();
        }
        Reply::Hang => std::future::pending().await,
        Reply::GiveUp => respond.send_reset(Reason::CANCEL),
        Reply::Disconnect => disconnect.send(()).await.unwrap(),
    }
}

/// Reads one gRPC message with its prefix; `None` when the client goes away.
async fn read(mut body: RecvStream) -> Option<Bytes> {
    let mut message = BytesMut::new();
    while let Some(chunk) = body.data().await {
        let chunk = chunk.ok()?;
        body.flow_control().release_capacity(chunk.len()).ok()?;
        message.extend_from_slice(&chunk);
    }
    let length = u32::from_be_bytes(message.get(1..5)?.try_into().ok()?) as usize;
    assert_eq!((message[0], message.len()), (0, length + 5), "one uncompressed message");
    Some(message.freeze())
}

fn answer(respond: &mut SendResponse<Bytes>, response: ExportTraceServiceResponse) {
    let mut message = BytesMut::new();
    message.put_u8(0);
    message.put_u32(response.encoded_len() as u32);
    response.encode(&mut message).unwrap();
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    // The client may have given up meanwhile.
    let Ok(mut stream): Result<SendStream<Bytes>, _> = respond.send_response(head(200), false)
    else {
        return;
    };
    if stream.send_data(message.freeze(), false).is_ok() {
        stream.send_trailers(trailers).ok();
    }
}

fn head(code: u16) -> Response<()> {
    let grpc = Response::builder().status(code).header("content-type", "application/grpc");
    grpc.body(()).unwrap()
}
