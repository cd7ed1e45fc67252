//! One connection's share of a run: starts requests when they are due, records how each ended.
//!
//! Lives on one generator thread, on a `LocalSet`: a task that starts requests and one task per
//! request in flight share the worker by `Rc`. The number in flight is bounded. Per request it
//! patches a reused buffer and reads the clock; per span it does nothing else.

use std::cell::RefCell;
use std::mem;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use bytes::{Bytes, BytesMut};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time;

use crate::answer::Answer;
use crate::client::{Channel, ConnectError};
use crate::ids::WorkerId;
use crate::latency::Latencies;
use crate::ledger::{Outcome, WorkerLedger};
use crate::payload::Stamp;
use crate::plan::Plan;
use crate::progress::Progress;

/// A connection and what was recorded on it.
pub(crate) struct Worker {
    plan: Arc<Plan>,
    progress: Arc<Progress>,
    /// From 0; the worker starts the requests whose number modulo the workers is this.
    index: usize,
    channel: Channel,
    slots: Arc<Semaphore>,
    slot_count: u32,
    records: RefCell<Records>,
    /// Bodies to be patched again.
    buffers: RefCell<Vec<BytesMut>>,
}

/// What a worker hands back when the run is over.
pub(crate) struct WorkerResult {
    pub(crate) ledger: WorkerLedger,
    pub(crate) latencies: Latencies,
    pub(crate) measured: MeasuredSpans,
    pub(crate) retries: u64,
    /// Attempts without an answer when [`crate::client::Target::timeout`] had passed.
    pub(crate) unanswered: u64,
    pub(crate) reconnects: u64,
    /// True when the receiver is on this host.
    pub(crate) is_local: bool,
}

/// Spans of requests that were meant to start after the warm-up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MeasuredSpans {
    pub(crate) generated: u64,
    pub(crate) acknowledged: u64,
}

struct Records {
    /// By request; [`Outcome::TimedOut`] until there is an answer.
    outcomes: Vec<Outcome>,
    latencies: Latencies,
    measured: MeasuredSpans,
    retries: u64,
    unanswered: u64,
}

/// When a request was meant to start, and whether that is after the warm-up.
#[derive(Clone, Copy)]
struct Intended {
    at: Instant,
    is_measured: bool,
}

impl Worker {
    pub(crate) fn new(plan: Arc<Plan>, progress: Arc<Progress>, index: usize) -> Self {
        let channel = Channel::new(Arc::clone(&plan.target));
        let slot_count = plan.slots(index);
        let records = Records {
            outcomes: Vec::new(),
            latencies: Latencies::new(),
            measured: MeasuredSpans::default(),
            retries: 0,
            unanswered: 0,
        };
        Self {
            plan,
            progress,
            index,
            channel,
            slots: Arc::new(Semaphore::new(slot_count as usize)),
            slot_count,
            records: RefCell::new(records),
            buffers: RefCell::default(),
        }
    }

    /// Opens the connection.
    pub(crate) async fn connect(&self) -> Result<(), ConnectError> {
        self.channel.connect().await
    }

    /// Sends this worker's requests and waits for their answers.
    pub(crate) async fn run(self: Rc<Self>, start: Instant) {
        let worker_count = self.plan.worker_count as u64;
        for request in 0_u64.. {
            let number = request * worker_count + self.index as u64;
            if !self.plan.includes(number) {
                break;
            }
            let intended = match &self.plan.pacer {
                Some(pacer) => {
                    pacer.wait(number).await;
                    Some(start + pacer.schedule().intended(number))
                }
                None => None,
            };
            let slots = Arc::clone(&self.slots);
            let slot = slots.acquire_owned().await.expect("the semaphore is never closed");
            if self.plan.is_over(start) {
                break;
            }
            self.records.borrow_mut().outcomes.push(Outcome::TimedOut);
            let at = intended.unwrap_or_else(Instant::now);
            let intended = Intended { at, is_measured: at >= start + self.plan.warm_up };
            tokio::task::spawn_local(Rc::clone(&self).exchange(request, intended, slot));
        }
        // Every slot is free again once every exchange has ended; each ends by its deadline.
        let all_slots = self.slots.acquire_many(self.slot_count).await;
        drop(all_slots.expect("the semaphore is never closed"));
    }

