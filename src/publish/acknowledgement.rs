//! The promise in code: a request is answered OK only when every record made from it is delivered.
//!
//! The countdown is the reference count of one `Arc`: librdkafka holds a reference per record until
//! its delivery report, and the worker holds one until every record is handed over. Whoever drops
//! the last one, on whichever thread, gives the answer. OK is never the default: it takes a sealed
//! request, as many good reports as records, and no failure.
//!
//! Nothing here is lock-free of our own making. `Arc` orders every decrement before the drop of the
//! last reference (release, then acquire), so that drop sees all that reporters wrote.

use std::{
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    time::Instant,
};

use super::{Answer, Charge, Failure, Reply};
use crate::{
    internal_telemetry::{Recorder, Stage},
    kafka::{Deliver, DeliveryError},
};

/// One request between "split" and "answered".
pub struct Acknowledgement {
    /// Good delivery reports so far.
    delivered: AtomicU32,
    /// The first failure; later ones change nothing.
    failure: OnceLock<Failure>,
    /// Set once every record is with librdkafka.
    sealed: OnceLock<Sealed>,
    spans: Spans,
    recorder: Recorder,
    /// `Some` until the drop that answers.
    waiting: Option<(Box<dyn Reply>, Charge)>,
}

struct Sealed {
    records: u32,
    at: Instant,
}

/// What the split found in a request.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Spans {
    /// Spans in the records.
    pub accepted: u64,
    /// Spans left out.
    pub rejected: u64,
    /// Why the first one was left out, in a sentence for the client.
    pub reason: Option<&'static str>,
}

impl Acknowledgement {
    /// Opens the countdown, with the caller's reference as its first.
    pub(super) fn open(
        spans: Spans,
        reply: Box<dyn Reply>,
        charge: Charge,
        recorder: Recorder,
    ) -> Arc<Self> {
        Arc::new(Self {
            delivered: AtomicU32::new(0),
            failure: OnceLock::new(),
            sealed: OnceLock::new(),
            spans,
            recorder,
            waiting: Some((reply, charge)),
        })
    }

    /// Gives up the caller's reference with every one of `records` handed over.
    pub(super) fn seal(self: Arc<Self>, records: u32) {
        let sealed = Sealed { records, at: Instant::now() };
        debug_assert!(self.sealed.get().is_none(), "a request is sealed once");
        self.sealed.set(sealed).ok();
    }

    /// Gives up the caller's reference half-way; what was produced is still waited for.
    pub(super) fn fail(self: Arc<Self>, failure: Failure) {
        // An earlier failure says more about the cause.
        self.failure.set(failure).ok();
    }

    fn answer(&mut self) -> Answer {
        let spans = std::mem::take(&mut self.spans);
        let delivered = *self.delivered.get_mut();
        match (self.failure.get(), self.sealed.get()) {
            (Some(failure), _) => Answer::Unavailable { failure: *failure, spans },
            (None, Some(sealed)) if sealed.records == delivered => {
                self.recorder.record(Stage::KafkaAcknowledgement, sealed.at.elapsed());
                Answer::Acknowledged(spans)
            }
            _ => Answer::Unavailable { failure: Failure::Abandoned, spans },
        }
    }
}

impl Deliver for Acknowledgement {
    fn delivered(self: Arc<Self>, outcome: Result<(), DeliveryError>) {
        match outcome {
            Ok(()) => {
                // Ordered before the answer by the reference count that `self` gives back.
                self.delivered.fetch_add(1, Ordering::Relaxed);
            }
            Err(error) => self.fail(Failure::Delivery(error)),
        }
    }
}

