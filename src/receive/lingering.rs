//! The rest of a refused request: read as it comes, and thrown away. Runs on the connection's
//! runtime.
//!
//! A client that is refused is usually in the middle of its body. Dropping the stream resets it,
//! and h2 remembers a reset stream for a moment only: frames that arrive later count as the
//! client's errors, and after 1024 of them h2 ends the connection, with everything that is in
//! flight on it. Under overload that would turn refusals, which cost nothing, into requests that
//! are published and never answered. So a refused stream stays until its client has ended it.
//!
//! Never here: memory per byte, or a wait without an end. Beyond the bounds a stream is reset.

use std::sync::Arc;

use h2::RecvStream;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::tasks::Tasks;
use crate::limits::{LINGER_MAX, LINGERING_MAX};

/// How many refused requests may still be read, on one runtime.
pub(super) struct Lingering {
    room: Arc<Semaphore>,
}

impl Lingering {
    pub(super) fn new() -> Self {
        Self { room: Arc::new(Semaphore::new(LINGERING_MAX)) }
    }

    /// Starts a task that reads what is left of a body, unless it has ended.
    pub(super) fn start(&self, tasks: &Tasks, body: RecvStream) {
        if let Some(place) = self.place(&body) {
            tasks.start(discard(body, place));
        }
    }

    /// Reads what is left of a body, in the task that has refused it.
    pub(super) async fn read(&self, body: RecvStream) {
        if let Some(place) = self.place(&body) {
            discard(body, place).await;
        }
    }

    fn place(&self, body: &RecvStream) -> Option<OwnedSemaphorePermit> {
        if body.is_end_stream() {
            return None;
        }
        Arc::clone(&self.room).try_acquire_owned().ok()
    }
}

/// Returns at the end of the stream, whoever ends it, or when it has taken too long.
async fn discard(mut body: RecvStream, _place: OwnedSemaphorePermit) {
    let end = async {
        while let Some(Ok(data)) = body.data().await {
            if body.flow_control().release_capacity(data.len()).is_err() {
                return;
            }
        }
    };
    timeout(LINGER_MAX, end).await.ok();
}
