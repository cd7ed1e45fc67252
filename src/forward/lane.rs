//! One lane: its batches go to the backend strictly one after the other.
//!
//! Pure; owned by a forward thread's window; time is passed in. All records of a partition go
//! through the same lane, so their order is kept, across retries, halving and dead letters too.
//!
//! ```text
//! filling ──full or aged──▶ ready ──▶ work: idle ─▶ calling ─▶ settled
//!                                             ▲        │ refused
//!                                             ├─ retry at ◀──┤
//!                                             └─ halved, or burying (one record) ─▶ settled
//! ```

use std::{
    collections::VecDeque,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};

use super::{
    batch::{Batch, Entry, Generation, OpenBatch, record_count},
    outcome::{Class, Refusal},
    retry::Backoff,
    traces::by_trace,
};
use crate::{kafka::Record, limits};

/// When a batch closes.
#[derive(Clone, Copy, Debug)]
pub(super) struct BatchLimits {
    pub(super) bytes_max: usize,
    pub(super) age_max: Duration,
}

/// Why a record goes to the dead-letter topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) reason: Reason,
    /// The backend's words, or ours.
    pub(super) detail: String,
}

/// The kinds of [`Verdict`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reason {
    /// Not framed as a request: it would swallow its neighbours.
    Misframed,
    /// The backend refuses it, alone.
    Refused,
    /// It is alone larger than what the backend takes.
    TooLarge,
    /// It breaks the backend's connection, alone, while empty requests do not.
    BackendCrash,
}

impl Reason {
    /// The value of the label and of the header `reason`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Misframed => "misframed",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::BackendCrash => "backend_crash",
        }
    }
}

/// What a lane wants done next.
#[derive(Debug)]
pub(super) enum Action {
    /// Send this message to the backend and report to [`Lane::refused`] or [`Lane::settle`].
    Call {
        /// With its gRPC prefix.
        message: Bytes,
        /// Find out whether it breaks the connection by itself.
        is_trial: bool,
    },
    /// Publish the only record of [`Lane::front`] as a dead letter, and report likewise.
    Bury,
    /// There is nothing to send: [`Lane::settle`].
    Settle,
}

/// What a lane does about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Reaction {
    /// The same again after this wait.
    Retry(Duration),
    /// Two halves, or the traces of the one record, one after the other.
    Halve,
    /// The one record, or the one trace, is a dead letter.
    Bury,
}

/// A queue of batches of which the first is under way.
#[derive(Debug)]
pub(super) struct Lane {
    limits: BatchLimits,
    backoff: Backoff,
    filling: OpenBatch,
    /// Closed because they were full; not empty means that the lane has no room.
    ready: VecDeque<Work>,
    /// What is under way, first part first; more than one part after halving.
    work: VecDeque<Work>,
    step: Step,
    /// Suspicious answers to the first part in a row.
    suspicions: u32,
    /// The first part broke a connection: it is sent as a trial.
    is_trial: bool,
    /// Trials of the first part, alone, that broke the connection in a row.
    crashes: u32,
    /// When the present call or dead letter began.
    begun: Option<Instant>,
    trouble: Option<Trouble>,
    spare: Option<BytesMut>,
}

/// Since when the first part does not get through, and why it last did not.
#[derive(Debug)]
struct Trouble {
    since: Instant,
    why: String,
}

#[derive(Debug)]
struct Work {
    batch: Batch,
    /// Set when the batch is one record that is not to be sent.
    verdict: Option<Verdict>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    Idle,
    Busy,
    RetryAt(Instant),
}

impl Lane {
    pub(super) fn new(limits: BatchLimits, backoff: Backoff) -> Self {
        Self {
            limits,
            backoff,
            filling: OpenBatch::default(),
            ready: VecDeque::new(),
            work: VecDeque::new(),
            step: Step::Idle,
            suspicions: 0,
            is_trial: false,
            crashes: 0,
            begun: None,
            trouble: None,
            spare: None,
        }
    }

    /// False once a batch is full while another is under way: then nothing should be consumed.
    pub(super) fn has_room(&self) -> bool {
        self.ready.is_empty()
    }

    /// Takes a record; closes the batch before it would exceed its limit.
    pub(super) fn append(&mut self, record: &Record<'_>, generation: Generation, now: Instant) {
        if !self.filling.has_room(record.value.map_or(0, <[u8]>::len), self.limits.bytes_max) {
            self.close_filling();
        }
        self.filling.append(record, generation, now);
    }

