//! Ends the process: takes the steps that `shutdown.rs` decides on, in the order of the data.
//!
//! Runs on the main thread. Decides nothing itself but what a step consists of; whoever is late is
//! named, and never waited for beyond the step's time.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    thread,
    time::Instant,
};

use super::{
    Process,
    shutdown::{Ending, Shutdown, Step},
};
use crate::limits::POLL_INTERVAL;

impl Process {
    /// Serves until `asked` turns true or a thread fails, then ends in order.
    pub fn run_until(self, asked: &AtomicBool) -> Ending {
        let failures = self.threads.failures();
        while !asked.load(Ordering::Relaxed) {
            if let Ok(failure) = failures.recv_timeout(POLL_INTERVAL) {
                return Ending::of(self.end(), Some(failure.thread));
            }
        }
        self.stop()
    }

    /// Ends the process in order, within the shutdown deadline.
    pub fn stop(self) -> Ending {
        let failures = self.threads.failures();
        let left = self.end();
        // A panic nobody has looked at yet is one too, and so is one during the end: exit code 0
        // would call it orderly.
        Ending::of(left, failures.try_recv().ok().map(|failure| failure.thread))
    }

    /// Takes every step; returns the threads that had not ended at the deadline.
    fn end(mut self) -> Vec<String> {
        let start = Instant::now();
        let config = &self.config.shutdown;
        tracing::info!(deadline_s = config.deadline.as_secs(), "shutting down");
        let mut shutdown = Shutdown::begin(config, self.receive.is_some(), start);
        while let Some(step) = shutdown.step() {
            let until = shutdown.until(step, Instant::now());
            let left = self.take(step, until);
            shutdown.taken(step, left);
        }
        let left = shutdown.left();
        if left.is_empty() {
            tracing::info!(ms = start.elapsed().as_millis() as u64, "ended");
        } else {
            tracing::error!(?left, "not everything had ended at SHUTDOWN_DEADLINE");
        }
        left
    }

    /// Takes one step; returns the threads that were to end with it and have not.
    fn take(&mut self, step: Step, until: Instant) -> Vec<String> {
        let receive = self.receive.iter();
        let ending = match step {
            Step::LookElsewhere => {
                self.serving.set(false, "the process is shutting down");
                thread::sleep(until.saturating_duration_since(Instant::now()));
                return Vec::new();
            }
            Step::Answer => {
                receive.for_each(|receive| receive.drain.begin());
                "receive-"
            }
            Step::Purge => {
                receive.for_each(|receive| receive.report_all(Instant::now()));
                "receive-"
            }
            Step::Drop => {
                receive.for_each(|receive| receive.drain.end());
                "receive-"
            }
            Step::Publish => "publish-",
            Step::Deliver => {
                receive.for_each(|receive| receive.end_deliveries(until));
                "delivery-"
            }
            Step::Forward => {
                self.stop.store(true, Ordering::Release);
                "forward-"
            }
            Step::Send => "send",
            Step::Metadata => "metadata",
            Step::Admin => {
                self.stop_admin.stop();
                "admin"
            }
            Step::Close => return self.close_clients(until),
        };
        self.threads.join(ending, until)
    }

    /// Closes librdkafka's clients on a thread of its own: their destruction can hang on a broker
    /// that does not answer, and the process must end all the same.
    fn close_clients(&mut self, until: Instant) -> Vec<String> {
        let clients = self.receive.take();
        let spawned = self.threads.spawn("close".to_owned(), None, move || drop(clients));
        if spawned.is_err() {
            return vec!["close".to_owned()];
        }
        self.threads.join("close", until)
    }
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeSet, sync::Arc, time::Duration};

    use super::*;
    use crate::config::Config;

    /// A process in this role, without a broker or a backend, on ports that the system chooses.
    fn process(role: &str) -> Process {
        let settings = [
            ("ROLE", role),
            ("GRPC_PORT", "0"),
            ("HTTP_PORT", "0"),
            ("PINNING", "off"),
            ("KAFKA_BROKERS", "127.0.0.1:9"),
            ("JAEGER_ENDPOINT", "127.0.0.1:9"),
        ];
        Process::start(Config::from_pairs(settings).unwrap()).unwrap()
    }

    /// The kinds of threads that a process in both roles runs, as the beginnings of their names.
    fn kinds() -> BTreeSet<String> {
        let process = process("all");
        let kind = |name: &str| name.trim_end_matches(|it: char| it.is_ascii_digit()).to_owned();
        let kinds = process.threads.names().map(kind).collect();
        assert_eq!(process.stop(), Ending::Orderly);
        kinds
    }

    /// A panic in a thread ends the process by itself, whichever kind of thread it is: each kind
    /// that the process runs is given a twin that panics. Every thread is started through the same
    /// call, which a tidy test enforces.
    #[test]
    fn panic_ends_the_process() {
        let kinds = kinds();
        assert!(kinds.contains("metadata") && kinds.contains("forward-"), "{kinds:?}");
        for kind in kinds {
            let twin = if kind.ends_with('-') { format!("{kind}9") } else { kind };
            let mut process = process("receive");
            process.threads.spawn(twin.clone(), None, || panic!("expected")).unwrap();
            let never_asked = AtomicBool::new(false);
            assert_eq!(process.run_until(&never_asked), Ending::Panicked(twin));
        }
    }

    /// A panic of one thread among many that nobody has noticed when the end is asked for, by a
    /// signal or by a call, leaves no orderly end; the process is not ready from then on.
    #[test]
    fn panic_before_the_end_is_told() {
        for by_signal in [true, false] {
            let mut process = process("receive");
            assert!(process.serving.holds());
            process.threads.spawn("receive-9".to_owned(), None, || panic!("expected")).unwrap();
            let late = process.threads.join("receive-9", Instant::now() + Duration::from_secs(20));
            assert_eq!(late, Vec::<String>::new());
            assert!(!process.serving.holds(), "not ready before anybody has noticed");
            assert!(process.serving.describe().contains("thread receive-9 panicked"));
            let asked = AtomicBool::new(true);
            let ending = if by_signal { process.run_until(&asked) } else { process.stop() };
            assert_eq!(ending, Ending::Panicked("receive-9".to_owned()));
        }
    }

    /// The same for a thread that has panicked before the start is complete.
    #[test]
    fn panic_during_the_start_is_not_ready() {
        let mut process = process("receive");
        process.threads.spawn("receive-9".to_owned(), None, || panic!("expected")).unwrap();
        process.threads.join("receive-9", Instant::now() + Duration::from_secs(20));
        process.started();
        assert!(!process.serving.holds());
    }

    /// A thread that panics while the process ends in order leaves no orderly end.
    #[test]
    fn panic_during_the_end_is_told() {
        let mut process = process("receive");
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
