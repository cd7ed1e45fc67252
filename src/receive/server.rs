//! Binds the OTLP port and runs the receive threads.

use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicUsize},
    time::Instant,
};

use crossbeam_channel::Sender;
use tokio::{
    runtime,
    sync::mpsc,
    time::{MissedTickBehavior, interval},
};
use tokio_stream::{StreamExt, wrappers::ReceiverStream};
use tonic::transport::Server;
use tonic_health::pb::health_server::HealthServer;

use super::{
    accept::{self, Accepted, Acceptor, BindError, Runtime},
    admission::Admission,
    connection::Connection,
    drain::{Drain, Draining, Phase},
    export::Export,
    health_check::HealthCheck,
    refusal_log::RefusalLog,
    reply::{Drainer, ReplyQueue},
    service::OtlpService,
};
use crate::{
    config::ReceiveConfig,
    health::{Health, Heartbeat},
    internal_telemetry::Telemetry,
    kafka::TopicWatch,
    limits::{
        ACCEPT_QUEUE_DEPTH, CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, HEADER_LIST_BYTES_MAX,
        KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, REQUEST_CHARGE_BYTES_MIN, STREAM_WINDOW_BYTES,
        WORKER_WAIT,
    },
    publish::{Answer, Request},
};

/// The bound port and the threads to start.
pub struct ReceiveHalf {
    /// Where clients connect.
    pub address: SocketAddr,
    /// Tells the threads to end.
    pub drain: Drain,
    /// One per runtime, to be run on a thread each.
    pub threads: Vec<ReceiveThread>,
}

/// What the receive half needs of the rest of the process.
pub struct Surroundings {
    /// Queues of the publish workers; the threads hold the only senders.
    pub workers: Vec<Sender<Request>>,
    /// Whether the broker can be written to.
    pub topic: Arc<TopicWatch>,
    /// Where it counts.
    pub telemetry: Arc<Telemetry>,
    /// What the gRPC health check tells.
    pub health: Arc<Health>,
}

impl ReceiveHalf {
    /// Binds the port and prepares `thread_count` runtimes; nothing is accepted yet.
    ///
    /// # Errors
    /// The port is taken or may not be used.
    pub fn bind(
        config: &ReceiveConfig,
        thread_count: usize,
        surroundings: &Surroundings,
    ) -> Result<Self, BindError> {
        let listener = accept::bind(config)?;
        let address = accept::local_address(&listener, config)?;
        let (drain, draining) = Drain::new();
        let topic = Arc::clone(&surroundings.topic);
        let admission = Arc::new(Admission::new(
            config.bytes_in_flight_max,
            topic,
            surroundings.telemetry.receive.bytes_in_flight_limit.clone(),
        ));
        let (mut threads, runtimes): (Vec<_>, Vec<_>) = (0..thread_count.max(1))
            .map(|index| ReceiveThread::prepare(index, config, surroundings, &admission, &draining))
            .unzip();
        threads[0].acceptor = Some(Acceptor {
            listener,
            runtimes,
            connections_max: config.connections_max,
            telemetry: Arc::clone(&surroundings.telemetry),
            draining,
        });
        Ok(Self { address, drain, threads })
    }
}

/// One `current_thread` runtime and the connections placed on it.
pub struct ReceiveThread {
    acceptor: Option<Acceptor>,
    accepted: mpsc::Receiver<Accepted>,
    admission: Arc<Admission>,
    drainer: Drainer,
    draining: Draining,
    service: OtlpService,
    streams_max: u32,
    telemetry: Arc<Telemetry>,
    heartbeat: Heartbeat,
}

impl ReceiveThread {
    fn prepare(
        index: usize,
        config: &ReceiveConfig,
        surroundings: &Surroundings,
        admission: &Arc<Admission>,
        draining: &Draining,
    ) -> (Self, Runtime) {
        let telemetry = &surroundings.telemetry;
        let (connections, accepted) = mpsc::channel(ACCEPT_QUEUE_DEPTH);
        // Every request holds its least charge, so there cannot be more of them.
        let requests_max = config.bytes_in_flight_max / REQUEST_CHARGE_BYTES_MIN;
        let counts = Arc::clone(telemetry);
        let settle = Box::new(move |answer: &Answer, waited| settle(&counts, answer, waited));
        let (replies, drainer) = ReplyQueue::new(requests_max, settle);
        let export = Arc::new(Export {
            admission: Arc::clone(admission),
            replies,
            workers: surroundings.workers.clone(),
            turn: AtomicUsize::new(index),
            request_bytes_max: config.request_bytes_max,
            reply_deadline: config.reply_deadline,
            telemetry: Arc::clone(telemetry),
            recorder: telemetry.latency.recorder(),
        });
        let health = HealthServer::new(HealthCheck { health: Arc::clone(&surroundings.health) });
        let thread = Self {
            acceptor: None,
            accepted,
            admission: Arc::clone(admission),
            drainer,
            draining: draining.clone(),
            service: OtlpService { export, health },
            streams_max: config.streams_max,
            telemetry: Arc::clone(telemetry),
            heartbeat: surroundings.health.heartbeat(&format!("receive-{index}")),
        };
        (thread, Runtime { load: Arc::new(AtomicUsize::new(0)), connections })
    }

