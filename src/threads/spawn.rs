//! Starts and joins threads. Used by the main thread only.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    thread::{Builder, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::CoreId;

/// A thread ended by a panic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ThreadFailure {
    /// The thread's name.
    pub thread: String,
}

/// The process's threads, in the order of their start.
pub struct Threads {
    running: Vec<(String, JoinHandle<()>)>,
    failed: Sender<ThreadFailure>,
    failures: Receiver<ThreadFailure>,
    finished: Sender<()>,
    finishes: Receiver<()>,
    alarm: Arc<Alarm>,
}

/// Called on a thread that has panicked, with its name.
type Alarm = dyn Fn(&str) + Send + Sync;

/// Failures kept until the main thread looks; the first one already ends the process.
const FAILURES_KEPT: usize = 8;

impl Threads {
    /// No threads yet.
    pub fn new() -> Self {
        Self::with_alarm(|_| {})
    }

    /// No threads yet; one that panics calls `alarm` itself once its failure is kept.
    pub fn with_alarm(alarm: impl Fn(&str) + Send + Sync + 'static) -> Self {
        let (failed, failures) = bounded(FAILURES_KEPT);
        let (finished, finishes) = bounded(1);
        let alarm = Arc::new(alarm);
        Self { running: Vec::new(), failed, failures, finished, finishes, alarm }
    }

    /// Failures, for the main thread to select on.
    pub fn failures(&self) -> Receiver<ThreadFailure> {
        self.failures.clone()
    }

    /// Starts `body` on a thread called `name` (Linux shows 15 bytes of it), pinned to `core`.
    ///
    /// # Errors
    /// The system's refusal to start another thread.
    #[expect(clippy::disallowed_methods, reason = "the home of thread creation")]
    pub fn spawn(
        &mut self,
        name: String,
        core: Option<CoreId>,
        body: impl FnOnce() + Send + 'static,
    ) -> std::io::Result<()> {
        debug_assert!(name.len() <= 15, "{name} is cut in every tool that shows threads");
        let failed = self.failed.clone();
        let finished = self.finished.clone();
        let alarm = Arc::clone(&self.alarm);
        let thread = name.clone();
        let handle = Builder::new().name(name.clone()).spawn(move || {
            if let Some(core) = core
                && !core.pin()
            {
                tracing::warn!(thread, core = core.index(), "core refused, running unpinned");
            }
            if catch_unwind(AssertUnwindSafe(body)).is_err() {
                tracing::error!(thread, "thread panicked");
                // Full means that an earlier failure is already ending the process.
                failed.try_send(ThreadFailure { thread: thread.clone() }).ok();
                alarm(&thread);
            }
            // Full means that the joiner has a wake-up waiting already.
            finished.try_send(()).ok();
        })?;
        self.running.push((name, handle));
        Ok(())
    }

    /// The names of those that were started and not joined.
    #[cfg(test)]
    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.running.iter().map(|(name, _)| name.as_str())
    }

    /// Joins every thread whose name starts with `prefix`; gives up at `deadline`.
    ///
    /// Returns the names of those that were still running.
    pub fn join(&mut self, prefix: &str, deadline: Instant) -> Vec<String> {
        loop {
            let (ended, running): (Vec<_>, Vec<_>) = self
                .running
                .drain(..)
                .partition(|(name, handle)| name.starts_with(prefix) && handle.is_finished());
            self.running = running;
            for (name, handle) in ended {
                if handle.join().is_err() {
                    tracing::error!(thread = name, "thread ended by a panic outside its body");
                }
            }
            let late: Vec<String> = self
                .running
                .iter()
                .filter(|(name, _)| name.starts_with(prefix))
                .map(|(name, _)| name.clone())
                .collect();
            let left = deadline.saturating_duration_since(Instant::now());
            if late.is_empty() || left.is_zero() {
                return late;
            }
            // A thread signals just before it is finished: look again soon in any case.
            self.finishes.recv_timeout(left.min(Duration::from_millis(20))).ok();
        }
    }
}

impl Default for Threads {
    fn default() -> Self {
        Self::new()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A panic in a thread reaches the main thread under the thread's name.
    #[test]
    fn panic_is_reported() {
        let mut threads = Threads::new();
        threads.spawn("doomed".to_owned(), None, || panic!("expected by the test")).unwrap();
        let failure = threads.failures().recv_timeout(Duration::from_secs(10)).unwrap();
        assert_eq!(failure, ThreadFailure { thread: "doomed".to_owned() });
        let late = threads.join("doomed", Instant::now() + Duration::from_secs(10));
        assert_eq!(late, Vec::<String>::new());
    }

    /// Joining gives up at the deadline and names who is late.
    #[test]
    fn join_names_the_late() {
        let mut threads = Threads::new();
        let (release, held) = bounded::<()>(0);
        threads
            .spawn("late".to_owned(), None, move || {
                held.recv().ok();
            })
            .unwrap();
        threads.spawn("prompt".to_owned(), None, || {}).unwrap();
        // How long it takes to end is not what is tested.
        while !threads.running[1].1.is_finished() {
            std::thread::yield_now();
        }
        assert_eq!(threads.join("", Instant::now() + Duration::from_millis(50)), ["late"]);
        drop(release);
        let late = threads.join("", Instant::now() + Duration::from_secs(10));
        assert_eq!(late, Vec::<String>::new());
    }
}
