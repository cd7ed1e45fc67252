//! What the process knows of its own state: heartbeats of loops and conditions in words.
//!
//! Any thread may beat or set its own condition; the admin thread reads. Never blocks the span
//! path: a beat is one store, a condition is set only when it may have changed.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::limits::HEARTBEAT_AGE_MAX;

/// Heartbeats and conditions of the whole process.
pub struct Health {
    start: Instant,
    heartbeats: Mutex<Vec<Heartbeat>>,
    conditions: Mutex<Vec<Arc<Condition>>>,
}

impl Health {
    /// Nothing registered: alive, and ready.
    pub fn new() -> Self {
        Self {
            start: Instant::now(),
            heartbeats: Mutex::new(Vec::new()),
            conditions: Mutex::new(Vec::new()),
        }
    }

    /// Registers a loop with bounded waits, which from now on must beat.
    pub fn heartbeat(&self, thread: &str) -> Heartbeat {
        let beat = Arc::new(AtomicU64::new(0));
        let heartbeat = Heartbeat { thread: thread.into(), start: self.start, beat };
        heartbeat.beat();
        lock(&self.heartbeats).push(heartbeat.clone());
        heartbeat
    }

    /// Registers a condition, at first false; `required` ones decide readiness.
    pub fn condition(&self, name: &'static str, required: bool) -> Arc<Condition> {
        let state = State { holds: false, why: "not yet known".to_owned(), since: Instant::now() };
        let condition = Arc::new(Condition { name, required, state: Mutex::new(state) });
        lock(&self.conditions).push(Arc::clone(&condition));
        condition
    }

    /// Loops that have not beaten within [`HEARTBEAT_AGE_MAX`], with the age of their last beat.
    pub fn stuck(&self) -> Vec<(String, Duration)> {
        let heartbeats = lock(&self.heartbeats);
        let aged =
            heartbeats.iter().map(|heartbeat| (heartbeat.thread.to_string(), heartbeat.age()));
        aged.filter(|(_, age)| *age > HEARTBEAT_AGE_MAX).collect()
    }

    /// True when every required condition holds.
    pub fn ready(&self) -> bool {
        lock(&self.conditions).iter().all(|condition| !condition.required || condition.holds())
    }

    /// Every condition, in the order of registration.
    pub fn conditions(&self) -> Vec<Arc<Condition>> {
        lock(&self.conditions).clone()
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

/// The sign of life of one loop.
#[derive(Clone)]
pub struct Heartbeat {
    thread: Arc<str>,
    start: Instant,
    /// Milliseconds after `start` of the last beat.
    beat: Arc<AtomicU64>,
}

impl Heartbeat {
    /// Says "alive": once per turn of the loop, also when idle or blocked on an outage.
    pub fn beat(&self) {
        self.beat.store(self.start.elapsed().as_millis() as u64, Ordering::Relaxed);
    }

    /// Says that the loop has ended in order and owes no further beats.
    pub fn retire(&self) {
        self.beat.store(u64::MAX, Ordering::Relaxed);
    }

    fn age(&self) -> Duration {
        let last = Duration::from_millis(self.beat.load(Ordering::Relaxed));
        self.start.elapsed().saturating_sub(last)
    }
}

/// Something that holds or not, in words an operator understands.
pub struct Condition {
    name: &'static str,
    required: bool,
    state: Mutex<State>,
}

struct State {
    holds: bool,
    why: String,
    since: Instant,
}

impl Condition {
    /// States the condition anew; `since` moves only when it changes sides.
    pub fn set(&self, holds: bool, why: impl Into<String>) {
        let mut state = lock(&self.state);
        if state.holds != holds {
            state.since = Instant::now();
        }
        state.holds = holds;
        state.why = why.into();
    }

    /// True when readiness depends on it.
    pub fn required(&self) -> bool {
        self.required
    }

    /// True when the condition holds.
    pub fn holds(&self) -> bool {
        lock(&self.state).holds
    }

    /// `name: ok|not ok for 3s: why`, for `/readyz`.
    pub fn describe(&self) -> String {
        let state = lock(&self.state);
        let verdict = if state.holds { "ok" } else { "not ok" };
        let weight = if self.required { "" } else { ", does not decide readiness" };
        let since = state.since.elapsed().as_secs();
        format!("{}: {verdict} for {since}s{weight}: {}", self.name, state.why)
    }
}

/// A poisoned lock is used as it is: every write under it is complete or absent.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
impl Health {
    /// With a loop called `thread` that has been silent for twice the time allowed.
    pub(crate) fn with_stuck_loop(thread: &str) -> Self {
        let start =
            Instant::now().checked_sub(HEARTBEAT_AGE_MAX * 2).expect("machine is up longer");
        let health = Self { start, ..Self::new() };
        health.heartbeat(thread).beat.store(0, Ordering::Relaxed);
        health
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Readiness needs every required condition and ignores the others.
    #[test]
    fn required_conditions_decide() {
        let health = Health::new();
        let required = health.condition("broker", true);
        let _informative = health.condition("backend", false);
        assert!(!health.ready());
        required.set(true, "8 partitions, each with a leader");
        assert!(health.ready());
    }

    /// A loop that stops beating is named; one that retired is not.
    #[test]
    fn stuck_loops_are_named() {
        let health = Health::with_stuck_loop("publish-0");
        health.heartbeat("publish-1").retire();
        let names: Vec<String> = health.stuck().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["publish-0"]);
    }
}
