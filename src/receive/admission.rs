//! Who is let in: a usable broker, and room in two budgets of bytes.

use std::sync::Arc;

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
}

impl Admission {
    pub(super) fn new(bytes_in_flight_max: usize, topic: Arc<TopicWatch>) -> Self {
        Self {
            budget: Arc::new(Budget::new(bytes_in_flight_max)),
            share_bytes: bytes_in_flight_max / BUDGET_SHARES_PER_CONNECTION,
            topic,
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
        Charge::open(Arc::clone(&self.budget), Arc::clone(share)).map_err(Failure::Budget)
    }
}
