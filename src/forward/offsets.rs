//! What may be committed, per partition.
//!
//! Pure; owned by one forward thread. A lane takes the records of its partitions one batch after
//! the other, so the last one acknowledged is the end of the acknowledged prefix and no set of
//! offsets is kept. Invariant: nothing is offered for commit that was not acknowledged under the
//! partition's present generation.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::batch::Generation;
use crate::kafka::{Extent, NextOffset, PartitionId};

/// The positions of the partitions that this consumer holds.
#[derive(Debug, Default)]
pub(super) struct Offsets {
    positions: BTreeMap<PartitionId, Position>,
    last_generation: Generation,
}

#[derive(Debug)]
struct Position {
    generation: Generation,
    /// After the last record received: where fetching goes on.
    received: Option<NextOffset>,
    /// After the last record acknowledged by the backend or the dead-letter topic.
    acknowledged: Option<NextOffset>,
    /// What was last handed to a commit.
    committed: Option<NextOffset>,
    /// Since when the group is seen not to have that.
    missed_since: Option<Instant>,
}

impl Offsets {
    /// The group gave us `partition`: a new generation of it begins.
    pub(super) fn assign(&mut self, partition: PartitionId) {
        self.last_generation = Generation(self.last_generation.0 + 1);
        let generation = self.last_generation;
        let position = Position {
            generation,
            received: None,
            acknowledged: None,
            committed: None,
            missed_since: None,
        };
        self.positions.insert(partition, position);
    }

    /// The group took `partition`: what is still under way for it is stale.
    pub(super) fn revoke(&mut self, partition: PartitionId) {
        self.positions.remove(&partition);
    }

    /// Notes a record's arrival; `None` when the partition is not ours (any more).
    pub(super) fn receive(&mut self, partition: PartitionId, offset: i64) -> Option<Generation> {
        let position = self.positions.get_mut(&partition)?;
        position.received = Some(NextOffset(offset + 1));
        Some(position.generation)
    }

    /// Notes that all up to and including `offset` is done with; stale generations are ignored.
    pub(super) fn acknowledge(
        &mut self,
        partition: PartitionId,
        generation: Generation,
        offset: i64,
    ) {
        if let Some(position) = self.positions.get_mut(&partition)
            && position.generation == generation
        {
            position.acknowledged = Some(NextOffset(offset + 1));
        }
    }

    /// True while records of this generation may be acknowledged.
    pub(super) fn is_current(&self, partition: PartitionId, generation: Generation) -> bool {
        self.positions.get(&partition).is_some_and(|position| position.generation == generation)
    }

    /// What was acknowledged since the last call; taken as committed until a failure is reported.
    pub(super) fn take_uncommitted(&mut self) -> Vec<(PartitionId, NextOffset)> {
        let mut next = Vec::new();
        for (partition, position) in &mut self.positions {
            if let Some(acknowledged) = position.acknowledged
                && position.committed != Some(acknowledged)
            {
                position.committed = Some(acknowledged);
                position.missed_since = None;
                next.push((*partition, acknowledged));
            }
        }
        next
    }

    /// Offers again what was handed to a commit and is missing from what the group has for longer
    /// than `patience`; returns in how many partitions.
    pub(super) fn offer_missed(
        &mut self,
        extents: &[Extent],
        patience: Duration,
        now: Instant,
    ) -> usize {
        let mut missed = 0;
        for Extent { partition, committed, .. } in extents {
            let Some(position) = self.positions.get_mut(partition) else { continue };
            if position.committed.is_none() || position.committed == *committed {
                position.missed_since = None;
                continue;
            }
            let since = *position.missed_since.get_or_insert(now);
            if now.saturating_duration_since(since) >= patience {
                position.committed = None;
                missed += 1;
            }
        }
        missed
    }

    /// A commit failed: everything acknowledged is offered again.
    pub(super) fn commit_failed(&mut self) {
        for position in self.positions.values_mut() {
            position.committed = None;
        }
    }

    /// Where fetching goes on: `start` while nothing was received; `None` when the partition is not
    /// ours.
    pub(super) fn received(&self, partition: PartitionId, start: NextOffset) -> Option<NextOffset> {
        self.positions.get(&partition).map(|position| position.received.unwrap_or(start))
    }

