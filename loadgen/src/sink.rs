//! `loadgen sink`: an OTLP/gRPC receiver that keeps which spans arrived.
//!
//! tonic serves on a few runtime threads; requests are judged on them and recorded under one lock,
//! taken once per request. The first line on stdout names the address, once the sink accepts.

mod report;
mod service;

use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tokio::runtime::Builder;
use tokio::sync::Notify;
use tokio::time;
use tonic::Status;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use self::report::SinkReport;
use self::service::TraceSink;
use crate::arrivals::{Arrivals, Judged};
use crate::end_to_end::EndToEnd;
use crate::files::FileError;
use crate::ids::mix;
use crate::options::SinkOptions;
use crate::report::distribution;
use crate::script::Script;
use crate::signals;
use crate::timeline::Timeline;

/// A sink that could not do its work.
#[derive(Debug, thiserror::Error)]
pub(crate) enum SinkError {
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot write the report: {0}")]
    Report(io::Error),
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
    let mut timeline = Timeline::default();
    let end = tokio::select! {
        served = &mut server => served.map(|()| SinkEnd::Done)?,
        end = watch(options, &state, &mut timeline) => end?,
    };
    // Answers under way reach their senders; one that never reads its own cannot hold the sink.
    ending.notify_one();
    if let Ok(served) = time::timeout(SHUTDOWN_MAX, server).await {
        served?;
    }
    state.save(options, &timeline)?;
    Ok(end)
}

/// Prints a line per second and serves signals until it is time to end.
#[expect(clippy::print_stderr, reason = "the status is for people, results are in the files")]
async fn watch(
    options: &SinkOptions,
    state: &State,
    timeline: &mut Timeline,
) -> Result<SinkEnd, SinkError> {
    let mut termination = signals::termination()?;
    let mut save_requests = signals::user_defined()?;
    let mut second = time::interval(Duration::from_secs(1));
    second.tick().await;
    let patience = time::sleep(options.timeout);
    tokio::pin!(patience);
    let end = loop {
        tokio::select! {
            _ = second.tick() => {
                timeline.second(state.kept().arrivals.distinct());
                eprintln!("{}", state.status_line());
            }
            _ = save_requests.recv() => state.save(options, timeline)?,
            () = termination.received() => break SinkEnd::Done,
            () = state.complete.notified() => break SinkEnd::Done,
            () = &mut patience, if options.until_spans.is_some() => break SinkEnd::Incomplete,
        }
    };
    eprintln!("{}", state.status_line());
    Ok(end)
}

/// What every request of every connection shares.
struct State {
    script: Script,
    discard: bool,
    until_spans: u64,
    /// Told once `until_spans` have arrived.
    complete: Notify,
    /// When the first request came.
    first_request: OnceLock<Instant>,
    requests: AtomicU64,
    failed_requests: AtomicU64,
    bytes: AtomicU64,
    kept: Mutex<Kept>,
}

struct Kept {
    arrivals: Arrivals,
    spans_to_lose: u64,
}

impl State {
    fn new(options: &SinkOptions) -> Self {
        let warm_up_nanos = u64::try_from(options.warm_up.as_nanos()).unwrap_or(u64::MAX);
        let arrivals = Arrivals {
            sink: mix(unix_nanos() ^ u64::from(process::id()).rotate_left(32)),
            end_to_end: EndToEnd::new(warm_up_nanos),
            ..Arrivals::default()
        };
        let spans_to_lose = options.script.lose_spans;
        Self {
            script: Script::new(&options.script),
            discard: options.discard,
            until_spans: options.until_spans.unwrap_or(u64::MAX),
            complete: Notify::new(),
            first_request: OnceLock::new(),
            requests: AtomicU64::new(0),
            failed_requests: AtomicU64::new(0),
            bytes: AtomicU64::new(0),
            kept: Mutex::new(Kept { arrivals, spans_to_lose }),
        }
    }

    /// Answers one request.
    async fn export(&self, message: Bytes) -> Result<(), Status> {
        let arrived_nanos = unix_nanos();
        let number = self.requests.fetch_add(1, Ordering::Relaxed);
        self.bytes.fetch_add(message.len() as u64, Ordering::Relaxed);
        let since_first = self.first_request.get_or_init(Instant::now).elapsed();
        if !self.script.delay.is_zero() {
            time::sleep(self.script.delay).await;
        }
        if let Some(failure) = self.script.failure(number, since_first) {
            self.failed_requests.fetch_add(1, Ordering::Relaxed);
            return Err(failure);
        }
        if self.discard {
            return Ok(());
        }
        let request = ExportTraceServiceRequest::decode(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let mut judged = Judged::new(request);
        let wait = self.script.wait(Instant::now(), judged.len());
        if !wait.is_zero() {
            time::sleep(wait).await;
        }
        let mut kept = self.kept();
        kept.spans_to_lose -= judged.lose(kept.spans_to_lose);
        kept.arrivals.record(&judged, Some(arrived_nanos));
        if kept.arrivals.distinct() >= self.until_spans {
            self.complete.notify_one();
        }
        Ok(())
    }

    /// Writes every file that `options` asks for.
    fn save(&self, options: &SinkOptions, timeline: &Timeline) -> Result<(), SinkError> {
        let report = SinkReport::new(self, timeline);
        report.write(options.json.as_deref()).map_err(SinkError::Report)?;
        let elapsed = self.first_request.get().map_or(Duration::ZERO, Instant::elapsed);
        let started = SystemTime::now() - elapsed;
        let kept = self.kept();
        distribution::write(
            &options.distributions,
            &[kept.arrivals.end_to_end.named()],
            started,
            elapsed,
        )
        .map_err(SinkError::Report)?;
        options.out.as_deref().map_or(Ok(()), |path| Ok(kept.arrivals.save(path)?))
    }

    fn status_line(&self) -> String {
        let requests = self.requests.load(Ordering::Relaxed);
        let bytes = self.bytes.load(Ordering::Relaxed);
        let kept = self.kept();
        let (distinct, foreign) = (kept.arrivals.distinct(), kept.arrivals.foreign);
        let latency = kept.arrivals.end_to_end.percentiles().map_or_else(String::new, |latency| {
            format!("  end to end p50 {:.0} us  p99 {:.0} us", latency.p50, latency.p99)
        });
        format!(
            "requests {requests}  bytes {bytes}  distinct spans {distinct}  \
             foreign {foreign}{latency}"
        )
    }

    fn kept(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().expect("nobody panics while holding this lock")
    }
}

/// The wall clock, which generator and sink share where they share a host.
fn unix_nanos() -> u64 {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since_epoch.as_nanos()).unwrap_or(u64::MAX)
}

const STREAM_WINDOW_BYTES: u32 = 8 << 20;
const CONNECTION_WINDOW_BYTES: u32 = 24 << 20;
/// Fewer, larger frames than the default of 16 KiB.
const FRAME_BYTES_MAX: u32 = 256 << 10;
const SHUTDOWN_MAX: Duration = Duration::from_secs(5);
