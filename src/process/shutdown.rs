//! Decides how the process ends: which step comes next, until when it may last, and what it all
//! amounts to.
//!
//! Pure: the time and what has happened are given in. The main thread asks (`stop.rs`) and does as
//! it is told. Nothing here may wait, read a clock or touch a thread.

use std::time::{Duration, Instant};

use crate::{cli::exit, config::ShutdownConfig};

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

impl Ending {
    /// What it amounts to when the threads in `left` were late and one may have panicked.
    pub(super) fn of(left: Vec<String>, panicked: Option<String>) -> Self {
        match panicked {
            Some(thread) => Self::Panicked(thread),
            None if left.is_empty() => Self::Orderly,
            None => Self::Late(left),
        }
    }

    /// The program's exit code.
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Orderly => exit::OK,
            Self::Late(_) => exit::LATE,
            Self::Panicked(_) => exit::PANICKED,
        }
    }
}

/// A step of the end, in the order of the data.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Not ready, but everything is served: balancers look elsewhere.
    LookElsewhere,
    /// GOAWAY on every connection; requests that were sent are answered.
    Answer,
    /// What Kafka has not acknowledged is purged, which answers it UNAVAILABLE.
    Purge,
    /// Connections that still do not end are dropped.
    Drop,
    /// The workers hand over what is in their queues.
    Publish,
    /// Every record is reported, as delivered or as purged; the delivery loops end.
    Deliver,
    /// The forward loops stop polling, wait for their calls in flight, commit, leave the group.
    Forward,
    /// The connections to the backend end.
    Send,
    /// The watch of the topics may be waiting for a broker, and owes nobody anything: it is told
    /// to end, and not waited for.
    Metadata,
    /// The pages end, which told of everything else to the last.
    Admin,
    /// librdkafka's clients are closed.
    Close,
}

/// The end of the process, while it is under way.
pub(super) struct Shutdown {
    step: Option<Step>,
    receives: bool,
    /// The drain delay is over.
    delayed: Instant,
    /// Requests in flight have had their time.
    soon: Instant,
    /// The deadline.
    late: Instant,
    left: Vec<String>,
}

/// The part of the time after the drain delay in which requests in flight may end by themselves.
const SHARE_FOR_ANSWERS: f64 = 0.6;

/// A purge is reported and its answers are written within this.
const ANSWERED_WITHIN: Duration = Duration::from_millis(500);

/// Closing is given at least this long, also when the deadline has passed.
const CLOSE_TIME_MIN: Duration = Duration::from_millis(200);

impl Shutdown {
    /// The end begins.
    pub(super) fn begin(config: &ShutdownConfig, receives: bool, now: Instant) -> Self {
        let drain_delay = config.drain_delay.min(config.deadline);
        let delayed = now + drain_delay;
        let soon = delayed + (config.deadline - drain_delay).mul_f64(SHARE_FOR_ANSWERS);
        let late = now + config.deadline;
        Self { step: Some(Step::LookElsewhere), receives, delayed, soon, late, left: Vec::new() }
    }

    /// The step to take; `None` when the end is complete.
    pub(super) fn step(&self) -> Option<Step> {
        self.step
    }

    /// When a step that is taken `now` gives up.
    pub(super) fn until(&self, step: Step, now: Instant) -> Instant {
        match step {
            Step::LookElsewhere => self.delayed,
            Step::Answer => self.soon,
            Step::Purge => self.late.min(self.soon + ANSWERED_WITHIN),
            Step::Metadata => now,
            Step::Close => self.late.max(now + CLOSE_TIME_MIN),
            Step::Drop
            | Step::Publish
            | Step::Deliver
            | Step::Forward
            | Step::Send
            | Step::Admin => self.late,
        }
    }

    /// `step` was taken; the threads in `left` were to end with it and have not.
    pub(super) fn taken(&mut self, step: Step, left: Vec<String>) {
        self.step = self.after(step, left.is_empty());
        // The first two are followed by a sterner step for the same threads.
        if !matches!(step, Step::Answer | Step::Purge | Step::Metadata) {
            self.left.extend(left);
        }
    }

    fn after(&self, step: Step, ended: bool) -> Option<Step> {
        Some(match step {
            Step::LookElsewhere if self.receives => Step::Answer,
            Step::LookElsewhere => Step::Forward,
            Step::Answer if !ended => Step::Purge,
            Step::Purge if !ended => Step::Drop,
            Step::Answer | Step::Purge | Step::Drop => Step::Publish,
            Step::Publish => Step::Deliver,
            Step::Deliver => Step::Forward,
            Step::Forward => Step::Send,
            Step::Send => Step::Metadata,
            Step::Metadata => Step::Admin,
            Step::Admin => Step::Close,
            Step::Close => return None,
        })
    }

    /// The threads that were late.
    pub(super) fn left(self) -> Vec<String> {
        self.left
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        array::{uniform4, uniform7, uniform11},
        option,
        prelude::{Strategy, any},
        prop_assert, prop_assert_eq, proptest,
    };

    use super::*;

    /// What the threads do when a step is taken: end after this part of its time, or not at all.
    type Fate = Option<f64>;

    /// A step as it was taken, at moments since the begin of the end.
    #[derive(Clone, Copy, Debug)]
    struct Taken {
        step: Step,
        at: Duration,
        until: Duration,
        ended: bool,
    }

    fn milliseconds(range: std::ops::Range<u64>) -> impl Strategy<Value = Duration> {
        range.prop_map(Duration::from_millis)
    }

