//! Who is let in: a usable broker, and room in two budgets of bytes.
//!
//! Runs on the receive threads, once per request. The budget's limit follows Kafka's pace
//! (`admission_pace`); whichever thread finds the interval over looks, and no thread waits for it.

use std::{
    sync::{Arc, Mutex, TryLockError},
    time::Instant,
};

use prometheus::IntGauge;

use super::admission_pace::Pace;
use crate::{
    kafka::TopicWatch,
    limits::BUDGET_SHARES_PER_CONNECTION,
    publish::{Budget, Charge, Failure},
};

/// Admits requests against the process's budget of bytes in flight.
pub(super) struct Admission {
    budget: Arc<Budget>,
    share_bytes: usize,
    topic: Arc<TopicWatch>,
    pace: Mutex<Pace>,
    limit: IntGauge,
}

impl Admission {
    /// `limit` shows how many bytes may be in flight at present.
    pub(super) fn new(bytes_in_flight_max: usize, topic: Arc<TopicWatch>, limit: IntGauge) -> Self {
        limit.set(bytes_in_flight_max as i64);
        Self {
            budget: Arc::new(Budget::new(bytes_in_flight_max)),
            share_bytes: bytes_in_flight_max / BUDGET_SHARES_PER_CONNECTION,
            topic,
            pace: Mutex::new(Pace::new(bytes_in_flight_max, Instant::now())),
            limit,
        }
    }

    /// The budget of one more connection: one greedy client cannot take everybody's.
    pub(super) fn share(&self) -> Budget {
        Budget::new(self.share_bytes)
    }

    /// Bytes charged now.
    pub(super) fn bytes_used(&self) -> usize {
        self.budget.bytes_used()
    }

    /// Opens a request's charge; it grows as the request's bytes arrive.
    ///
    /// # Errors
    /// A failure that is worth a retry: no broker, or no room.
    pub(super) fn admit(&self, share: &Arc<Budget>) -> Result<Charge, Failure> {
        if !self.topic.usable() {
            return Err(Failure::BrokerUnreachable);
        }
        self.keep_pace(Instant::now());
        Charge::open(Arc::clone(&self.budget), Arc::clone(share)).map_err(Failure::Budget)
    }

    /// Lets the limit follow, unless another thread is just doing so.
    fn keep_pace(&self, now: Instant) {
        let mut pace = match self.pace.try_lock() {
            Ok(pace) => pace,
            Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
            Err(TryLockError::WouldBlock) => return,
        };
        let (acknowledged, waiting) =
            (self.budget.bytes_acknowledged(), self.budget.bytes_waiting());
        if let Some(limit) = pace.look(now, acknowledged, waiting) {
            self.budget.set_limit(limit);
            self.limit.set(limit as i64);
        }
    }
}
