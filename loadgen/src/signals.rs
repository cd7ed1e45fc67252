//! SIGTERM, SIGINT and SIGUSR1 as futures.

use std::io;

use tokio::signal::unix::{Signal, SignalKind, signal};

/// A request to end: SIGTERM or SIGINT.
pub(crate) struct Termination {
    interrupt: Signal,
    terminate: Signal,
}

/// Listens for SIGTERM and SIGINT from now on.
pub(crate) fn termination() -> io::Result<Termination> {
    Ok(Termination {
        interrupt: signal(SignalKind::interrupt())?,
        terminate: signal(SignalKind::terminate())?,
    })
}

/// Listens for SIGUSR1 from now on.
pub(crate) fn user_defined() -> io::Result<Signal> {
    signal(SignalKind::user_defined1())
}

impl Termination {
    /// Waits for the next of the two.
    pub(crate) async fn received(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}
