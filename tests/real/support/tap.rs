//! Stands between an OTLP client and the pipeline, and keeps what the client sent.
//!
//! Field for field as sent can only be shown with what was sent. Requests and answers pass
//! through as they are; a tap serves on a thread of its own.

use std::{
    future::Future,
    net::{Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    thread::{self, JoinHandle},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use tokio::sync::oneshot;
use tonic::{
    body::Body,
    transport::{Channel, Endpoint, Server, server::TcpIncoming},
};
use tower_service::Service;

use super::{
    otlp,
    placed_span::{self, Spans},
};

/// A gRPC message is preceded by one byte that says whether it is compressed, and its length.
const PREFIX_BYTES: usize = 5;

/// A listening tap; it ends when dropped, after its clients.
pub(crate) struct Tap {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Bytes>>>,
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Tap {
    /// Listens, and passes everything on to `endpoint`.
    #[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the tested process")]
    pub(crate) fn start(endpoint: &str) -> Self {
        let runtime = otlp::runtime();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let (stop, stopped) = oneshot::channel();
        let (incoming, relay) = {
            let _entered = runtime.enter();
            let upstream = Endpoint::from_shared(endpoint.to_owned()).expect("it is valid");
            let relay = Relay { upstream: upstream.connect_lazy(), requests: requests.clone() };
            let anywhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
            (TcpIncoming::bind(anywhere).expect("loopback has free ports"), relay)
        };
        let address = incoming.local_addr().expect("it is bound");
        let thread = thread::spawn(move || {
            let stopped = async { stopped.await.unwrap_or_default() };
            let served = Server::builder().serve_with_incoming_shutdown(relay, incoming, stopped);
            runtime.block_on(served).expect("an accept loop on loopback does not fail");
        });
        Self { address, requests, stop: Some(stop), thread: Some(thread) }
    }

    /// `http://host:port` to send to.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Bytes of the largest message so far.
    pub(crate) fn request_bytes_max(&self) -> usize {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.iter().map(|request| request.len() - PREFIX_BYTES).max().unwrap_or_default()
    }

    /// Every span that was sent so far.
    pub(crate) fn spans(&self) -> Spans {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        placed_span::decode(requests.iter().map(|request| {
            assert_eq!(request[0], 0, "the tap reads uncompressed requests only");
            &request[PREFIX_BYTES..]
        }))
    }
}

impl Drop for Tap {
    fn drop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.send(()).ok();
        }
        if let Some(thread) = self.thread.take() {
            thread.join().ok();
        }
    }
}

#[derive(Clone)]
struct Relay {
    upstream: Channel,
    requests: Arc<Mutex<Vec<Bytes>>>,
}

impl Service<Request<Body>> for Relay {
    type Response = Response<Body>;
    type Error = Box<dyn std::error::Error + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.upstream.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        // The service that was polled ready is the one to call; its copy waits for its own turn.
        let copy = self.upstream.clone();
        let mut upstream = std::mem::replace(&mut self.upstream, copy);
        let requests = self.requests.clone();
        Box::pin(async move {
            let (head, body) = request.into_parts();
            let sent = body.collect().await?.to_bytes();
            requests.lock().unwrap_or_else(PoisonError::into_inner).push(sent.clone());
            let request = Request::from_parts(head, Body::new(Full::new(sent)));
            Ok(upstream.call(request).await?)
        })
    }
}
