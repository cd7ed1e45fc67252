//! The three phases of the receive half, told by the main thread and followed by its tasks.

use tokio::sync::watch;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Phase {
    /// Everything is served.
    Serving,
    /// Connections were told to go away; what they have sent is finished.
    Draining,
    /// Whatever is left is dropped.
    Ended,
}

/// Moves the receive half towards its end; owned by the main thread.
pub struct Drain {
    phase: watch::Sender<Phase>,
}

impl Drain {
    pub(super) fn new() -> (Self, Draining) {
        let (phase, watch) = watch::channel(Phase::Serving);
        (Self { phase }, Draining { phase: watch })
    }

    /// Sends GOAWAY on every connection and accepts no more.
    pub fn begin(&self) {
        self.phase.send_replace(Phase::Draining);
    }

    /// Drops the connections that are still open: their clients see them close.
    pub fn end(&self) {
        self.phase.send_replace(Phase::Ended);
    }
}

/// Follows the phases; one per task that has to react.
#[derive(Clone)]
pub(super) struct Draining {
    phase: watch::Receiver<Phase>,
}

impl Draining {
    /// Returns once `phase` is reached, or when nobody can reach it any more.
    pub(super) async fn reached(mut self, phase: Phase) {
        // An error means that the main thread is gone, which is later than any phase.
        self.phase.wait_for(|now| *now >= phase).await.ok();
    }
}