    /// Takes out what was recorded; to be called once, after [`Self::run`].
    pub(crate) fn take_result(&self) -> WorkerResult {
        let mut records = self.records.borrow_mut();
        let outcomes = mem::take(&mut records.outcomes);
        WorkerResult {
            ledger: WorkerLedger { worker: worker_id(self.index), outcomes },
            latencies: records.latencies.clone(),
            measured: records.measured,
            retries: records.retries,
            unanswered: records.unanswered,
            reconnects: self.channel.reconnects(),
            is_local: self.channel.is_local(),
        }
    }

    /// One request from its first attempt to its outcome.
    async fn exchange(
        self: Rc<Self>,
        request: u64,
        intended: Intended,
        slot: OwnedSemaphorePermit,
    ) {
        let Intended { at: intended, is_measured } = intended;
        let body = self.patched(request, intended);
        let compressed = self.plan.compression.compress(&body);
        let message = compressed.expect("writing to memory does not fail");
        let message = message.unwrap_or_else(|| body.clone());
        let spans = self.plan.payload.shape().spans_per_request;
        let sent = Instant::now();
        self.progress.sent();
        if is_measured {
            let records = &mut *self.records.borrow_mut();
            records.measured.generated += u64::from(spans);
            records.latencies.record_start(intended, sent);
        }
        let outcome = self.deliver(message, sent).await;
        let done = Instant::now();

        self.progress.ended(outcome, spans);
        let records = &mut *self.records.borrow_mut();
        records.outcomes[request as usize] = outcome;
        if is_measured && matches!(outcome, Outcome::Acknowledged | Outcome::Partial { .. }) {
            records.measured.acknowledged += u64::from(outcome.acknowledged(spans));
            records.latencies.record_end(intended, sent, done);
        }
        // Not when h2 still holds it, as it may after a reset.
        if let Ok(body) = body.try_into_mut() {
            self.buffers.borrow_mut().push(body);
        }
        drop(slot);
    }

    /// Sends `message` until an answer is final or there is no more time for retries.
    async fn deliver(&self, message: Bytes, sent: Instant) -> Outcome {
        loop {
            let attempt = self.channel.export(message.clone());
            let answer = time::timeout(self.plan.target.timeout, attempt).await;
            let answer = answer.unwrap_or_else(|_elapsed| {
                self.records.borrow_mut().unanswered += 1;
                Answer::NONE
            });
            let retry_delay = self.plan.retry_within.and_then(|limit| {
                answer.retry_delay.filter(|delay| sent.elapsed() + *delay < limit)
            });
            match retry_delay {
                Some(delay) => time::sleep(delay).await,
                None => return answer.outcome,
            }
            self.records.borrow_mut().retries += 1;
        }
    }

    /// The body of `request`; its spans start when it was meant to, so that a sink which
    /// subtracts their start from its own clock charges a late start to the receiver's stall.
    fn patched(&self, request: u64, intended: Instant) -> Bytes {
        let payload = &self.plan.payload;
        let reused = self.buffers.borrow_mut().pop();
        let mut body = reused.unwrap_or_else(|| payload.template().into());
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let unix_nanos = since_epoch.saturating_sub(intended.elapsed()).as_nanos() as u64;
        payload.patch(&mut body, Stamp { worker: worker_id(self.index), request, unix_nanos });
        body.freeze()
    }
}

/// Workers are numbered from 1 in ids.
fn worker_id(index: usize) -> WorkerId {
    WorkerId(u16::try_from(index + 1).expect("the number of connections is bounded by its option"))
}
