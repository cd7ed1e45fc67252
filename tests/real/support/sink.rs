//! A backend that can be slow, refuse and go away, and that counts what it took.
//!
//! Jaeger forgets its traces when it ends, and does not fail when it is told to. The sink serves on
//! a thread of its own; what it took outlives its absences.

use std::{
    collections::HashMap,
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
    thread::{self, JoinHandle},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Response};
use opentelemetry_proto::tonic::trace::v1::TracesData;
use prost::Message;
use tokio::sync::oneshot;
use tonic::{
    Status,
    body::Body,
    server::Grpc,
    transport::{Server, server::TcpIncoming},
};
use tower_service::Service;

use super::{
    otlp::{self, RawCodec},
    port, wait,
};

/// How a sink answers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Temper {
    /// Time that each request takes.
    pub(crate) delay: Duration,
    /// Every so many requests one is answered UNAVAILABLE; 0 for none.
    pub(crate) refuse_every: usize,
}

/// A backend under the test's control; it ends when dropped.
pub(crate) struct Sink {
    address: SocketAddr,
    state: Arc<State>,
    serving: Option<Serving>,
}

struct Serving {
    stop: oneshot::Sender<()>,
    thread: JoinHandle<()>,
}

#[derive(Default)]
struct State {
    temper: Temper,
    requests: AtomicUsize,
    /// The spans of requests answered with OK, by trace id.
    taken: Mutex<HashMap<Vec<u8>, SpanCounts>>,
}

/// How often each span came, by span id.
type SpanCounts = HashMap<Vec<u8>, usize>;

impl Sink {
    /// Listens on a port that it can come back to.
    pub(crate) fn start(temper: Temper) -> Self {
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port::free()));
        let state = Arc::new(State { temper, ..State::default() });
        let mut sink = Self { address, state, serving: None };
        sink.come_back();
        sink
    }

    /// `http://host:port` of its OTLP receiver.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Cuts every connection and listens no more.
    pub(crate) fn go_away(&mut self) {
        if let Some(Serving { stop, thread }) = self.serving.take() {
            stop.send(()).ok();
            thread.join().ok();
        }
    }

    /// Listens again, at the same address.
    #[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the tested process")]
    pub(crate) fn come_back(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (service, address) = (Traces(self.state.clone()), self.address);
        let runtime = otlp::runtime();
        let incoming = {
            let _entered = runtime.enter();
            wait::wait_for("the sink's own port", PORT_WITHIN, || TcpIncoming::bind(address).ok())
        };
        let thread = thread::spawn(move || {
            runtime.block_on(async move {
                tokio::select! {
                    served = Server::builder().serve_with_incoming(service, incoming) => {
                        served.expect("an accept loop on loopback does not fail");
                    }
                    _stopped = stopped => {}
                }
            });
            // With the runtime every connection goes, as when a process is killed.
        });
        self.serving = Some(Serving { stop, thread });
    }

    /// How many of these traces are not here with `span_count` different spans each.
    pub(crate) fn missing_count(&self, trace_ids: &[[u8; 16]], span_count: u64) -> usize {
        let taken = self.state.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let spans = |id: &[u8; 16]| taken.get(id.as_slice()).map_or(0, HashMap::len) as u64;
        trace_ids.iter().filter(|id| spans(id) < span_count).count()
    }

    /// Different spans taken, and how many came again.
    pub(crate) fn span_counts(&self) -> (usize, usize) {
        let taken = self.state.taken.lock().unwrap_or_else(PoisonError::into_inner);
        let distinct = taken.values().map(HashMap::len).sum();
        let all: usize = taken.values().flat_map(HashMap::values).sum();
        (distinct, all - distinct)
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        self.go_away();
    }
}

impl State {
    async fn export(&self, message: Bytes) -> Result<tonic::Response<Bytes>, Status> {
        let number = self.requests.fetch_add(1, Ordering::Relaxed) + 1;
        if !self.temper.delay.is_zero() {
            tokio::time::sleep(self.temper.delay).await;
        }
        if number.checked_rem(self.temper.refuse_every) == Some(0) {
            return Err(Status::unavailable("refused as the test wants it"));
        }
        let data = TracesData::decode(message)
            .map_err(|error| Status::invalid_argument(error.to_string()))?;
        let scopes = data.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
        let mut taken = self.taken.lock().unwrap_or_else(PoisonError::into_inner);
        for span in scopes.flat_map(|scope| scope.spans) {
            *taken.entry(span.trace_id).or_default().entry(span.span_id).or_default() += 1;
        }
        // The empty message: everything was taken.
        Ok(tonic::Response::new(Bytes::new()))
    }
}

/// The service under tonic's server.
#[derive(Clone)]
struct Traces(Arc<State>);

impl Service<Request<Body>> for Traces {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let export = Export(self.0.clone());
        Box::pin(async move {
            let mut grpc = Grpc::new(RawCodec).max_decoding_message_size(MESSAGE_BYTES_MAX);
            Ok(grpc.unary(export, request).await)
        })
    }
}

/// Its one method, given one message.
struct Export(Arc<State>);

impl Service<tonic::Request<Bytes>> for Export {
    type Response = tonic::Response<Bytes>;
    type Error = Status;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Status>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Status>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: tonic::Request<Bytes>) -> Self::Future {
        let state = self.0.clone();
        Box::pin(async move { state.export(request.into_inner()).await })
    }
}

/// As Jaeger and the Collector have it by default.
const MESSAGE_BYTES_MAX: usize = 4 * 1024 * 1024;
/// Connections of its former life may still be closing.
const PORT_WITHIN: Duration = Duration::from_secs(30);
