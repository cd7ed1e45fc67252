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
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};

use super::{
    accept::{self, Accepted, Acceptor, BindError, Placing, Runtime},
    admission::Admission,
    connection::Connections,
    descriptors,
    drain::{Drain, Draining, Phase},
    export::Export,
    health_check::HealthCheck,
    lingering::Lingering,
    peers::Peers,
    refusal_log::RefusalLog,
    reply::{Drainer, ReplyQueue},
    service::Service,
    socket::ReadTurn,
    tasks::Tasks,
};
use crate::{
    config::ReceiveConfig,
    health::{Health, Heartbeat},
    internal_telemetry::Telemetry,
    kafka::TopicWatch,
    limits::{ACCEPT_QUEUE_DEPTH, REQUEST_CHARGE_BYTES_MIN, WORKER_WAIT},
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
    /// Binds the port and prepares `thread_count` runtimes; nothing is accepted yet. The process's
    /// limit of open files is raised to what the system allows.
    ///
    /// # Errors
    /// The port is taken or may not be used.
    pub fn bind(
        config: &ReceiveConfig,
        thread_count: usize,
        surroundings: &Surroundings,
    ) -> Result<Self, BindError> {
        descriptors::raise_limit(config.connections_max);
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
            placing: Placing {
                runtimes,
                connections_max: config.connections_max,
                peers: Peers::new(config.connections_per_peer_max),
                telemetry: Arc::clone(&surroundings.telemetry),
            },
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
    connections: Arc<Connections>,
    tasks: Tasks,
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
        let health = HealthCheck::new(Arc::clone(&surroundings.health), config.reply_deadline);
        let tasks = Tasks::default();
        let open = Arc::new(Connections {
            service: Service {
                export,
                health,
                lingering: Arc::new(Lingering::new()),
                tasks: tasks.clone(),
            },
            streams_max: config.streams_max,
            age_max: Some(config.connection_age_max).filter(|age| !age.is_zero()),
            grace: config.reply_deadline,
            turn: ReadTurn::new(),
            draining: draining.clone(),
            telemetry: Arc::clone(telemetry),
        });
        let thread = Self {
            acceptor: None,
            accepted,
            admission: Arc::clone(admission),
            drainer,
            draining: draining.clone(),
            connections: open,
            tasks,
            telemetry: Arc::clone(telemetry),
            heartbeat: surroundings.health.heartbeat(&format!("receive-{index}")),
        };
        (thread, Runtime { load: Arc::new(AtomicUsize::new(0)), connections })
    }

    /// Serves until drained: every connection has closed, or [`Drain::end`] drops the rest.
    ///
    /// # Errors
    /// The system refuses a runtime or the listener; nothing is served then.
    ///
    /// # Panics
    /// One of its tasks has panicked: half a server would look healthy.
    pub fn run(self) -> std::io::Result<()> {
        let runtime = runtime::Builder::new_current_thread().enable_all().build()?;
        let heartbeat = self.heartbeat.clone();
        runtime.block_on(async move {
            let (tasks, connections) = (self.tasks, self.connections);
            tasks.start(self.drainer.run());
            tasks.start(Arc::clone(&connections.turn).run());
            // One thread speaks of refusals for all.
            let refusals = self.acceptor.is_some().then(|| RefusalLog::new(&self.telemetry));
            tasks.start(beat(self.heartbeat, self.admission, self.telemetry, refusals));
            if let Some(acceptor) = self.acceptor {
                tasks.start(acceptor.run());
            }
            // A panic first: it may have ended the last connection as well.
            tokio::select! {
                biased;
                () = tasks.panicked() => panic!("a task of the receive half has panicked"),
                () = serve(self.accepted, connections, &tasks) => {}
                () = self.draining.reached(Phase::Ended) => {}
            }
        });
        heartbeat.retire();
        Ok(())
    }
}

/// Serves every connection that is accepted; returns once no more come and the last has ended.
async fn serve(
    mut accepted: mpsc::Receiver<Accepted>,
    connections: Arc<Connections>,
    tasks: &Tasks,
) {
    let mut open = JoinSet::new();
    loop {
        tokio::select! {
            accepted = accepted.recv() => {
                let Some((stream, place)) = accepted else { break };
                let connections = Arc::clone(&connections);
                let serving = async move { connections.serve(stream, place).await };
                open.spawn(tasks.watched(serving));
            }
            // What has ended only leaves the set: panics are heard through `tasks`.
            Some(_) = open.join_next() => {}
        }
    }
    while open.join_next().await.is_some() {}
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
