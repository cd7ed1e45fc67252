//! What a run does, settled before it starts and shared by every thread of it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Endpoint;
use crate::compression::Compression;
use crate::pacer::Pacer;
use crate::payload::Payload;

/// Everything a worker needs to know.
pub(crate) struct Plan {
    pub(crate) endpoint: Endpoint,
    pub(crate) payload: Payload,
    pub(crate) compression: Compression,
    /// Of one attempt.
    pub(crate) timeout: Duration,
    /// How long after its first attempt a request may be retried; `None` counts refusals instead.
    pub(crate) retry_within: Option<Duration>,
    pub(crate) worker_count: usize,
    /// Present in an open loop.
    pub(crate) pacer: Option<Pacer>,
    /// Requests in flight over all workers.
    pub(crate) in_flight_max: u32,
    /// `None` when only the duration ends the run.
    pub(crate) request_count: Option<u64>,
    /// `None` when only the number of requests ends the run.
    pub(crate) duration: Option<Duration>,
    pub(crate) interrupted: AtomicBool,
}

impl Plan {
    /// True when the request of this number, counted over all workers, is to be made.
    pub(crate) fn includes(&self, number: u64) -> bool {
        self.request_count.is_none_or(|count| number < count)
    }

    /// True when no further request may start.
    pub(crate) fn is_over(&self, start: Instant) -> bool {
        // What an open loop owes from its last moments is still sent; what it owes after a second
        // is a receiver that does not keep up, and is reported as not sent.
        let grace = if self.pacer.is_some() { BACKLOG_GRACE } else { Duration::ZERO };
        self.interrupted.load(Ordering::Relaxed)
            || self.duration.is_some_and(|duration| start.elapsed() >= duration + grace)
    }

    /// Ends the run early: no further request starts, those in flight are waited for.
    pub(crate) fn interrupt(&self) {
        self.interrupted.store(true, Ordering::Relaxed);
        if let Some(pacer) = &self.pacer {
            pacer.stop();
        }
    }

    /// How many requests the worker at `index` may have in flight.
    pub(crate) fn slots(&self, index: usize) -> u32 {
        let worker_count = self.worker_count as u32;
        let remainder = self.in_flight_max % worker_count;
        self.in_flight_max / worker_count + u32::from((index as u32) < remainder)
    }
}

const BACKLOG_GRACE: Duration = Duration::from_secs(1);
