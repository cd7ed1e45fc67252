//! What requests may hold of memory: each is charged to its connection's share and to the process's
//! budget. Called by the receive runtimes and by the workers, which never wait here.
//!
//! A budget that is short gives back what it has just taken: for that moment another request may
//! find it fuller than it is, and be refused, but never emptier. `fuzz/models` tries every
//! interleaving.

#[cfg(not(loom))]
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

#[cfg(loom)]
use loom::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

use crate::limits::{BUDGET_SHARES_PER_CONNECTION, REQUEST_CHARGE_BYTES_MIN};

/// A bounded number of bytes that requests share.
#[derive(Debug)]
pub struct Budget {
    limit: AtomicUsize,
    bytes_used: AtomicUsize,
    bytes_waiting: AtomicUsize,
    bytes_acknowledged: AtomicU64,
}

impl Budget {
    /// An unused budget.
    pub fn new(bytes_max: usize) -> Self {
        Self {
            limit: AtomicUsize::new(bytes_max),
            bytes_used: AtomicUsize::new(0),
            bytes_waiting: AtomicUsize::new(0),
            bytes_acknowledged: AtomicU64::new(0),
        }
    }

    /// Changes what may be charged from now on; what is charged already stays so.
    pub fn set_limit(&self, bytes_max: usize) {
        self.limit.store(bytes_max, Ordering::Relaxed);
    }

    /// Bytes of requests that Kafka has acknowledged so far.
    pub fn bytes_acknowledged(&self) -> u64 {
        self.bytes_acknowledged.load(Ordering::Relaxed)
    }

    /// Bytes charged now.
    pub fn bytes_used(&self) -> usize {
        self.bytes_used.load(Ordering::Relaxed)
    }

    /// Bytes charged now for requests that have arrived: they wait for a worker or for Kafka, and
    /// no longer for their client.
    pub fn bytes_waiting(&self) -> usize {
        self.bytes_waiting.load(Ordering::Relaxed)
    }

    fn limit(&self) -> usize {
        self.limit.load(Ordering::Relaxed)
    }

    /// Takes `bytes` if they fit below `limit`, or if nothing but `own` bytes is taken and they
    /// need not.
    fn try_take(&self, bytes: usize, limit: usize, own: Option<usize>) -> bool {
        let before = self.bytes_used.fetch_add(bytes, Ordering::Relaxed);
        let fits = before + bytes <= limit || own == Some(before);
        if !fits {
            self.give_back(bytes);
        }
        fits
    }

    fn give_back(&self, bytes: usize) {
        self.bytes_used.fetch_sub(bytes, Ordering::Relaxed);
    }
}

/// Which budget was short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// That of the whole process.
    Process,
    /// The share of one connection.
    Connection,
}

/// The bytes one request holds of the process's budget and of its connection's share.
///
/// Dropping it gives them back.
#[derive(Debug)]
pub struct Charge {
    process: Arc<Budget>,
    connection: Arc<Budget>,
    bytes: usize,
    arrived: bool,
}

impl Charge {
    /// Takes the least charge of a request.
    ///
    /// # Errors
    /// The budget that is short; nothing is held.
    pub fn open(process: Arc<Budget>, connection: Arc<Budget>) -> Result<Self, Shortage> {
        let mut charge = Self { process, connection, bytes: 0, arrived: false };
        charge.resize_arriving(REQUEST_CHARGE_BYTES_MIN)?;
        Ok(charge)
    }

    /// Makes the charge `bytes` large, at least [`REQUEST_CHARGE_BYTES_MIN`], while the request
    /// arrives: within the share of its connection.
    ///
    /// # Errors
    /// The budget that is short; the charge stays as it was. Shrinking always succeeds.
    pub fn resize_arriving(&mut self, bytes: usize) -> Result<(), Shortage> {
        self.change(bytes, None)
    }

    /// The same for a request that has arrived. A connection's only request may outgrow the share:
    /// the largest that is allowed grows a little when it is inflated or split, and would be
    /// refused, and sent again, for ever.
    ///
    /// # Errors
    /// The budget that is short; the charge stays as it was. Shrinking always succeeds.
    pub fn resize(&mut self, bytes: usize) -> Result<(), Shortage> {
        self.change(bytes, Some(self.bytes))
    }

    /// The request is whole: from here on its bytes wait for Kafka.
    pub fn arrived(&mut self) {
        self.arrived = true;
        self.process.bytes_waiting.fetch_add(self.bytes, Ordering::Relaxed);
    }

    fn change(&mut self, bytes: usize, own: Option<usize>) -> Result<(), Shortage> {
        let bytes = bytes.max(REQUEST_CHARGE_BYTES_MIN);
        if bytes <= self.bytes {
            self.give_back(self.bytes - bytes);
        } else {
            let missing = bytes - self.bytes;
            if !self.connection.try_take(missing, self.connection_limit(), own) {
                return Err(Shortage::Connection);
            }
            if !self.process.try_take(missing, self.process.limit(), None) {
                self.connection.give_back(missing);
                return Err(Shortage::Process);
            }
            if self.arrived {
                self.process.bytes_waiting.fetch_add(missing, Ordering::Relaxed);
            }
        }
        self.bytes = bytes;
        Ok(())
    }

    fn give_back(&self, bytes: usize) {
        if self.arrived {
            self.process.bytes_waiting.fetch_sub(bytes, Ordering::Relaxed);
        }
        self.process.give_back(bytes);
        self.connection.give_back(bytes);
    }

    /// Kafka has the request: its bytes count towards the pace that admission follows.
    pub(super) fn acknowledged(&self) {
        self.process.bytes_acknowledged.fetch_add(self.bytes as u64, Ordering::Relaxed);
    }