    /// Takes a record that is not to be sent, in its place in the order.
    pub(super) fn append_dead(
        &mut self,
        record: &Record<'_>,
        generation: Generation,
        verdict: Verdict,
        now: Instant,
    ) {
        self.close_filling();
        let mut alone = OpenBatch::default();
        alone.append(record, generation, now);
        self.ready.push_back(Work { batch: alone.close(), verdict: Some(verdict) });
    }

    /// What is due at `now`, if the lane is not waiting for something.
    pub(super) fn next(&mut self, now: Instant) -> Option<Action> {
        match self.step {
            Step::Busy => return None,
            Step::RetryAt(at) if now < at => return None,
            Step::RetryAt(_) | Step::Idle => {}
        }
        if self.work.is_empty() {
            if self.ready.is_empty() && self.closes_at().is_some_and(|at| at <= now) {
                self.close_filling();
            }
            self.work.extend(self.ready.pop_front());
        }
        let front = self.work.front()?;
        self.step = Step::Busy;
        self.begun = Some(now);
        let is_trial = self.is_trial;
        Some(match front {
            Work { verdict: Some(_), .. } => Action::Bury,
            Work { batch, .. } if batch.payload_bytes() == 0 => Action::Settle,
            Work { batch, .. } => Action::Call { message: batch.message().clone(), is_trial },
        })
    }

    /// The batch under way and, for a dead letter, why.
    pub(super) fn front(&self) -> Option<(&Batch, Option<&Verdict>)> {
        self.work.front().map(|work| (&work.batch, work.verdict.as_ref()))
    }

    /// The batch under way is done with; the lane goes on.
    pub(super) fn settle(&mut self) -> Option<(Batch, Option<Verdict>)> {
        self.step = Step::Idle;
        self.acquit();
        self.is_trial = false;
        self.backoff.reset();
        self.work.pop_front().map(|work| (work.batch, work.verdict))
    }

    /// Gives the memory of a settled batch back, for the next one.
    pub(super) fn recycle(&mut self, batch: Batch) {
        self.spare = batch.into_buffer().or_else(|| self.spare.take());
    }

    /// Decides what a refusal of the batch under way leads to. While `data_is_trusted`, nothing is
    /// blamed on the data.
    pub(super) fn refused(
        &mut self,
        refusal: &Refusal,
        data_is_trusted: bool,
        now: Instant,
    ) -> Reaction {
        let blamed = match refusal.class {
            Class::Now | Class::Configuration => None,
            Class::TooLarge => Some(Reason::TooLarge),
            Class::Data => Some(Reason::Refused),
            Class::Suspect => {
                self.suspicions += 1;
                (self.suspicions >= limits::FORWARD_SUSPECT_TRIES).then_some(Reason::Refused)
            }
            Class::Broken => {
                self.is_trial = true;
                self.crashes = 0;
                None
            }
            Class::Crash if self.take_apart(now) => return Reaction::Halve,
            Class::Crash => {
                self.crashes += 1;
                (self.crashes >= limits::FORWARD_CRASH_TRIES).then_some(Reason::BackendCrash)
            }
        };
        let why = format!("{}: {}", refusal.code, refusal.message);
        match blamed {
            Some(_) if self.take_apart(now) => Reaction::Halve,
            Some(reason) if !data_is_trusted => {
                if let Some(front) = self.work.front_mut() {
                    front.verdict = Some(Verdict { reason, detail: why });
                }
                self.trouble = None;
                self.step = Step::Idle;
                Reaction::Bury
            }
            Some(_) | None => Reaction::Retry(self.retry(refusal.retry_after, why, now)),
        }
    }

    /// Tries the batch under way again after a backoff; returns the wait.
    pub(super) fn retry(
        &mut self,
        asked_for: Option<Duration>,
        why: String,
        now: Instant,
    ) -> Duration {
        let since = self.trouble.as_ref().map_or(now, |trouble| trouble.since);
        self.trouble = Some(Trouble { since, why });
        let wait = self.backoff.after_failure(asked_for);
        self.step = Step::RetryAt(now + wait);
        wait
    }

