//! What a run does, settled before it starts and shared by every thread of it.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use crate::client::Target;
use crate::compression::Compression;
use crate::pacer::Pacer;
use crate::payload::Payload;

/// Everything a worker needs to know.
pub(crate) struct Plan {
    pub(crate) target: Arc<Target>,
    pub(crate) payload: Payload,
    pub(crate) compression: Compression,
    /// How long after its first attempt a request may be retried; `None` counts refusals instead.
    pub(crate) retry_within: Option<Duration>,
    pub(crate) worker_count: usize,
    /// Present in an open loop.
    pub(crate) pacer: Option<Pacer>,
    /// Requests in flight over all workers.
    pub(crate) in_flight_max: u32,
    /// `None` when only the duration ends the run.
    pub(crate) request_count: Option<u64>,
    /// Requests that start before this has passed are not measured.
    pub(crate) warm_up: Duration,
    /// Warm-up included; `None` when only the number of requests ends the run.
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
        share(self.in_flight_max, self.worker_count as u32, index as u32)
    }
}

/// The share of part `index` when `total` is dealt out to `parts` in turn.
fn share(total: u32, parts: u32, index: u32) -> u32 {
    total / parts + u32::from(index < total % parts)
}

const BACKLOG_GRACE: Duration = Duration::from_secs(1);

#[cfg(test)]
mod tests {
    use super::share;

    /// Shares differ by at most one and add up to the whole.
    #[test]
    fn shares_add_up() {
        for total in 1..40 {
            for parts in 1..=total {
                let shares: Vec<_> = (0..parts).map(|index| share(total, parts, index)).collect();
                assert_eq!(shares.iter().sum::<u32>(), total);
                assert!(
                    shares.iter().all(|share| (total / parts..=total / parts + 1).contains(share))
                );
            }
        }
    }
}
