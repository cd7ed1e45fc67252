//! The way back: workers and delivery threads push answers, the runtime gives them to its tasks.
//!
//! Waking a `current_thread` runtime from outside costs a system call. Answers therefore go into a
//! queue, and only the push that finds the runtime asleep wakes it; one drainer task then completes
//! every waiting request by a local wake.

use std::sync::Arc;

use crossbeam_channel::{Receiver, Sender, TrySendError, bounded};
use tokio::sync::{Notify, oneshot};

use super::awake::Awake;
use crate::publish::{Answer, Charge, Reply};

/// An answer with the charge that goes back when the reply is written.
pub(super) type Answered = (Answer, Charge);

/// Hears of every answer and whether somebody still waited for it.
pub(super) type Settle = Box<dyn Fn(&Answer, bool) + Send>;

type Pending = (oneshot::Sender<Answered>, Answered);

/// The queue of one runtime.
pub(super) struct ReplyQueue {
    answers: Sender<Pending>,
    awake: Awake,
    wake: Notify,
}

/// The runtime's end of the queue.
pub(super) struct Drainer {
    queue: Arc<ReplyQueue>,
    answers: Receiver<Pending>,
    settle: Settle,
}

impl ReplyQueue {
    /// A queue for at most `requests_max` unanswered requests.
    pub(super) fn new(requests_max: usize, settle: Settle) -> (Arc<Self>, Drainer) {
        let (sender, answers) = bounded(requests_max);
        let queue = Arc::new(Self { answers: sender, awake: Awake::new(), wake: Notify::new() });
        (Arc::clone(&queue), Drainer { queue, answers, settle })
    }

    /// A slot for one request.
    pub(super) fn slot(self: &Arc<Self>) -> (Box<Slot>, oneshot::Receiver<Answered>) {
        let (sender, receiver) = oneshot::channel();
        (Box::new(Slot { queue: Arc::clone(self), sender }), receiver)
    }

    fn push(&self, pending: Pending) {
        match self.answers.try_send(pending) {
            Ok(()) => {}
            // Unreachable while every request holds at least its least charge; blocking a delivery
            // thread would be worse than the client's retry.
            Err(TrySendError::Full(_)) => tracing::error!("reply queue is full, a reply is lost"),
            // The runtime has ended; nobody waits.
            Err(TrySendError::Disconnected(_)) => return,
        }
        if self.awake.raise() {
            self.wake.notify_one();
        }
    }
}

impl Drainer {
    /// Completes answers as they come, for as long as the runtime lives.
    pub(super) async fn run(self) {
        loop {
            self.queue.wake.notified().await;
            self.queue.awake.lower();
            while let Ok((sender, (answer, charge))) = self.answers.try_recv() {
                if sender.is_closed() {
                    (self.settle)(&answer, false);
                } else {
                    (self.settle)(&answer, true);
                    // Closed between the two: this task and the receiver share a thread, so no.
                    sender.send((answer, charge)).ok();
                }
            }
        }
    }
}

/// Where one request's answer goes.
pub(super) struct Slot {
    queue: Arc<ReplyQueue>,
    sender: oneshot::Sender<Answered>,
}

impl Reply for Slot {
    fn abandoned(&self) -> bool {
        self.sender.is_closed()
    }

    fn answer(self: Box<Self>, answer: Answer, charge: Charge) {
        self.queue.push((self.sender, (answer, charge)));
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::publish::{Budget, Spans};

    fn charge() -> Charge {
        Charge::open(Arc::new(Budget::new(1 << 20)), Arc::new(Budget::new(1 << 20))).unwrap()
    }

    fn acknowledged() -> Answer {
        Answer::Acknowledged(Spans::default())
    }

    /// Answers from other threads reach every waiting task, however they interleave with sleeps.
    #[test]
    fn every_answer_arrives() {
        const REQUESTS: usize = 2_000;
        let (queue, drainer) = ReplyQueue::new(REQUESTS, Box::new(|_, waited| assert!(waited)));
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let (slots, receivers): (Vec<_>, Vec<_>) =
            (0..REQUESTS).map(|_| queue.slot()).map(|(slot, receiver)| (*slot, receiver)).unzip();
        runtime.block_on(async {
            let answering = threads(slots);
            let waiting = async {
                for receiver in receivers {
                    assert_eq!(receiver.await.unwrap().0, acknowledged());
                }
            };
            tokio::select! {
                () = drainer.run() => unreachable!("the drainer runs for ever"),
                () = waiting => {}
            }
            answering.into_iter().for_each(|thread| thread.join().unwrap());
        });
    }

    #[expect(clippy::disallowed_methods, reason = "a test's own threads")]
    fn threads(slots: Vec<Slot>) -> Vec<thread::JoinHandle<()>> {
        let mut slots = slots.into_iter();
        std::iter::from_fn(|| {
            let share: Vec<_> = slots.by_ref().take(700).collect();
            (!share.is_empty()).then(|| {
                thread::spawn(|| {
                    share
                        .into_iter()
                        .for_each(|slot| Box::new(slot).answer(acknowledged(), charge()));
                })
            })
        })
        .collect()
    }

    /// An answer nobody waits for is settled as such and gives its charge back.
    #[test]
    fn abandoned_slot_is_settled() {
        let (told, settled) = bounded(1);
        let settle = move |_: &Answer, waited: bool| told.send(waited).unwrap();
        let (queue, drainer) = ReplyQueue::new(1, Box::new(settle));
        let (slot, receiver) = queue.slot();
        drop(receiver);
        assert!(slot.abandoned());
        slot.answer(acknowledged(), charge());
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            tokio::select! {
                biased;
                () = drainer.run() => {}
                () = tokio::task::yield_now() => {}
            }
        });
        assert!(!settled.try_recv().unwrap());
    }
}