    /// A connection's share shrinks with the process's limit, so that one greedy client cannot
    /// take all of a short one; a request that is alone on its connection may have the whole share,
    /// or the largest would never get in.
    fn connection_limit(&self) -> usize {
        let share = self.connection.limit();
        if self.connection.bytes_used() == self.bytes {
            return share;
        }
        share.min(self.process.limit() / BUDGET_SHARES_PER_CONNECTION)
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.give_back(self.bytes);
    }
}

#[cfg(not(loom))]
#[cfg(test)]
mod tests {
    use super::*;

    const KIB: usize = 1024;

    fn budgets(process: usize, connection: usize) -> (Arc<Budget>, Arc<Budget>) {
        (Arc::new(Budget::new(process)), Arc::new(Budget::new(connection)))
    }

    /// A charge grows, shrinks and gives everything back when dropped.
    #[test]
    fn charge_is_returned() {
        let (process, connection) = budgets(64 * KIB, 32 * KIB);
        let mut charge = Charge::open(Arc::clone(&process), Arc::clone(&connection)).unwrap();
        assert_eq!(process.bytes_used(), REQUEST_CHARGE_BYTES_MIN);
        charge.resize(20 * KIB).unwrap();
        charge.resize(10 * KIB).unwrap();
        assert_eq!((process.bytes_used(), connection.bytes_used()), (10 * KIB, 10 * KIB));
        drop(charge);
        assert_eq!((process.bytes_used(), connection.bytes_used()), (0, 0));
    }

    /// One connection is stopped at its share while others still fit; a refusal takes nothing.
    #[test]
    fn connection_share_is_bounded() {
        let (process, greedy) = budgets(64 * KIB, 16 * KIB);
        let mut first = Charge::open(Arc::clone(&process), Arc::clone(&greedy)).unwrap();
        assert_eq!(first.resize_arriving(17 * KIB), Err(Shortage::Connection));
        assert_eq!(first.bytes, REQUEST_CHARGE_BYTES_MIN);
        let polite = Arc::new(Budget::new(64 * KIB));
        let mut second = Charge::open(Arc::clone(&process), polite).unwrap();
        assert_eq!(second.resize(61 * KIB), Err(Shortage::Process));
        assert_eq!(second.resize(60 * KIB), Ok(()));
        assert_eq!(process.bytes_used(), 64 * KIB);
    }

    /// The only request of a connection may outgrow the share once it has arrived, but not the
    /// process's budget.
    #[test]
    fn a_lone_request_may_outgrow_its_share() {
        let (process, connection) = budgets(64 * KIB, 16 * KIB);
        let mut lone = Charge::open(Arc::clone(&process), Arc::clone(&connection)).unwrap();
        assert_eq!(lone.resize(20 * KIB), Ok(()));
        let second = Charge::open(Arc::clone(&process), Arc::clone(&connection));
        assert_eq!(second.unwrap_err(), Shortage::Connection);
        assert_eq!(lone.resize(65 * KIB), Err(Shortage::Process));
    }

    /// With the process's limit the shares shrink, but not for a request alone on its connection;
    /// what is charged already stays, and is refused nothing but growth.
    #[test]
    fn shares_shrink_with_the_limit() {
        let (process, connection) = budgets(64 * KIB, 16 * KIB);
        let mut first = Charge::open(Arc::clone(&process), Arc::clone(&connection)).unwrap();
        process.set_limit(32 * KIB);
        assert_eq!(first.resize_arriving(16 * KIB), Ok(()), "alone");
        assert_eq!(first.resize_arriving(REQUEST_CHARGE_BYTES_MIN), Ok(()));
        let mut second = Charge::open(Arc::clone(&process), Arc::clone(&connection)).unwrap();
        assert_eq!(
            second.resize_arriving(5 * KIB),
            Err(Shortage::Connection),
            "a quarter of the limit"
        );
        process.set_limit(KIB);
        assert_eq!(first.resize_arriving(5 * KIB), Err(Shortage::Connection));
        drop(second);
        assert_eq!(first.resize_arriving(5 * KIB), Err(Shortage::Process));
        assert_eq!(process.bytes_used(), REQUEST_CHARGE_BYTES_MIN);
    }

    /// What still arrives does not wait for Kafka; what has arrived does, whatever it is charged.
    #[test]
    fn bytes_wait_from_their_arrival() {
        let (process, connection) = budgets(64 * KIB, 32 * KIB);
        let mut charge = Charge::open(Arc::clone(&process), connection).unwrap();
        charge.resize_arriving(20 * KIB).unwrap();
        assert_eq!(process.bytes_waiting(), 0);
        charge.arrived();
        assert_eq!(process.bytes_waiting(), 20 * KIB);
        charge.resize(30 * KIB).unwrap();
        assert_eq!(process.bytes_waiting(), 30 * KIB);
        charge.resize(10 * KIB).unwrap();
        assert_eq!(process.bytes_waiting(), 10 * KIB);
        drop(charge);
        assert_eq!(process.bytes_waiting(), 0);
    }

    /// Only what Kafka has acknowledged counts towards the pace.
    #[test]
    fn acknowledged_bytes_are_counted() {
        let (process, connection) = budgets(64 * KIB, 32 * KIB);
        let open = || Charge::open(Arc::clone(&process), Arc::clone(&connection)).unwrap();
        drop(open());
        assert_eq!(process.bytes_acknowledged(), 0);
        open().acknowledged();
        assert_eq!(process.bytes_acknowledged(), REQUEST_CHARGE_BYTES_MIN as u64);
    }
}
