//! The end of the process, in the order of the data.
//!
//! 1. Not ready, and the drain delay, in which balancers look elsewhere.
//! 2. GOAWAY on every connection; requests that were sent are served.
//! 3. Deliveries are waited for; what is left when time runs short is purged, which answers it
//!    UNAVAILABLE, and connections that still do not end are dropped.
//! 4. The forward loops stop polling, wait for their calls in flight, commit and leave the group.
//! 5. Every thread is joined; who is late is named.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::{Duration, Instant},
};

use super::Process;
use crate::limits::POLL_INTERVAL;

/// How the process ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Everything was finished, answered and committed.
    Orderly,
    /// These threads had not ended at the deadline.
    Late(Vec<String>),
    /// This thread panicked; what could be ended in order was.
    Panicked(String),
}

impl Process {
    /// Serves until `asked` turns true or a thread fails, then ends in order.
    pub fn run_until(self, asked: &AtomicBool) -> Ending {
        let failures = self.threads.failures();
        let failure = loop {
            if asked.load(Ordering::Relaxed) {
                break None;
            }
            if let Ok(failure) = failures.recv_timeout(POLL_INTERVAL) {
                break Some(failure.thread);
            }
        };
        let ending = self.stop();
        // A panic during the end is one too: exit code 0 would call it orderly.
        let failure = failure.or_else(|| failures.try_recv().ok().map(|late| late.thread));
        failure.map_or(ending, Ending::Panicked)
    }

    /// Ends the process in order, within the shutdown deadline.
    pub fn stop(mut self) -> Ending {
        let start = Instant::now();
        let shutdown = self.config.shutdown.clone();
        tracing::info!(deadline_s = shutdown.deadline.as_secs(), "shutting down");
        self.serving.set(false, "the process is shutting down");
        thread::sleep(shutdown.drain_delay.min(shutdown.deadline));

        let late = start + shutdown.deadline;
        let mut left = Vec::new();
        if let Some(receive) = &self.receive {
            let time = late.saturating_duration_since(Instant::now());
            let soon = Instant::now() + time.mul_f64(SHARE_FOR_ANSWERS);
            left.extend(receive.stop(&mut self.threads, soon, late));
        }
        self.stop.store(true, Ordering::Release);
        for prefix in ["forward-", "send"] {
            left.extend(self.threads.join(prefix, late));
        }
        // It may be waiting for a broker's answer, and owes nobody anything: not waited for.
        self.threads.join("metadata", Instant::now());
        self.stop_admin.store(true, Ordering::Release);
        left.extend(self.threads.join("admin", late));

        let receive = self.receive.take();
        left.extend(close_clients(&mut self, receive, late));
        if left.is_empty() {
            tracing::info!(ms = start.elapsed().as_millis() as u64, "ended");
            return Ending::Orderly;
        }
        tracing::error!(?left, "not everything had ended at SHUTDOWN_DEADLINE");
        Ending::Late(left)
    }
}

/// The part of the time left in which requests in flight may end by themselves.
const SHARE_FOR_ANSWERS: f64 = 0.6;

/// Closes librdkafka's clients on a thread of its own: their destruction can hang on a broker that
/// does not answer, and the process must end all the same.
fn close_clients<T: Send + 'static>(
    process: &mut Process,
    clients: T,
    deadline: Instant,
) -> Vec<String> {
    let spawned = process.threads.spawn("close".to_owned(), None, move || drop(clients));
    if spawned.is_err() {
        return vec!["close".to_owned()];
    }
    process.threads.join("close", deadline.max(Instant::now() + CLOSE_TIME_MIN))
}

/// Closing is given at least this long, also when the deadline has passed.
const CLOSE_TIME_MIN: Duration = Duration::from_millis(200);

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::config::Config;

    /// A process that receives, without a broker, on ports that the system chooses.
    fn process() -> Process {
        let settings = [
            ("ROLE", "receive"),
            ("GRPC_PORT", "0"),
            ("HTTP_PORT", "0"),
            ("PINNING", "off"),
            ("KAFKA_BROKERS", "127.0.0.1:9"),
        ];
        Process::start(Config::from_pairs(settings).unwrap()).unwrap()
    }

    /// A panic in a thread ends the process by itself, whichever kind of thread it is: each is
    /// started through the same call, which a tidy test enforces.
    #[test]
    fn panic_ends_the_process() {
        for kind in ["receive-9", "publish-9", "delivery-9", "forward-9", "send", "admin"] {
            let mut process = process();
            process.threads.spawn(kind.to_owned(), None, || panic!("expected")).unwrap();
            let never_asked = AtomicBool::new(false);
            assert_eq!(process.run_until(&never_asked), Ending::Panicked(kind.to_owned()));
        }
    }

    /// A thread that panics while the process ends in order leaves no orderly end.
    #[test]
    fn panic_during_the_end_is_told() {
        let mut process = process();
        let stop = Arc::clone(&process.stop);
        let body = move || {
            while !stop.load(Ordering::Acquire) {
                thread::sleep(Duration::from_millis(1));
            }
            panic!("expected by the test");
        };
        process.threads.spawn("forward-9".to_owned(), None, body).unwrap();
        let asked = AtomicBool::new(true);
        assert_eq!(process.run_until(&asked), Ending::Panicked("forward-9".to_owned()));
    }
}