    /// The end of the acknowledged prefix: `start` while nothing was acknowledged; `None` when the
    /// partition is not ours.
    pub(super) fn acknowledged(
        &self,
        partition: PartitionId,
        start: NextOffset,
    ) -> Option<NextOffset> {
        self.positions.get(&partition).map(|position| position.acknowledged.unwrap_or(start))
    }

    /// The partitions that this consumer holds.
    pub(super) fn partitions(&self) -> Vec<PartitionId> {
        self.positions.keys().copied().collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::{
        collection::vec,
        prelude::{Just, Strategy, any},
        prop_assert, prop_assert_eq, prop_oneof, proptest,
        sample::Index,
    };

    use super::*;

    const P: PartitionId = PartitionId(3);

    /// Gaps are normal, each prefix is offered once, and again after a failed commit.
    #[test]
    fn prefix_is_offered_once() {
        let mut offsets = Offsets::default();
        offsets.assign(P);
        let generation = offsets.receive(P, 10).expect("assigned");
        assert_eq!(offsets.receive(P, 14), Some(generation));
        assert_eq!(offsets.take_uncommitted(), []);
        offsets.acknowledge(P, generation, 10);
        assert_eq!(offsets.take_uncommitted(), [(P, NextOffset(11))]);
        assert_eq!(offsets.take_uncommitted(), []);
        offsets.acknowledge(P, generation, 14);
        offsets.commit_failed();
        assert_eq!(offsets.take_uncommitted(), [(P, NextOffset(15))]);
        assert_eq!(offsets.received(P, NextOffset(0)), Some(NextOffset(15)));
    }

    /// An acknowledgement of a generation gone by moves nothing, even when the partition is back.
    #[test]
    fn stale_acknowledgement_is_ignored() {
        let mut offsets = Offsets::default();
        offsets.assign(P);
        let stale = offsets.receive(P, 10).expect("assigned");
        offsets.revoke(P);
        assert_eq!(offsets.receive(P, 11), None);
        offsets.acknowledge(P, stale, 10);
        offsets.assign(P);
        offsets.acknowledge(P, stale, 10);
        assert!(!offsets.is_current(P, stale));
        assert_eq!(offsets.take_uncommitted(), []);
    }

    /// What the group does not have is offered again, once the patience for a commit under way is
    /// over; what it has is not.
    #[test]
    fn missed_commit_is_offered_again() {
        const PATIENCE: Duration = Duration::from_secs(3);
        let mut offsets = Offsets::default();
        offsets.assign(P);
        let generation = offsets.receive(P, 10).expect("assigned");
        offsets.acknowledge(P, generation, 10);
        let (start, end) = (NextOffset(0), NextOffset(99));
        let seen = |committed| [Extent { partition: P, committed, start, end }];
        let begun = Instant::now();
        let offer = |offsets: &mut Offsets, committed, seconds| {
            let now = begun + Duration::from_secs(seconds);
            offsets.offer_missed(&seen(committed), PATIENCE, now)
        };
        assert_eq!(offer(&mut offsets, None, 0), 0, "nothing was handed to a commit");
        assert_eq!(offsets.take_uncommitted().len(), 1);
        assert_eq!(offer(&mut offsets, None, 10), 0);
        assert_eq!(offer(&mut offsets, Some(NextOffset(11)), 12), 0);
        assert_eq!(offer(&mut offsets, Some(NextOffset(7)), 20), 0, "the patience begins anew");
        assert_eq!(offer(&mut offsets, Some(NextOffset(7)), 23), 1);
        assert_eq!(offsets.take_uncommitted(), [(P, NextOffset(11))]);
        assert_eq!(offer(&mut offsets, Some(NextOffset(7)), 24), 0, "it is under way again");
    }

    /// A topic made anew starts at zero: positions may go back.
    #[test]
    fn recreated_topic_goes_back() {
        let mut offsets = Offsets::default();
        offsets.assign(P);
        for offset in [1000, 0] {
            let generation = offsets.receive(P, offset).expect("assigned");
            offsets.acknowledge(P, generation, offset);
        }
        assert_eq!(offsets.take_uncommitted(), [(P, NextOffset(1))]);
    }

    /// Partitions of the property.
    const COUNT: usize = 3;

    /// What happens, and to which partition.
    #[derive(Clone, Debug)]
    enum Step {
        Assign(usize),
        Revoke(usize),
        Receive(usize),
        /// A record under way is done with: the oldest of the partition and generation of this one.
        Acknowledge(Index),
        Commit,
        CommitFailed,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => (0..COUNT).prop_map(Step::Assign),
            1 => (0..COUNT).prop_map(Step::Revoke),
            8 => (0..COUNT).prop_map(Step::Receive),
            8 => any::<Index>().prop_map(Step::Acknowledge),
            3 => Just(Step::Commit),
            1 => Just(Step::CommitFailed),
        ]
    }

