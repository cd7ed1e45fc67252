//! Builds the forward half: clients on the unpinned main thread, then one loop per thread.

use std::sync::Arc;

use super::{
    backend::{Backend, BackendError},
    consumer_loop::ForwardLoop,
    report::Report,
    window::Window,
};
use crate::{
    config::{Config, Role},
    health::Health,
    internal_telemetry::Telemetry,
    kafka::{ConsumerError, DeadLetterError, DeadLetters, GroupConsumer},
};

/// Why the forward half cannot start.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// The backend's client.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// A consumer.
    #[error(transparent)]
    Consumer(#[from] ConsumerError),
    /// The producer of dead letters.
    #[error(transparent)]
    DeadLetters(#[from] DeadLetterError),
}

/// The forward half, ready to be run.
pub struct ForwardHalf {
    /// What each thread `forward-N` runs.
    pub loops: Vec<ForwardLoop>,
    /// What the thread `send` runs, until every loop has ended.
    pub backend: Backend,
    /// The producer of dead letters, which can also be asked about topics.
    pub dead_letters: Arc<DeadLetters>,
}

impl ForwardHalf {
    /// Creates all clients for `threads` forward threads. To be called on the main thread before
    /// anything is pinned: librdkafka's threads inherit the affinity of their creator. Connects to
    /// nothing by itself and needs no broker or backend to be up.
    ///
    /// # Errors
    /// A setting that a client refuses.
    pub fn prepare(
        config: &Config,
        threads: usize,
        telemetry: &Arc<Telemetry>,
        health: &Health,
    ) -> Result<Self, PrepareError> {
        let (backend, handles) =
            Backend::prepare(&config.forward, threads, health.heartbeat("send"))?;
        let dead_letters = Arc::new(DeadLetters::create(config)?);
        let required = config.role == Role::Forward;
        let mut loops = Vec::with_capacity(threads);
        for (index, handle) in handles.into_iter().enumerate() {
            let thread = format!("forward-{index}");
            loops.push(ForwardLoop::new(
                &config.forward,
                Window::new(&config.forward, seed(index)),
                GroupConsumer::create(config, &thread)?,
                handle,
                Arc::clone(&dead_letters),
                Report::new(&thread, telemetry, health, required),
                health.heartbeat(&thread),
            ));
        }
        Ok(Self { loops, backend, dead_letters })
    }
}

/// Tells the retries of threads and processes apart.
fn seed(thread: usize) -> u64 {
    u64::from(std::process::id()) << 16 | (thread as u64) << 8
}