impl Drop for Acknowledgement {
    fn drop(&mut self) {
        if let Some((reply, charge)) = self.waiting.take() {
            let answer = self.answer();
            if matches!(answer, Answer::Acknowledged(_)) {
                charge.acknowledged();
            }
            reply.answer(answer, charge);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use crossbeam_channel::{Receiver, Sender, bounded};
    use proptest::{
        collection::vec,
        prelude::{Just, Strategy, any},
        prop_assert, prop_assert_eq, prop_oneof, proptest,
    };

    use super::*;
    use crate::publish::Budget;

    struct Told(Sender<Answer>);

    impl Reply for Told {
        fn abandoned(&self) -> bool {
            false
        }

        fn answer(self: Box<Self>, answer: Answer, _charge: Charge) {
            self.0.send(answer).unwrap();
        }
    }

    fn open(accepted: u64) -> (Arc<Acknowledgement>, Receiver<Answer>, Arc<Budget>) {
        let (told, answers) = bounded(2);
        let budget = Arc::new(Budget::new(1 << 20));
        let charge = Charge::open(Arc::clone(&budget), Arc::new(Budget::new(1 << 20))).unwrap();
        let spans = Spans { accepted, ..Spans::default() };
        let reply = Box::new(Told(told));
        (Acknowledgement::open(spans, reply, charge, Recorder::new()), answers, budget)
    }

    fn acknowledged(accepted: u64) -> Answer {
        Answer::Acknowledged(Spans { accepted, ..Spans::default() })
    }

    /// No answer before the last report; OK with it; the charge goes back with the answer.
    #[test]
    fn ok_needs_every_report() {
        let (request, answers, budget) = open(7);
        let records = [Arc::clone(&request), Arc::clone(&request)];
        request.seal(2);
        let [first, second] = records;
        first.delivered(Ok(()));
        assert!(answers.is_empty());
        assert_ne!(budget.bytes_used(), 0);
        second.delivered(Ok(()));
        assert_eq!(answers.recv().unwrap(), acknowledged(7));
        assert_eq!(budget.bytes_used(), 0);
    }

    /// Reports that outrun the worker do not answer before it has handed everything over.
    #[test]
    fn no_answer_before_the_seal() {
        let (request, answers, _) = open(1);
        Arc::clone(&request).delivered(Ok(()));
        assert!(answers.is_empty());
        request.seal(1);
        assert_eq!(answers.recv().unwrap(), acknowledged(1));
    }

    /// The first failure is the one the client hears, and one bad record spoils the request.
    #[test]
    fn first_failure_sticks() {
        let (request, answers, _) = open(3);
        let records: Vec<_> = (0..3).map(|_| Arc::clone(&request)).collect();
        request.seal(3);
        let outcomes = [Err(DeliveryError::TimedOut), Ok(()), Err(DeliveryError::TooLarge)];
        for (record, outcome) in records.into_iter().zip(outcomes) {
            record.delivered(outcome);
        }
        let Answer::Unavailable { failure, .. } = answers.recv().unwrap() else {
            panic!("a failed record was acknowledged");
        };
        assert_eq!(failure, Failure::Delivery(DeliveryError::TimedOut));
    }

    /// A worker that unwinds, or a record that librdkafka forgets, never becomes an OK.
    #[test]
    fn dropped_is_not_delivered() {
        let (unsealed, answers, _) = open(1);
        drop(unsealed);
        let abandoned = Answer::Unavailable {
            failure: Failure::Abandoned,
            spans: Spans { accepted: 1, ..Spans::default() },
        };
        assert_eq!(answers.recv().unwrap(), abandoned);

        let (unreported, answers, _) = open(1);
        drop(Arc::clone(&unreported));
        unreported.seal(1);
        assert_eq!(answers.recv().unwrap(), abandoned);
    }

    /// A request of which no span was good has nothing to wait for.
    #[test]
    fn nothing_to_produce_is_acknowledged() {
        let (request, answers, _) = open(0);
        request.seal(0);
        assert_eq!(answers.recv().unwrap(), acknowledged(0));
    }
    /// What may happen to one reference that librdkafka holds.
    #[derive(Clone, Copy, Debug)]
    enum Report {
        Delivered,
        Failed,
        Forgotten,
    }

    fn report() -> impl Strategy<Value = Report> {
        prop_oneof![
            8 => Just(Report::Delivered),
            1 => Just(Report::Failed),
            1 => Just(Report::Forgotten),
        ]
    }

    /// What must be answered, in plain words: OK when all was handed over and every record was
    /// delivered, the first failure otherwise.
    fn expected(reports: &[Report], handed_over: bool, seal_at: usize) -> Answer {
        let spans = Spans { accepted: 5, ..Spans::default() };
        let told = Failure::Delivery(DeliveryError::TimedOut);
        let first = reports.iter().position(|report| matches!(report, Report::Failed));
        let failure = match first {
            Some(at) if handed_over || at < seal_at => told,
            _ if !handed_over => Failure::QueueFull,
            _ if reports.iter().all(|report| matches!(report, Report::Delivered)) => {
                return Answer::Acknowledged(spans);
            }
            _ => Failure::Abandoned,
        };
        Answer::Unavailable { failure, spans }
    }

    proptest! {
        /// Whatever order reports and the seal come in, there is one answer, it comes with the last
        /// reference, and it is OK only when every record was delivered.
        #[test]
        fn answer_follows_the_plain_rule(
            reports in vec(report(), 0..12),
            seal_at in 0_usize..13,
            handed_over in any::<bool>(),
        ) {
            let seal_at = seal_at.min(reports.len());
            let (request, answers, budget) = open(5);
            let records: Vec<_> = reports.iter().map(|_| Arc::clone(&request)).collect();
            let mut worker = Some(request);
            let give_up = |worker: &mut Option<Arc<Acknowledgement>>| {
                match worker.take() {
                    Some(request) if handed_over => request.seal(reports.len() as u32),
                    Some(request) => request.fail(Failure::QueueFull),
                    None => {}
                }
            };
            for (at, (record, report)) in records.into_iter().zip(&reports).enumerate() {
                if at == seal_at {
                    give_up(&mut worker);
                }
                prop_assert!(answers.is_empty(), "answered before report {at}");
                match report {
                    Report::Delivered => record.delivered(Ok(())),
                    Report::Failed => record.delivered(Err(DeliveryError::TimedOut)),
                    Report::Forgotten => drop(record),
                }
            }
            give_up(&mut worker);
            prop_assert_eq!(answers.try_recv().unwrap(), expected(&reports, handed_over, seal_at));
            prop_assert!(answers.try_recv().is_err(), "answered twice");
            prop_assert_eq!(budget.bytes_used(), 0);
        }
    }

    /// Reports from several threads, racing with the seal, still give exactly one answer, and OK.
    #[test]
    fn racing_reports_answer_once() {
        for _ in 0..50 {
            let (request, answers, _) = open(3);
            let records: Vec<_> = (0..8).map(|_| Arc::clone(&request)).collect();
            thread::scope(|scope| {
                for record in records {
                    scope.spawn(move || record.delivered(Ok(())));
                }
                request.seal(8);
            });
            assert_eq!(answers.recv().unwrap(), acknowledged(3));
            assert!(answers.is_empty());
        }
    }
}
