//! Builds the process: clients and ports first, so that what is wrong is known before a thread
//! runs; then the threads, the ones that let requests in last.

use std::{
    io,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};

use thiserror::Error;

use super::receive_half::ReceiveSide;
use crate::{
    admin::{Admin, AdminError, AdminStop},
    config::Config,
    forward::{ForwardHalf, PrepareError},
    health::{Condition, Health},
    internal_telemetry::Telemetry,
    kafka::{KafkaError, MetadataSource, MetadataWatch, TopicWatch, topic_plans},
    receive::BindError,
    threads::{Layout, Machine, Threads},
};

/// Why the process does not start. Nothing is left running.
#[derive(Debug, Error)]
pub enum StartError {
    /// The HTTP port.
    #[error(transparent)]
    Admin(#[from] AdminError),
    /// The OTLP port.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// A client of the forward half.
    #[error(transparent)]
    Forward(#[from] PrepareError),
    /// A producer.
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    /// A thread.
    #[error("failed to start a thread: {0}")]
    Thread(#[from] io::Error),
}

/// A panic makes the process unready in the panicking thread itself, before the main thread looks.
fn alarm(serving: &Arc<Condition>) -> impl Fn(&str) + Send + Sync + 'static {
    let serving = Arc::clone(serving);
    move |thread| serving.set(false, format!("thread {thread} panicked"))
}

/// The running process.
pub struct Process {
    pub(super) config: Config,
    pub(super) threads: Threads,
    pub(super) receive: Option<ReceiveSide>,
    /// "The process serves", false from the first moment of its end.
    pub(super) serving: Arc<Condition>,
    /// Ends the forward loops and the metadata watch.
    pub(super) stop: Arc<AtomicBool>,
    /// Ends the admin pages, which tell of everything else to the last.
    pub(super) stop_admin: Arc<AdminStop>,
    pub(super) http_address: SocketAddr,
}

impl Process {
    /// Starts everything that the role asks for. To be called on the unpinned main thread.
    ///
    /// Neither Kafka nor the backend has to be there yet: the process becomes ready when they are.
    ///
    /// # Errors
    /// A port, a client's settings or a thread that cannot be had.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let telemetry = Arc::new(Telemetry::new());
        let health = Arc::new(Health::new());
        let layout = Layout::choose(&config.threads, config.role, &Machine::detect());
        let serving = health.condition("serving", true);

        let admin =
            Admin::bind(&config.admin, Arc::clone(&telemetry), Arc::clone(&health), config.role)?;
        let http_address = admin.local_addr();
        let topic = Arc::new(TopicWatch::default());
        let receive = config
            .role
            .receives()
            .then(|| ReceiveSide::prepare(&config, &layout, &topic, &telemetry, &health))
            .transpose()?;
        let forward = config
            .role
            .forwards()
            .then(|| ForwardHalf::prepare(&config, layout.forward, &telemetry, &health))
            .transpose()?;

        let mut process = Self {
            threads: Threads::with_alarm(alarm(&serving)),
            receive,
            serving,
            stop: Arc::new(AtomicBool::new(false)),
            stop_admin: admin.stopper(),
            http_address,
            config,
        };
        process.announce(&layout);
        process.threads.spawn("admin".to_owned(), None, move || admin.run())?;
        process.start_metadata(forward.as_ref(), &topic, &health)?;
        if let Some(forward) = forward {
            process.start_forward(forward)?;
        }
        if let Some(receive) = &mut process.receive {
            let threads = &mut process.threads;
            receive.start(&process.config, &layout, &topic, &telemetry, &health, threads)?;
        }
        process.started();
        Ok(process)
    }

    /// The process serves, unless a thread has panicked already: such a failure is kept before its
    /// alarm is raised, so one that is not seen here raises its alarm after this.
    pub(super) fn started(&self) {
        self.serving.set(true, "every thread is running");
        if !self.threads.failures().is_empty() {
            self.serving.set(false, "a thread panicked at the start");
        }
    }

    /// Where OTLP is taken in; `None` in the role `forward`.
    pub fn grpc_address(&self) -> Option<SocketAddr> {
        self.receive.as_ref().map(|receive| receive.address)
    }

    /// Where the pages are.
    pub fn http_address(&self) -> SocketAddr {
        self.http_address
    }

    fn start_metadata(
        &mut self,
        forward: Option<&ForwardHalf>,
        topic: &Arc<TopicWatch>,
        health: &Arc<Health>,
    ) -> Result<(), StartError> {
        let mut sources = self.receive.as_ref().map(ReceiveSide::sources).unwrap_or_default();
        if sources.is_empty() {
            let letters = forward.map(|forward| Arc::clone(&forward.dead_letters));
            sources.extend(letters.map(|it| it as Arc<dyn MetadataSource>));
        }
        let watch = MetadataWatch {
            plans: topic_plans(&self.config),
            kafka: self.config.kafka.clone(),
            sources,
            watch: Arc::clone(topic),
            // A consumer has its own sign of a usable broker: its place in the group.
            broker: health.condition("kafka", self.config.role.receives()),
            heartbeat: health.heartbeat("metadata"),
            stop: Arc::clone(&self.stop),
        };
        Ok(self.threads.spawn("metadata".to_owned(), None, || watch.run())?)
    }

    fn start_forward(&mut self, forward: ForwardHalf) -> Result<(), StartError> {
        let backend = forward.backend;
        self.threads.spawn("send".to_owned(), None, || backend.run())?;
        for (index, forward) in forward.loops.into_iter().enumerate() {
            let stop = Arc::clone(&self.stop);
            self.threads.spawn(format!("forward-{index}"), None, move || {
                // A member that its group has expelled can only start anew: end loudly.
                if let Err(error) = forward.run(&stop) {
                    panic!("forward thread ended: {error}");
                }
            })?;
        }
        Ok(())
    }

    /// The start block: what an operator wants to know first at 3 a.m.
    fn announce(&self, layout: &Layout) {
        let config = &self.config;
        tracing::info!(
            version = env!("CARGO_PKG_VERSION"),
            role = ?config.role,
            otlp = self.grpc_address().map(tracing::field::display),
            http = %self.http_address,
            brokers = config.kafka.brokers,
            topic = config.kafka.topic.name,
            backend = config.role.forwards().then_some(config.forward.endpoint.as_str()),
            group = config.role.forwards().then_some(config.forward.group.as_str()),
            "starting"
        );
        tracing::info!(
            receive = layout.receive,
            publish = layout.publish,
            forward = layout.forward,
            pinned = ?layout.pinned.iter().map(|core| core.index()).collect::<Vec<_>>(),
            bytes_in_flight_max = config.receive.bytes_in_flight_max,
            "threads: {}",
            layout.reason
        );
    }
}
