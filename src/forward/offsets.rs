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
    use std::collections::VecDeque;

    use proptest::{
        collection::vec,
        prelude::{Just, Strategy},
        prop_assert, prop_assert_eq, prop_oneof, proptest,
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
    /// What happens to one partition.
    #[derive(Clone, Debug)]
    enum Step {
        Assign,
        Revoke,
        Receive,
        /// The oldest record under way is done with.
        Acknowledge,
        Commit,
        CommitFailed,
    }

    fn step() -> impl Strategy<Value = Step> {
        prop_oneof![
            1 => Just(Step::Assign),
            1 => Just(Step::Revoke),
            6 => Just(Step::Receive),
            6 => Just(Step::Acknowledge),
            3 => Just(Step::Commit),
            1 => Just(Step::CommitFailed),
        ]
    }

    proptest! {
        /// Against a plain list of records: what is offered for commit is always the end of the
        /// prefix done with under the present generation, and never a record that is under way.
        #[test]
        fn committed_is_the_acknowledged_prefix(steps in vec(step(), 0..80)) {
            let mut offsets = Offsets::default();
            let (mut held, mut next, mut done, mut offered) = (false, 0, None, None);
            // Every record under way, stale ones too, oldest first: (generation, offset, is stale).
            let mut under_way: VecDeque<(Generation, i64, bool)> = VecDeque::new();
            for step in steps {
                match step {
                    Step::Assign | Step::Revoke => {
                        held = matches!(step, Step::Assign);
                        if held { offsets.assign(P) } else { offsets.revoke(P) }
                        under_way.iter_mut().for_each(|record| record.2 = true);
                        (done, offered) = (None, None);
                    }
                    Step::Receive => {
                        let generation = offsets.receive(P, next);
                        prop_assert_eq!(generation.is_some(), held);
                        under_way.extend(generation.map(|it| (it, next, false)));
                        next += 1;
                    }
                    Step::Acknowledge => {
                        if let Some((generation, offset, stale)) = under_way.pop_front() {
                            offsets.acknowledge(P, generation, offset);
                            done = if stale { done } else { Some(NextOffset(offset + 1)) };
                        }
                    }
                    Step::Commit => {
                        let due = done.filter(|_| done != offered);
                        offered = due.or(offered);
                        let due: Vec<_> = due.map(|it| (P, it)).into_iter().collect();
                        prop_assert_eq!(offsets.take_uncommitted(), due);
                    }
                    Step::CommitFailed => {
                        offsets.commit_failed();
                        offered = None;
                    }
                }
                let first = under_way.iter().find(|record| !record.2).map(|record| record.1);
                let end = offsets.acknowledged(P, NextOffset(0)).map_or(0, |end| end.0);
                prop_assert!(first.is_none_or(|first| end <= first), "{first:?} is under way");
            }
        }
    }
}