    /// Ends a process whose threads have these fates, one per step, on a clock of its own.
    fn end(config: &ShutdownConfig, receives: bool, fates: &[Fate]) -> (Vec<Taken>, Shutdown) {
        let start = Instant::now();
        let (mut now, mut trace) = (start, Vec::new());
        let mut shutdown = Shutdown::begin(config, receives, start);
        while let Some(step) = shutdown.step() {
            let until = shutdown.until(step, now);
            let time = until.saturating_duration_since(now);
            // The drain delay waits for no thread, and lasts.
            let fate = if step == Step::LookElsewhere { Some(1.0) } else { fates[trace.len()] };
            let ended = fate.is_some();
            trace.push(Taken { step, at: now - start, until: until - start, ended });
            now += time.mul_f64(fate.unwrap_or(1.0));
            let left = if ended { Vec::new() } else { vec![format!("{step:?}")] };
            shutdown.taken(step, left);
        }
        (trace, shutdown)
    }

    fn place(trace: &[Taken], step: Step) -> Option<usize> {
        trace.iter().position(|taken| taken.step == step)
    }

    proptest! {
        /// Whatever the threads do: no step comes twice, the order is that of the data, and each
        /// step is the mildest that is left.
        #[test]
        fn order_is_that_of_the_data(
            drain_delay in milliseconds(0..40_000),
            deadline in milliseconds(0..40_000),
            receives in any::<bool>(),
            fates in uniform11(option::of(0.0..=1.0)),
        ) {
            let config = ShutdownConfig { drain_delay, deadline };
            let (trace, _) = end(&config, receives, &fates);
            let at = |step| place(&trace, step);
            for taken in &trace {
                prop_assert_eq!(trace.iter().filter(|it| it.step == taken.step).count(), 1);
            }

            // Balancers have had their time before anybody is refused.
            prop_assert_eq!(at(Step::LookElsewhere), Some(0));
            prop_assert!(trace[1..].iter().all(|taken| taken.at >= drain_delay.min(deadline)));

            // The receive half ends before the workers, and they before the producers are flushed;
            // no record is without its report when the forward half or a client ends.
            prop_assert_eq!(at(Step::Answer).is_some(), receives);
            prop_assert_eq!(at(Step::Deliver).is_some(), receives);
            let receiving = [Step::Answer, Step::Purge, Step::Drop];
            let ended = receiving.into_iter().filter_map(at).max();
            prop_assert!(ended <= at(Step::Publish));
            prop_assert!(at(Step::Publish) <= at(Step::Deliver));
            prop_assert!(at(Step::Deliver) < at(Step::Forward));
            prop_assert!(at(Step::Forward) < at(Step::Send), "its calls in flight go through it");

            // Nothing is given up before its time, nobody dropped before they could be answered.
            for (stern, mild) in [(Step::Purge, Step::Answer), (Step::Drop, Step::Purge)] {
                let failed = at(mild).is_some_and(|place| !trace[place].ended);
                prop_assert_eq!(at(stern).is_some(), failed, "{:?}", stern);
                prop_assert!(at(stern).is_none() || at(mild) < at(stern));
            }

            // The pages tell of everything, and the clients are the last.
            prop_assert_eq!(at(Step::Admin), Some(trace.len() - 2));
            prop_assert_eq!(at(Step::Close), Some(trace.len() - 1));
        }

        /// Whatever the threads do, the end is there at the deadline, but for the least time that
        /// closing is given.
        #[test]
        fn deadline_holds(
            drain_delay in milliseconds(0..40_000),
            deadline in milliseconds(0..40_000),
            receives in any::<bool>(),
            fates in uniform11(option::of(0.0..=1.0)),
        ) {
            let config = ShutdownConfig { drain_delay, deadline };
            let (trace, _) = end(&config, receives, &fates);
            for taken in &trace {
                let grace = if taken.step == Step::Close { CLOSE_TIME_MIN } else { Duration::ZERO };
                prop_assert!(taken.until <= deadline + grace, "{:?}", taken);
            }
        }

        /// Exit code 0 means that every thread but the watch of the topics has ended in time and
        /// that none has panicked.
        #[test]
        fn zero_means_that_all_ended(
            receives in any::<bool>(),
            // The receive half has three chances: all of them are often missed, the rest seldom.
            first in uniform4(option::of(0.0..=1.0)),
            rest in uniform7(option::weighted(0.95, 0.0..=1.0)),
            panicked in option::weighted(0.2, "[a-z]{1,8}-[0-9]"),
        ) {
            let config = ShutdownConfig {
                drain_delay: Duration::ZERO,
                deadline: Duration::from_secs(25),
            };
            let (trace, shutdown) = end(&config, receives, &[&first[..], &rest[..]].concat());
            let ended = |step| place(&trace, step).is_none_or(|place| trace[place].ended);
            let receiving = [Step::Answer, Step::Purge, Step::Drop];
            let served = !receives || receiving.into_iter().any(|step| {
                place(&trace, step).is_some_and(|place| trace[place].ended)
            });
            let others =
                [Step::Publish, Step::Deliver, Step::Forward, Step::Send, Step::Admin, Step::Close];
            let all_ended = served && others.into_iter().all(ended);
            let code = Ending::of(shutdown.left(), panicked.clone()).exit_code();
            let expected = match (panicked, all_ended) {
                (Some(_), _) => exit::PANICKED,
                (None, false) => exit::LATE,
                (None, true) => exit::OK,
            };
            prop_assert_eq!(code, expected);
        }
    }
}
