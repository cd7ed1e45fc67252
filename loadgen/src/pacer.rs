//! Releases the requests of an open loop when they are due.
//!
//! Runs on a thread of its own, because tokio's timers round to the next millisecond and a
//! thread's sleep does not. It shares one number with the workers (how many requests are released)
//! and rings a bell per worker; it must never wait for a worker, so a stalled one delays nobody.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::Notify;

use crate::schedule::Schedule;

/// The release of requests, dealt out to workers in turn.
pub(crate) struct Pacer {
    schedule: Schedule,
    released: AtomicU64,
    stopped: AtomicBool,
    /// One per worker; each has a single waiter.
    bells: Vec<Notify>,
}

impl Pacer {
    pub(crate) fn new(schedule: Schedule, worker_count: usize) -> Self {
        let bells = (0..worker_count).map(|_| Notify::new()).collect();
        Self { schedule, released: AtomicU64::new(0), stopped: AtomicBool::new(false), bells }
    }

    pub(crate) fn schedule(&self) -> &Schedule {
        &self.schedule
    }

    /// Releases `request_count` requests, the first at `start`. The body of the pacer's thread.
    pub(crate) fn run(&self, start: Instant, request_count: u64) {
        let mut released = 0;
        while released < request_count && !self.stopped.load(Ordering::Relaxed) {
            let due = self.schedule.due(start.elapsed()).min(request_count);
            if due > released {
                self.released.store(due, Ordering::Release);
                for request in (released..due).take(self.bells.len()) {
                    self.bells[request as usize % self.bells.len()].notify_one();
                }
                released = due;
            }
            let rest = self.schedule.intended(released).saturating_sub(start.elapsed());
            thread::sleep(rest.min(STOP_DELAY_MAX));
        }
    }

    /// Waits until `request` is due; the caller is the worker it is dealt to.
    pub(crate) async fn wait(&self, request: u64) {
        let bell = &self.bells[request as usize % self.bells.len()];
        while self.released.load(Ordering::Acquire) <= request
            && !self.stopped.load(Ordering::Relaxed)
        {
            bell.notified().await;
        }
    }

    /// Ends every wait, now and from now on.
    pub(crate) fn stop(&self) {
        self.stopped.store(true, Ordering::Relaxed);
        self.bells.iter().for_each(Notify::notify_one);
    }
}

/// How long the pacer may sleep through a stop.
const STOP_DELAY_MAX: Duration = Duration::from_millis(100);

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::Pacer;
    use crate::schedule::{ArrivalProcess, Schedule};

    fn schedule(requests_per_second: f64) -> Schedule {
        Schedule::new(ArrivalProcess::Fixed, 0, requests_per_second, 1)
    }

    /// Every request is released, to whichever worker it belongs.
    #[tokio::test]
    async fn every_request_is_released() {
        let pacer = Pacer::new(schedule(1e6), 3);
        pacer.run(Instant::now(), 10);
        for request in 0..10 {
            pacer.wait(request).await;
        }
    }

    /// A stop frees those who wait for what will never be released.
    #[tokio::test]
    async fn a_stop_ends_every_wait() {
        let pacer = Pacer::new(schedule(1.0), 2);
        pacer.stop();
        pacer.wait(1_000).await;
        pacer.wait(1_001).await;
    }
}