    /// Serves until drained: every connection has closed, or [`Drain::end`] drops the rest.
    ///
    /// # Errors
    /// The system refuses a runtime or the listener; nothing is served then.
    #[expect(clippy::disallowed_methods, reason = "the home of the receive half's tasks")]
    pub fn run(self) -> std::io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let heartbeat = self.heartbeat.clone();
        runtime.block_on(async move {
            tokio::spawn(self.drainer.run());
            // One thread speaks of refusals for all.
            let refusals = self.acceptor.is_some().then(|| RefusalLog::new(&self.telemetry));
            let admission = Arc::clone(&self.admission);
            tokio::spawn(beat(self.heartbeat, admission, self.telemetry, refusals));
            let accepting = self.acceptor.map(|acceptor| tokio::spawn(acceptor.run()));
            let share = self.admission;
            let connections = ReceiverStream::new(self.accepted)
                .map(move |(stream, place)| Connection::new(stream, share.share(), place));
            let draining = self.draining.clone().reached(Phase::Draining);
            let serving = server(self.streams_max).serve_with_incoming_shutdown(
                self.service,
                connections,
                draining,
            );
            tokio::select! {
                served = serving => {
                    if let Err(error) = served {
                        tracing::error!(%error, "receive server ended");
                    }
                }
                () = self.draining.reached(Phase::Ended) => {}
            }
            if let Some(accepting) = accepting {
                accepting.abort();
            }
        });
        heartbeat.retire();
        Ok(())
    }
}

/// tonic's server with every setting that matters made explicit.
fn server(streams_max: u32) -> Server {
    Server::builder()
        .initial_stream_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(streams_max)
        .max_frame_size(FRAME_BYTES_MAX)
        .http2_max_header_list_size(HEADER_LIST_BYTES_MAX)
        .http2_keepalive_interval(Some(KEEPALIVE_INTERVAL))
        .http2_keepalive_timeout(Some(KEEPALIVE_TIMEOUT))
        // Adaptive windows would reset both windows to 64 KiB and ping for every estimate.
        .http2_adaptive_window(Some(false))
}

/// The runtime's sign of life; also shows what is charged and tells of refusals.
async fn beat(
    heartbeat: Heartbeat,
    admission: Arc<Admission>,
    telemetry: Arc<Telemetry>,
    mut refusals: Option<RefusalLog>,
) {
    let mut tick = interval(WORKER_WAIT);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        heartbeat.beat();
        telemetry.receive.bytes_in_flight.set(admission.bytes_used() as i64);
        if let Some(refusals) = &mut refusals {
            refusals.look(Instant::now());
        }
    }
}

/// Counts what became of a request's spans; `waited`: somebody was there to hear the answer.
fn settle(telemetry: &Telemetry, answer: &Answer, waited: bool) {
    let (spans, outcome) = match answer {
        Answer::Acknowledged(spans) => (spans, "acknowledged"),
        Answer::Unavailable { spans, .. } => (spans, "failed"),
        // Nothing was counted in for these: they ended before or in the split.
        Answer::Malformed(_) | Answer::TooLarge(_) | Answer::TimedOut | Answer::Cancelled => return,
    };
    let metrics = &telemetry.publish;
    metrics.spans_in_flight.sub((spans.accepted + spans.rejected) as i64);
    if !waited {
        let total = spans.accepted + spans.rejected;
        return metrics.spans.with_label_values(&["unanswered"]).inc_by(total);
    }
    let rejected = if outcome == "acknowledged" { spans.rejected } else { 0 };
    let rest = spans.accepted + spans.rejected - rejected;
    metrics.spans.with_label_values(&[outcome]).inc_by(rest);
    metrics.spans.with_label_values(&["rejected"]).inc_by(rejected);
}