    /// One partition in plain words.
    #[derive(Clone, Copy, Default)]
    struct Plain {
        held: bool,
        next: i64,
        done: Option<NextOffset>,
        offered: Option<NextOffset>,
    }

    /// A record under way.
    #[derive(Clone, Copy)]
    struct Sent {
        partition: usize,
        generation: Generation,
        offset: i64,
        stale: bool,
    }

    fn id(partition: usize) -> PartitionId {
        PartitionId(partition as i32)
    }

    proptest! {
        /// Against a plain list of records, which are done with in any order but the one within a
        /// partition: what is offered for commit is always the end of the prefix done with under
        /// the present generation, and never a record that is under way.
        #[test]
        fn committed_is_the_acknowledged_prefix(steps in vec(step(), 0..160)) {
            let mut offsets = Offsets::default();
            let mut plain = [Plain::default(); COUNT];
            // Oldest first, stale ones too.
            let mut under_way: Vec<Sent> = Vec::new();
            for step in steps {
                match step {
                    Step::Assign(it) | Step::Revoke(it) => {
                        let held = matches!(step, Step::Assign(_));
                        if held { offsets.assign(id(it)) } else { offsets.revoke(id(it)) }
                        let gone = under_way.iter_mut().filter(|sent| sent.partition == it);
                        gone.for_each(|sent| sent.stale = true);
                        plain[it] = Plain { held, next: plain[it].next, ..Plain::default() };
                    }
                    Step::Receive(partition) => {
                        let Plain { held, next: offset, .. } = plain[partition];
                        let generation = offsets.receive(id(partition), offset);
                        prop_assert_eq!(generation.is_some(), held);
                        under_way.extend(generation.map(|generation| {
                            Sent { partition, generation, offset, stale: false }
                        }));
                        plain[partition].next += 1;
                    }
                    Step::Acknowledge(index) if !under_way.is_empty() => {
                        let Sent { partition, generation, .. } = *index.get(&under_way);
                        let alike =
                            |it: &Sent| (it.partition, it.generation) == (partition, generation);
                        let oldest = under_way.iter().position(alike).expect("itself");
                        let Sent { offset, stale, .. } = under_way.remove(oldest);
                        offsets.acknowledge(id(partition), generation, offset);
                        if !stale {
                            plain[partition].done = Some(NextOffset(offset + 1));
                        }
                    }
                    Step::Acknowledge(_) => {}
                    Step::Commit => {
                        let mut due = Vec::new();
                        for (partition, plain) in plain.iter_mut().enumerate() {
                            let end = plain.done.filter(|_| plain.done != plain.offered);
                            plain.offered = plain.done;
                            due.extend(end.map(|end| (id(partition), end)));
                        }
                        prop_assert_eq!(offsets.take_uncommitted(), due);
                    }
                    Step::CommitFailed => {
                        offsets.commit_failed();
                        plain.iter_mut().for_each(|plain| plain.offered = None);
                    }
                }
                for Sent { partition, offset, .. } in under_way.iter().filter(|it| !it.stale) {
                    let end = offsets.acknowledged(id(*partition), NextOffset(0));
                    prop_assert!(end.is_some_and(|end| end.0 <= *offset), "{offset} is under way");
                }
            }
        }
    }
}
