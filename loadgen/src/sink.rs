//! `loadgen sink`: an OTLP/gRPC receiver that keeps which spans arrived.
//!
//! tonic serves on a few runtime threads; requests are judged on them and recorded under one lock,
//! taken once per request. The first line on stdout names the address, once the sink accepts.

use std::convert::Infallible;
use std::io::{self, Write};
use std::path::Path;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::{Buf, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time;
use tonic::body::Body;
use tonic::codec::{Codec, CompressionEncoding, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::server::Grpc;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;
use tonic::{Request, Response, Status};
use tower_service::Service;

use crate::arrivals::{Arrivals, Judged};
use crate::client::EXPORT_PATH;
use crate::files::FileError;
use crate::options::SinkOptions;
use crate::script::Script;
use crate::signals;

/// A sink that could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot listen: {0}")]
    Listen(#[from] io::Error),
    #[error("cannot serve: {0}")]
    Serve(#[from] tonic::transport::Error),
}

/// How a sink ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SinkEnd {
    /// A signal, or every span that was waited for.
    Done,
    /// Some of the spans that were waited for did not arrive in time.
    Incomplete,
}

/// Receives until a signal, or until what `options` waits for.
pub(crate) fn run(options: &SinkOptions) -> Result<SinkEnd, SinkError> {
    let runtime = Builder::new_multi_thread()
        .worker_threads(usize::from(options.threads))
        .enable_all()
        .build()?;
    runtime.block_on(serve(options))
}

async fn serve(options: &SinkOptions) -> Result<SinkEnd, SinkError> {
    let state = Arc::new(State::new(options));
    let incoming = TcpIncoming::bind(options.listen)?.with_nodelay(Some(true));
    writeln!(io::stdout(), "listening on {}", incoming.local_addr()?)?;

    let ending = Notify::new();
    let server = Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_frame_size(FRAME_BYTES_MAX)
        .serve_with_incoming_shutdown(TraceSink(Arc::clone(&state)), incoming, ending.notified());
    tokio::pin!(server);
    let end = tokio::select! {
        served = &mut server => served.map(|()| SinkEnd::Done)?,
        end = watch(options, &state) => end?,
    };
    // Answers under way reach their senders; one that never reads its own cannot hold the sink.
    ending.notify_one();
    if let Ok(served) = time::timeout(SHUTDOWN_MAX, server).await {
        served?;
    }
    state.save(options.out.as_deref())?;
    Ok(end)
}

/// Prints a line per second and serves signals until it is time to end.
#[expect(clippy::print_stderr, reason = "the status is for people, results are in the file")]
async fn watch(options: &SinkOptions, state: &State) -> Result<SinkEnd, SinkError> {
    let mut termination = signals::termination()?;
    let mut save_requests = signals::user_defined()?;
    let mut second = time::interval(Duration::from_secs(1));
    second.tick().await;
    let patience = time::sleep(options.timeout);
    tokio::pin!(patience);
    loop {
        tokio::select! {
            _ = second.tick() => eprintln!("{}", state.status_line()),
            _ = save_requests.recv() => state.save(options.out.as_deref())?,
            () = termination.received() => return Ok(SinkEnd::Done),
            () = state.complete.notified() => return Ok(SinkEnd::Done),
            () = &mut patience, if options.until_spans.is_some() => {
                eprintln!("{}", state.status_line());
                return Ok(SinkEnd::Incomplete);
            }
        }
    }
}

/// What every request of every connection shares.
struct State {
    script: Script,
    discard: bool,
    until_spans: u64,
    /// Told once `until_spans` have arrived.
    complete: Notify,
    requests: AtomicU64,
    bytes: AtomicU64,
    kept: Mutex<Kept>,
}

struct Kept {
    arrivals: Arrivals,
    spans_to_lose: u64,
}

impl State {
    fn new(options: &SinkOptions) -> Self {
        let spans_to_lose = options.script.lose_spans;
        Self {
            script: Script::new(&options.script),
            discard: options.discard,
            until_spans: options.until_spans.unwrap_or(u64::MAX),
            complete: Notify::new(),
            requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            kept: Mutex::new(Kept { arrivals: Arrivals::default(), spans_to_lose }),
        }
    }

    /// Answers one request.
    async fn export(&self, message: Bytes) -> Result<(), Status> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        if !self.script.delay.is_zero() {
            time::sleep(self.script.delay).await;
        }
        if let Some(failure) = self.script.failure(number) {
            return Err(failure);
        }
        if self.discard {
            return Ok(());
        }
        let request = ExportTraceServiceRequest::decode(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut judged = Judged::new(request);
        let mut kept = self.kept();
        kept.spans_to_lose -= judged.lose(kept.spans_to_lose);
        kept.arrivals.record(&judged);
        if kept.arrivals.distinct() >= self.until_spans {
            self.complete.notify_one();
        }
        Ok(())
    }

    fn save(&self, path: Option<&Path>) -> Result<(), FileError> {
        path.map_or(Ok(()), |path| self.kept().arrivals.save(path))
    }

    fn status_line(&self) -> String {
        let requests = self.requests.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let kept = self.kept();
        format!(
            "requests {requests}  bytes {bytes}  distinct spans {}  foreign {}",
            kept.arrivals.distinct(),
            kept.arrivals.foreign
        )
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics while holding this lock")
    }
}

/// The service under tonic's server: one method, everything else is unimplemented.
#[derive(Clone)]
struct TraceSink(Arc<State>);

impl Service<http::Request<Body>> for TraceSink {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let export = Export(Arc::clone(&self.0));
        Box::pin(async move {
            if request.uri().path() != EXPORT_PATH {
                return Ok(Status::unimplemented("this sink takes traces only").into_http());
            }
            let mut grpc = Grpc::new(RawCodec)
                .accept_compressed(CompressionEncoding::Gzip)
                .accept_compressed(CompressionEncoding::Zstd)
                .max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(grpc.unary(export, request).await)
        })
    }
}

/// The method, given one message.
struct Export(Arc<State>);

impl Service<Request<Bytes>> for Export {
    type Response = Response<()>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Response<()>, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let state = Arc::clone(&self.0);
        Box::pin(async move { state.export(request.into_inner()).await.map(Response::new) })
    }
}

/// Requests as the bytes they are; every answer is the empty message, a full success.
struct RawCodec;

impl Codec for RawCodec {
    type Encode = ();
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for RawCodec {
    type Item = ();
    type Error = Status;

    fn encode(&mut self, (): (), _: &mut EncodeBuf<'_>) -> Result<(), Status> {
        Ok(())
    }
}

impl Decoder for RawCodec {
    type Item = Bytes;
    type Error = Status;

    /// Answers `Some` for an empty message too, which OTLP lets a client send.
    fn decode(&mut self, message: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(message.copy_to_bytes(message.remaining())))
    }
}

const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 24 << 20;
/// Fewer, larger frames than the default of 16 KiB.
const FRAME_BYTES_MAX: u32 = 256 << 10;
/// The specification's recommended limit for receivers.
const MESSAGE_BYTES_MAX: usize = 64 << 20;
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
