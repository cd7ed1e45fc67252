//! The loop of a `forward-N` thread: consume, send, settle, commit.
//!
//! Owns one consumer, its window of lanes, and its way to the backend. Blocks on the consumer's
//! poll or, with a full window, on the backend's answers; never for longer than a heartbeat may be
//! late. Never decodes a record.
//!
//! 1. Each turn takes in answers, starts what is due, commits once a second, consumes, and serves
//!    the group's events.
//! 2. Revoke: wait for calls in flight, commit, forget the partitions, and only then give them
//!    back. A session already lost skips the wait and the commit.
//! 3. Stop: no more polls; wait for calls in flight, commit, leave the group. What was consumed and
//!    not sent goes back to the group.

use std::{
    collections::BTreeMap,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::{
    backend::{Answer, BackendHandle},
    batch::Entry,
    lane::Action,
    outcome::{Outcome, Refusal},
    report::Report,
    stall::{Intake, Stall},
    watchdog::Watchdog,
    window::{Arrival, Window},
};
use crate::{
    config::ForwardConfig,
    health::Heartbeat,
    kafka::{
        Burial, ConsumerError, DeadLetter, DeadLetters, Extent, GroupConsumer, GroupEvent,
        NextOffset, PartitionId, Polled,
    },
    limits,
};

/// Why a forward thread ended by itself.
#[derive(Debug, thiserror::Error)]
pub enum ForwardError {
    /// The group took this member's place; typically two processes have one instance name.
    #[error("stay in the consumer group: {0}")]
    Expelled(String),
}

/// What a forward thread runs.
pub struct ForwardLoop {
    consumer: GroupConsumer,
    window: Window,
    stall: Stall,
    watchdog: Watchdog,
    backend: BackendHandle,
    answers: (Sender<Answer>, Receiver<Answer>),
    dead_letters: Arc<DeadLetters>,
    burials: (Sender<Burial>, Receiver<Burial>),
    report: Report,
    heartbeat: Heartbeat,
    /// No call lasts longer, and so no wait for calls.
    call_wait: Duration,
    commit_due: Instant,
    dead_letter_check_due: Instant,
    ends_due: Instant,
    /// Where the brokers last said that partitions end.
    ends: BTreeMap<PartitionId, NextOffset>,
    steady_at: Instant,
}

impl ForwardLoop {
    pub(super) fn new(
        config: &ForwardConfig,
        window: Window,
        consumer: GroupConsumer,
        backend: BackendHandle,
        dead_letters: Arc<DeadLetters>,
        report: Report,
        heartbeat: Heartbeat,
    ) -> Self {
        let now = Instant::now();
        let lanes = config.requests_in_flight.max(1);
        Self {
            consumer,
            window,
            stall: Stall::new(limits::FORWARD_STALL_MAX),
            watchdog: Watchdog::new(limits::FORWARD_SILENCE_MAX),
            backend,
            answers: bounded(lanes),
            dead_letters,
            burials: bounded(lanes),
            report,
            heartbeat,
            call_wait: config.request_timeout.max(limits::MESSAGE_TIMEOUT),
            commit_due: now,
            dead_letter_check_due: now,
            ends_due: now,
            ends: BTreeMap::new(),
            steady_at: now,
        }
    }

    /// Forwards until `stop` is set, then finishes what is in flight and leaves the group.
    ///
    /// # Errors
    /// [`ForwardError`]: the thread is of no more use.
    pub fn run(mut self, stop: &AtomicBool) -> Result<(), ForwardError> {
        let mut ended = Ok(());
        while ended.is_ok() && !stop.load(Ordering::Relaxed) {
            ended = self.turn();
        }
        self.finish();
        ended
    }

    fn turn(&mut self) -> Result<(), ForwardError> {
        self.heartbeat.beat();
        let now = Instant::now();
        self.collect(now);
        self.start_due(now);
        self.tick(now);
        self.take_in(now);
        self.serve_events()
    }

    /// Takes the answers of the backend and of the dead-letter topic in.
    fn collect(&mut self, now: Instant) {
        while let Ok(answer) = self.answers.1.try_recv() {
            self.answered(answer, now);
        }
        self.dead_letters.poll();
        while let Ok(burial) = self.burials.1.try_recv() {
            self.buried(burial, now);
        }
    }

    /// Starts what the lanes want done.
    fn start_due(&mut self, now: Instant) {
        while let Some((lane, action)) = self.window.next(now) {
            match action {
                Action::Call { message, is_trial } => {
                    let answers = &self.answers.0;
                    if let Err(refusal) = self.backend.call(lane, message, is_trial, answers) {
                        self.refused(lane, &refusal, now);
                    }
                }
                Action::Bury => self.bury(lane, now),
                Action::Settle => self.settle(lane, now),
            }
        }
    }

    fn answered(&mut self, answer: Answer, now: Instant) {
        self.report.answered(&answer.outcome, answer.elapsed, now);
        match answer.outcome {
            Outcome::Accepted { .. } => self.settle(answer.lane, now),
            Outcome::Refused(refusal) => self.refused(answer.lane, &refusal, now),
        }
    }

    fn refused(&mut self, lane: usize, refusal: &Refusal, now: Instant) {
        let (reaction, returned) = self.window.refused(lane, refusal, now);
        self.report.refused(lane, refusal, reaction, self.window.is_storm(), now);
        self.report.returned(returned);
    }

    fn settle(&mut self, lane: usize, now: Instant) {
        let report = &mut self.report;
        self.window.settle(lane, |batch, verdict| report.settled(batch, verdict, now));
    }

    fn bury(&mut self, lane: usize, now: Instant) {
        let Some((batch, Some(verdict))) = self.window.front(lane) else { return };
        let letter = DeadLetter {
            record: batch.record(0),
            trace: batch.entries().first().and_then(Entry::trace),
            reason: verdict.reason.label(),
            detail: &verdict.detail,
        };
        let published = self.dead_letters.publish(&letter, lane, &self.burials.0);
        if let Err(error) = published {
            self.buried(Burial { lane, result: Err(describe(&error)) }, now);
        }
    }

    fn buried(&mut self, burial: Burial, now: Instant) {
        match burial.result {
            Ok(()) => {
                self.report.buried(now);
                self.settle(burial.lane, now);
            }
            Err(error) => {
                let (wait, returned) = self.window.burial_failed(burial.lane, &error, now);
                self.report.burial_failed(&error, wait, now);
                self.report.returned(returned);
            }
        }
    }

    /// What is done by the clock.
    fn tick(&mut self, now: Instant) {
        if now < self.commit_due {
            return;
        }
        self.commit_due = now + limits::FORWARD_COMMIT_INTERVAL;
        let next = self.window.take_uncommitted();
        if !next.is_empty()
            && let Err(error) = self.consumer.commit_later(&next)
        {
            self.commit_failed(&describe(&error), now);
        }
        self.report.loads(self.window.working(), self.stall.is_paused());
        self.report.lanes(!self.window.is_in_trouble(), &self.window.describe(now));
        let silence = now.saturating_duration_since(self.steady_at);
        if silence > limits::GROUP_SILENCE_MAX {
            self.report.unsteady(silence);
        }
        if now >= self.dead_letter_check_due && !self.report.dead_letter_topic_holds() {
            self.dead_letter_check_due = now + limits::DEAD_LETTER_CHECK_INTERVAL;
            let found = self.dead_letters.check(limits::DEAD_LETTER_CHECK_WAIT);
            self.report.dead_letter_topic(found.map_err(|error| describe(&error)));
        }
    }

    /// Consumes, unless the window is full.
    fn take_in(&mut self, now: Instant) {
        let wait = self.wait(now);
        match self.stall.intake(self.window.has_room(), now) {
            Intake::Open => self.consume(wait),
            Intake::Resume => {
                self.ask(now, GroupConsumer::resume);
                self.watchdog.forgive();
            }
            Intake::Closed => self.await_answer(wait),
            Intake::Pause => self.ask(now, GroupConsumer::pause),
            Intake::Paused => {
                self.take_record(Duration::ZERO, &mut None);
                self.await_answer(wait);
            }
        }
    }

    fn consume(&mut self, wait: Duration) {
        let (mut wait, mut arrived) = (wait, None);
        for _ in 0..limits::FORWARD_TURN_RECORDS_MAX {
            let polled = self.take_record(wait, &mut arrived);
            if polled == Polled::Nothing || !self.window.has_room() {
                break;
            }
            wait = Duration::ZERO;
        }
    }

    /// Polls for one record. The clock is read once for all records that follow each other.
    fn take_record(&mut self, wait: Duration, arrived: &mut Option<Instant>) -> Polled {
        let (window, report) = (&mut self.window, &mut self.report);
        self.consumer.poll(wait, |record| {
            let now = *arrived.get_or_insert_with(Instant::now);
            if window.accept(&record, now) == Arrival::Taken {
                report.consumed(&record);
            }
        })
    }

    fn await_answer(&mut self, wait: Duration) {
        if let Ok(answer) = self.answers.1.recv_timeout(wait) {
            self.answered(answer, Instant::now());
        }
    }

    /// Until a lane has something to do by itself; shorter while calls are in flight, because
    /// nothing wakes a poll.
    fn wait(&self, now: Instant) -> Duration {
        let in_flight = self.window.busy() > 0;
        let longest = if in_flight { limits::FORWARD_CALL_WAIT } else { limits::FORWARD_IDLE_WAIT };
        let due = self.window.due().map(|due| due.saturating_duration_since(now));
        due.unwrap_or(longest).clamp(Duration::from_millis(1), longest)
    }

    fn serve_events(&mut self) -> Result<(), ForwardError> {
        for event in self.consumer.take_events() {
            let now = Instant::now();
            match event {
                GroupEvent::Assigned(partitions) => self.assign(&partitions, now),
                GroupEvent::Revoked { partitions, lost } => self.revoke(&partitions, lost),
                GroupEvent::Steady => {
                    self.steady_at = now;
                    self.report.steady(self.window.offsets().partitions().len(), now);
                }
                GroupEvent::Extents(extents) => self.measure(extents, now),
                GroupEvent::CommitFailed(error) => self.commit_failed(&error, now),
                GroupEvent::OffsetReset(what) => self.report.offset_reset(&what, now),
                GroupEvent::Replayed(partition) => self.report.replayed(partition),
                GroupEvent::KeptOut => self.report.kept_out(now),
                GroupEvent::Trouble(error) => self.report.trouble(&error, now),
                GroupEvent::Fatal(error) => return Err(ForwardError::Expelled(error)),
            }
        }
        Ok(())
    }

    fn assign(&mut self, partitions: &[PartitionId], now: Instant) {
        self.window.assign(partitions);
        // What was sent under the old generation may have been refused: see `commit_now`.
        self.window.commit_failed();
        self.ask(now, |consumer| consumer.assign(partitions));
        if self.stall.is_paused() {
            self.ask(now, GroupConsumer::pause);
        }
        self.watchdog.forgive();
        self.report.rebalanced(&[], &self.window.offsets().partitions());
    }

    fn revoke(&mut self, partitions: &[PartitionId], lost: bool) {
        if !lost {
            self.await_calls(limits::FORWARD_REVOKE_WAIT);
            self.commit_now();
        }
        let now = Instant::now();
        let returned = self.window.revoke(partitions, now);
        self.report.returned(returned);
        self.ask(now, |consumer| consumer.revoke(partitions));
        self.watchdog.forgive();
        self.report.rebalanced(partitions, &self.window.offsets().partitions());
    }

    fn measure(&mut self, mut extents: Vec<Extent>, now: Instant) {
        self.ask_for_ends(now);
        for extent in &mut extents {
            let asked = self.ends.get(&extent.partition).copied();
            extent.end = extent.end.max(asked.unwrap_or(extent.end));
        }
        let missed = self.window.offer_missed(&extents, now);
        if missed > 0 {
            let why = format!("the group does not have those of {missed} partitions");
            self.report.commit_failed(&why, now);
        }
        self.report.lag(&extents, self.window.offsets());
        if self.stall.is_paused() || !self.window.has_room() {
            self.watchdog.forgive();
            return;
        }
        for (partition, next) in self.watchdog.silent(&extents, self.window.offsets(), now) {
            self.report.sought(partition, next);
            self.ask(now, |consumer| consumer.seek(partition, next, limits::ADMIN_TIMEOUT));
            // What a race has left paused stays so through a seek.
            self.ask(now, GroupConsumer::resume);
        }
    }

    /// Lag grows, and a lost fetcher is found, also where nothing is fetched. While no broker
    /// answers, what was known before holds.
    fn ask_for_ends(&mut self, now: Instant) {
        let partitions = self.window.offsets().partitions();
        if now < self.ends_due || partitions.is_empty() {
            return;
        }
        self.ends_due = now + limits::FORWARD_ENDS_INTERVAL;
        match self.consumer.ends(&partitions, limits::FORWARD_ENDS_WAIT) {
            Ok(ends) => self.ends = ends.into_iter().collect(),
            Err(error) => self.report.trouble(&describe(&error), now),
        }
    }

    /// Starts nothing new, and waits for what is in flight.
    fn await_calls(&mut self, longest: Duration) {
        let deadline = Instant::now() + longest;
        while self.window.busy() > 0 && Instant::now() < deadline {
            self.heartbeat.beat();
            self.await_answer(limits::FORWARD_CALL_WAIT);
            self.collect(Instant::now());
        }
    }

    /// Commits everything acknowledged, also what was sent before: of an asynchronous commit that
    /// the coordinator refused, as it does while the group rebalances, librdkafka does not tell.
    fn commit_now(&mut self) {
        self.window.commit_failed();
        let next = self.window.take_uncommitted();
        if !next.is_empty()
            && let Err(error) = self.consumer.commit_now(&next)
        {
            self.commit_failed(&describe(&error), Instant::now());
        }
    }

    fn commit_failed(&mut self, error: &str, now: Instant) {
        self.window.commit_failed();
        self.report.commit_failed(error, now);
    }

    fn ask(
        &mut self,
        now: Instant,
        question: impl FnOnce(&GroupConsumer) -> Result<(), ConsumerError>,
    ) {
        if let Err(error) = question(&self.consumer) {
            self.report.trouble(&describe(&error), now);
        }
    }

    fn finish(mut self) {
        self.await_calls(self.call_wait);
        self.commit_now();
        self.report.returned(self.window.pending());
        self.report.loads(0, false);
        self.heartbeat.retire();
    }
}

/// An error with its causes, in one line.
fn describe(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}

#[cfg(test)]
mod tests;