    /// Drops the records that are not `current` any more, wherever they are not being sent;
    /// returns how many. What is being sent keeps them until its answer.
    pub(super) fn drop_stale(&mut self, now: Instant, current: impl Fn(&Entry) -> bool) -> usize {
        let sending = usize::from(self.step == Step::Busy).min(self.work.len());
        let mut dropped = 0;
        let mut keep = |work: Work| {
            if work.batch.entries().iter().all(&current) {
                return Some(work);
            }
            let kept = work.batch.retain(now, &current);
            let batch = kept.close();
            dropped += record_count(work.batch.entries()) - record_count(batch.entries());
            (!batch.entries().is_empty()).then_some(Work { batch, verdict: work.verdict })
        };
        let waiting = self.work.split_off(sending);
        self.work.extend(waiting.into_iter().filter_map(&mut keep));
        self.ready = std::mem::take(&mut self.ready).into_iter().filter_map(&mut keep).collect();
        if !self.filling.entries().iter().all(&current) {
            let filling = std::mem::take(&mut self.filling).close();
            self.filling = filling.retain(now, &current);
            dropped += filling.entries().len() - self.filling.entries().len();
        }
        if self.work.is_empty() {
            self.step = Step::Idle;
            self.trouble = None;
        }
        dropped
    }

    /// When the lane has something to do by itself: close its batch, or try again.
    pub(super) fn due(&self) -> Option<Instant> {
        match self.step {
            Step::Busy => None,
            Step::RetryAt(at) => Some(at),
            Step::Idle => self.closes_at(),
        }
    }

    /// True while a call or a dead letter is under way.
    pub(super) fn is_busy(&self) -> bool {
        self.step == Step::Busy
    }

    /// True while anything is under way or waits to be tried again.
    pub(super) fn has_work(&self) -> bool {
        !self.work.is_empty()
    }

    /// True while the first part is refused again and again, or its dead letter is.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.trouble.is_some()
    }

    /// What the lane waits for, and since when, in words.
    pub(super) fn describe(&self, now: Instant) -> String {
        let seconds = |since| now.saturating_duration_since(since).as_secs();
        let letter = self.front().is_some_and(|(_, verdict)| verdict.is_some());
        match (&self.trouble, self.begun.filter(|_| self.is_busy())) {
            (Some(Trouble { since, why }), _) if letter => {
                format!("dead letter not acknowledged for {}s: {why}", seconds(*since))
            }
            (Some(Trouble { since, why }), _) => {
                format!("retrying for {}s because of {why}", seconds(*since))
            }
            (None, Some(begun)) if letter => {
                format!("dead letter in flight for {}s", seconds(begun))
            }
            (None, Some(begun)) => format!("in flight for {}s", seconds(begun)),
            (None, None) if self.pending() > 0 => "filling".to_owned(),
            (None, None) => "idle".to_owned(),
        }
    }

    /// Records held, in whatever state.
    pub(super) fn pending(&self) -> usize {
        let held = self.work.iter().chain(&self.ready).map(|work| work.batch.entries());
        held.map(record_count).sum::<usize>() + self.filling.entries().len()
    }

    fn closes_at(&self) -> Option<Instant> {
        self.filling.opened().map(|opened| opened + self.limits.age_max)
    }

    fn close_filling(&mut self) {
        if self.filling.is_empty() {
            return;
        }
        let next = self.spare.take().map(OpenBatch::in_buffer).unwrap_or_default();
        let full = std::mem::replace(&mut self.filling, next);
        self.ready.push_back(Work { batch: full.close(), verdict: None });
    }

    /// Replaces the batch under way by smaller ones: its halves or, for a record alone, its traces,
    /// which are halved in their turn. False when there is nothing smaller.
    fn take_apart(&mut self, now: Instant) -> bool {
        let Some(Work { batch, .. }) = self.work.front() else { return false };
        let (left, right) = match batch.entries() {
            [_, _, ..] => batch.halve(now),
            _ => match by_trace(batch, now) {
                Some(traces) => traces.halve(now),
                None => return false,
            },
        };
        self.work.pop_front();
        self.work.push_front(Work { batch: right, verdict: None });
        self.work.push_front(Work { batch: left, verdict: None });
        self.acquit();
        self.step = Step::Idle;
        true
    }

    /// What was held against the first part is not held against the next.
    fn acquit(&mut self) {
        self.suspicions = 0;
        self.crashes = 0;
        self.trouble = None;
    }
}
