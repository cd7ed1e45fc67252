//! Everything consumed and not yet committed: lanes, offsets, and the guard against storms.
//!
//! Pure; owned by one forward thread, which does what [`Window::next`] says and reports back. Holds
//! the promise of the whole half: a partition's position moves past a record only after the
//! backend's OK or the dead letter's acknowledgement, in the order of the partition.

use std::time::{Duration, Instant};

use super::{
    batch::{Batch, Entry},
    lane::{Action, BatchLimits, Lane, Reaction, Reason, Verdict},
    offsets::Offsets,
    outcome::Refusal,
    retry::Backoff,
};
use crate::{
    config::ForwardConfig,
    kafka::{Extent, NextOffset, PartitionId, Record},
    limits, otlp,
};

/// What became of a record at its arrival.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Arrival {
    /// A lane holds it.
    Taken,
    /// Its partition is not ours any more: whoever owns it gets it.
    Stale,
}

/// Lanes and offsets of one consumer.
pub(super) struct Window {
    lanes: Vec<Lane>,
    offsets: Offsets,
    /// Dead letters by the backend's word since it last accepted anything.
    letters_in_a_row: u32,
}

impl Window {
    /// As many lanes as requests may be in flight; `seed` tells this window's retries from others'.
    pub(super) fn new(config: &ForwardConfig, seed: u64) -> Self {
        let batch_limits =
            BatchLimits { bytes_max: config.batch_bytes_max, age_max: config.batch_age_max };
        let lane = |index: usize| {
            // An odd multiplier spreads neighbouring seeds over all bits.
            let seed = (seed + index as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            let backoff = Backoff::new(config.retry_backoff_min, config.retry_backoff_max, seed);
            Lane::new(batch_limits, backoff)
        };
        let lanes = (0..config.requests_in_flight.max(1)).map(lane).collect();
        Self { lanes, offsets: Offsets::default(), letters_in_a_row: 0 }
    }

    /// False when a lane is full: then nothing should be consumed, since nobody knows for which
    /// lane the next record is.
    pub(super) fn has_room(&self) -> bool {
        self.lanes.iter().all(Lane::has_room)
    }

    /// Takes a record into the lane of its partition.
    pub(super) fn accept(&mut self, record: &Record<'_>, now: Instant) -> Arrival {
        let Some(generation) = self.offsets.receive(record.partition, record.offset) else {
            return Arrival::Stale;
        };
        let index = record.partition.0.unsigned_abs() as usize % self.lanes.len();
        let lane = &mut self.lanes[index];
        match record.value.map_or(Ok(()), otlp::walk) {
            Ok(()) => lane.append(record, generation, now),
            Err(error) => {
                let verdict = Verdict { reason: Reason::Misframed, detail: error.to_string() };
                lane.append_dead(record, generation, verdict, now);
            }
        }
        Arrival::Taken
    }

    /// The next thing to do at `now`, and for which lane.
    pub(super) fn next(&mut self, now: Instant) -> Option<(usize, Action)> {
        let mut lanes = self.lanes.iter_mut().enumerate();
        lanes.find_map(|(index, lane)| Some((index, lane.next(now)?)))
    }

    /// The batch that `lane` has under way and, for a dead letter, why.
    pub(super) fn front(&self, lane: usize) -> Option<(&Batch, Option<&Verdict>)> {
        self.lanes[lane].front()
    }

    /// The batch under way in `lane` is done with: its offsets may be committed. `count` sees it
    /// before its memory is used again.
    pub(super) fn settle(&mut self, lane: usize, count: impl FnOnce(&Batch, Option<&Verdict>)) {
        let Some((batch, verdict)) = self.lanes[lane].settle() else { return };
        for entry in batch.entries().iter().filter(|entry| entry.ends_record()) {
            self.offsets.acknowledge(entry.partition, entry.generation, entry.offset);
        }
        match verdict.as_ref().map(|verdict| verdict.reason) {
            Some(Reason::Refused | Reason::TooLarge | Reason::BackendCrash) => {
                self.letters_in_a_row = self.letters_in_a_row.saturating_add(1);
            }
            None if batch.payload_bytes() > 0 => self.letters_in_a_row = 0,
            // The backend had no say.
            Some(Reason::Misframed) | None => {}
        }
        count(&batch, verdict.as_ref());
        self.lanes[lane].recycle(batch);
    }

    /// The backend refused what `lane` has under way.
    pub(super) fn refused(
        &mut self,
        lane: usize,
        refusal: &Refusal,
        now: Instant,
    ) -> (Reaction, usize) {
        let storm = self.is_storm();
        let reaction = self.lanes[lane].refused(refusal, storm, now);
        (reaction, self.drop_stale(lane, now))
    }

    /// The dead letter that `lane` has under way was not acknowledged.
    pub(super) fn burial_failed(
        &mut self,
        lane: usize,
        error: &str,
        now: Instant,
    ) -> (Duration, usize) {
        let wait = self.lanes[lane].retry(None, error.to_owned(), now);
        (wait, self.drop_stale(lane, now))
    }

    /// True when so many letters in a row say that the backend is at fault, not the data.
    pub(super) fn is_storm(&self) -> bool {
        self.letters_in_a_row >= limits::FORWARD_STORM_LETTERS
    }

    /// The group gives these partitions to this consumer.
    pub(super) fn assign(&mut self, partitions: &[PartitionId]) {
        partitions.iter().for_each(|partition| self.offsets.assign(*partition));
    }

    /// The group takes these back; returns how many records are given back unforwarded. Call it
    /// after the last commit for them.
    pub(super) fn revoke(&mut self, partitions: &[PartitionId], now: Instant) -> usize {
        partitions.iter().for_each(|partition| self.offsets.revoke(*partition));
        (0..self.lanes.len()).map(|lane| self.drop_stale(lane, now)).sum()
    }

    /// What may be committed now; see [`Offsets::take_uncommitted`].
    pub(super) fn take_uncommitted(&mut self) -> Vec<(PartitionId, NextOffset)> {
        self.offsets.take_uncommitted()
    }

    /// Looks for refused commits in what the group has; see [`Offsets::offer_missed`].
    pub(super) fn offer_missed(&mut self, extents: &[Extent], now: Instant) -> usize {
        self.offsets.offer_missed(extents, limits::FORWARD_COMMIT_PATIENCE, now)
    }

    /// A commit failed: everything acknowledged is offered again.
    pub(super) fn commit_failed(&mut self) {
        self.offsets.commit_failed();
    }

    /// Positions of the partitions held.
    pub(super) fn offsets(&self) -> &Offsets {
        &self.offsets
    }

    /// The next time that a lane has something to do by itself.
    pub(super) fn due(&self) -> Option<Instant> {
        self.lanes.iter().filter_map(Lane::due).min()
    }

    /// Lanes with a call or dead letter under way.
    pub(super) fn busy(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.is_busy()).count()
    }

    /// Lanes with a batch under way, be it waiting to be tried again.
    pub(super) fn working(&self) -> usize {
        self.lanes.iter().filter(|lane| lane.has_work()).count()
    }

    /// What each lane waits for, in words.
    pub(super) fn describe(&self, now: Instant) -> String {
        let lanes = self.lanes.iter().enumerate();
        let words = lanes.map(|(index, lane)| format!("lane {index} {}", lane.describe(now)));
        words.collect::<Vec<_>>().join("; ")
    }

    /// True while a lane does not get its records through.
    pub(super) fn is_in_trouble(&self) -> bool {
        self.lanes.iter().any(Lane::is_in_trouble)
    }

    /// Records held.
    pub(super) fn pending(&self) -> usize {
        self.lanes.iter().map(Lane::pending).sum()
    }

    fn drop_stale(&mut self, lane: usize, now: Instant) -> usize {
        let offsets = &self.offsets;
        let current = |entry: &Entry| offsets.is_current(entry.partition, entry.generation);
        self.lanes[lane].drop_stale(now, current)
    }
}

#[cfg(test)]
mod tests;
