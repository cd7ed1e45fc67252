//! The backend's connections: the `send` thread, and all the tokio there is in this half.
//!
//! Takes whole messages from the forward threads over a bounded channel, sends each as it is, and
//! answers over the bounded channel that came with it. Never reads Kafka, never decodes a span,
//! never decides what an answer leads to. Connections are made on first use and remade by
//! themselves; each forward thread has its own, since frames of one connection queue up behind each
//! other.

use std::{
    future::Future,
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use crossbeam_channel::Sender;
use tokio::{
    runtime,
    sync::{RwLock, mpsc},
    task::JoinSet,
    time,
};
use tonic::transport::{Channel, ClientTlsConfig, Endpoint};

use super::{
    call::{Deadline, export},
    outcome::{Outcome, Refusal},
    trial::export_alone,
};
use crate::{config::ForwardConfig, health::Heartbeat, limits};

/// Why there is no client for the backend.
#[derive(Debug, thiserror::Error)]
pub enum BackendError {
    /// Not an address a client can be made for, or no certificates to trust.
    #[error("use {endpoint} as the backend")]
    Endpoint {
        /// As configured.
        endpoint: String,
        /// tonic's words.
        source: tonic::transport::Error,
    },
    /// The runtime cannot be built.
    #[error("start the backend's runtime")]
    Runtime(#[source] std::io::Error),
}

/// The answer to one call.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) lane: usize,
    pub(super) outcome: Outcome,
    pub(super) elapsed: Duration,
}

/// One forward thread's way to the backend.
pub(super) struct BackendHandle {
    calls: mpsc::Sender<Call>,
    connection: usize,
}

struct Call {
    connection: usize,
    lane: usize,
    message: Bytes,
    is_trial: bool,
    answers: Sender<Answer>,
}

impl BackendHandle {
    /// Sends a message, if so asked as a trial; `answers` hears of it once, under the name of
    /// `lane`.
    ///
    /// # Errors
    /// The `send` thread has ended; `answers` will not hear of it.
    pub(super) fn call(
        &self,
        lane: usize,
        message: Bytes,
        is_trial: bool,
        answers: &Sender<Answer>,
    ) -> Result<(), Refusal> {
        let (connection, answers) = (self.connection, answers.clone());
        let call = Call { connection, lane, message, is_trial, answers };
        // There is room for every lane's one call, so this fails only at the end.
        self.calls.try_send(call).map_err(|error| Refusal::from_transport(&error))
    }
}

/// What the `send` thread runs.
pub struct Backend {
    runtime: runtime::Runtime,
    endpoint: Endpoint,
    connections: usize,
    deadline: Deadline,
    calls: mpsc::Receiver<Call>,
    heartbeat: Heartbeat,
}

impl Backend {
    /// Checks the endpoint and makes one handle per forward thread; connects to nothing.
    ///
    /// # Errors
    /// [`BackendError`].
    pub(super) fn prepare(
        config: &ForwardConfig,
        threads: usize,
        heartbeat: Heartbeat,
    ) -> Result<(Self, Vec<BackendHandle>), BackendError> {
        let (sender, calls) = mpsc::channel((threads * config.requests_in_flight).max(1));
        let handles = (0..threads)
            .map(|connection| BackendHandle { calls: sender.clone(), connection })
            .collect();
        let runtime = runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(BackendError::Runtime)?;
        let endpoint = endpoint(config)?;
        let deadline = Deadline::new(config.request_timeout);
        let backend = Self { runtime, endpoint, connections: threads, deadline, calls, heartbeat };
        Ok((backend, handles))
    }

    /// Serves calls until every handle is gone; calls still in flight then are given up.
    pub fn run(self) {
        let Self { runtime, endpoint, connections, deadline, mut calls, heartbeat } = self;
        runtime.block_on(async {
            let channels: Vec<Channel> =
                (0..connections).map(|_| endpoint.connect_lazy()).collect();
            // Calls share it; a trial has it alone.
            let turn = Arc::new(RwLock::new(()));
            let mut tasks = JoinSet::new();
            loop {
                heartbeat.beat();
                while let Some(ended) = tasks.try_join_next() {
                    propagate(ended);
                }
                match time::timeout(limits::FORWARD_IDLE_WAIT, calls.recv()).await {
                    Ok(Some(call)) => {
                        let channel = channels[call.connection].clone();
                        tasks.spawn(serve(channel, call, deadline.clone(), Arc::clone(&turn)));
                    }
                    Ok(None) => break,
                    Err(_elapsed) => {}
                }
            }
        });
        heartbeat.retire();
    }
}

async fn serve(channel: Channel, call: Call, deadline: Deadline, turn: Arc<RwLock<()>>) {
    let begun = Instant::now();
    let exchange = async {
        if call.is_trial {
            let _alone = turn.write().await;
            export_alone(channel, call.message, &deadline).await
        } else {
            let _shared = turn.read().await;
            export(channel, call.message, &deadline).await
        }
    };
    let outcome = bounded(deadline.timeout(), exchange).await;
    let answer = Answer { lane: call.lane, outcome, elapsed: begun.elapsed() };
    // There is room for every lane's one answer; without a receiver the forward thread has ended,
    // and nothing was committed.
    call.answers.try_send(answer).ok();
}

/// The call, or the refusal that its lateness is.
pub(super) async fn bounded(timeout: Duration, call: impl Future<Output = Outcome>) -> Outcome {
    let elapsed = |_| Outcome::Refused(Refusal::from_timeout(timeout));
    time::timeout(timeout, call).await.unwrap_or_else(elapsed)
}

/// A panic in a call ends the thread, and with it the process, instead of leaving a lane waiting.
fn propagate(ended: Result<(), tokio::task::JoinError>) {
    if let Err(error) = ended
        && let Ok(panic) = error.try_into_panic()
    {
        std::panic::resume_unwind(panic);
    }
}

/// The backend's address with every setting of its connections.
///
/// # Errors
/// [`BackendError::Endpoint`].
pub(super) fn endpoint(config: &ForwardConfig) -> Result<Endpoint, BackendError> {
    connection(config)
        .map_err(|source| BackendError::Endpoint { endpoint: config.endpoint.clone(), source })
}

fn connection(config: &ForwardConfig) -> Result<Endpoint, tonic::transport::Error> {
    let endpoint = Endpoint::from_shared(config.endpoint.clone())?
        .user_agent(concat!("otel-event-pipeline/", env!("CARGO_PKG_VERSION")))?
        .connect_timeout(limits::BACKEND_CONNECT_TIMEOUT)
        .tcp_nodelay(true)
        .initial_stream_window_size(limits::BACKEND_WINDOW_BYTES)
        .initial_connection_window_size(limits::BACKEND_WINDOW_BYTES)
        // A connection that a firewall has dropped is noticed before a batch is lost in it.
        .http2_keep_alive_interval(limits::KEEPALIVE_INTERVAL)
        .keep_alive_timeout(limits::KEEPALIVE_TIMEOUT)
        .keep_alive_while_idle(true);
    if config.endpoint.starts_with("https://") {
        return endpoint.tls_config(ClientTlsConfig::new().with_native_roots());
    }
    Ok(endpoint)
}
