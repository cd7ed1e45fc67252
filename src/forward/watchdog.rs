//! Finds partitions that have more records and yet hand none over.
//!
//! Pure; owned by a forward thread. A consumer can lose a partition's fetcher in races of pausing
//! and rebalancing; nothing but a restart would bring it back, and the lag would grow unseen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::offsets::Offsets;
use crate::kafka::{Extent, NextOffset, PartitionId};

/// What is known of the partitions' ends, and since when each position stands still.
#[derive(Debug)]
pub(super) struct Watchdog {
    silence_max: Duration,
    seen: BTreeMap<PartitionId, Seen>,
}

#[derive(Debug)]
struct Seen {
    received: NextOffset,
    since: Instant,
}

impl Watchdog {
    /// Nothing seen yet.
    pub(super) fn new(silence_max: Duration) -> Self {
        Self { silence_max, seen: BTreeMap::new() }
    }

    /// Compares positions with `extents`; returns the partitions to fetch anew, and from where.
    /// Not to be asked while the consumer is paused: call [`Watchdog::forgive`] then.
    pub(super) fn silent(
        &mut self,
        extents: &[Extent],
        offsets: &Offsets,
        now: Instant,
    ) -> Vec<(PartitionId, NextOffset)> {
        let mut silent = Vec::new();
        for Extent { partition, start, end, .. } in extents {
            let Some(received) = offsets.received(*partition, *start) else { continue };
            let seen = self.seen.entry(*partition).or_insert(Seen { received, since: now });
            if received >= *end || seen.received != received {
                *seen = Seen { received, since: now };
            } else if now.saturating_duration_since(seen.since) >= self.silence_max {
                seen.since = now;
                silent.push((*partition, received));
            }
        }
        silent
    }

    /// Starts every wait anew: after a pause or a rebalance, silence means nothing.
    pub(super) fn forgive(&mut self) {
        self.seen.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const P: PartitionId = PartitionId(0);
    const EXTENT: Extent =
        Extent { partition: P, committed: None, start: NextOffset(2), end: NextOffset(9) };
    const SILENCE: Duration = Duration::from_secs(30);

    fn at_offset(offset: i64) -> Offsets {
        let mut offsets = Offsets::default();
        offsets.assign(P);
        offsets.receive(P, offset).expect("assigned");
        offsets
    }

    /// A partition that lags without a record for the whole silence is fetched anew, once per
    /// silence, from after the last record received.
    #[test]
    fn silent_partition_is_found() {
        let mut watchdog = Watchdog::new(SILENCE);
        let (offsets, start) = (at_offset(4), Instant::now());
        let ends = [EXTENT];
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watchdog.silent(&ends, &offsets, after(0)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(29)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(30)), [(P, NextOffset(5))]);
        assert_eq!(watchdog.silent(&ends, &offsets, after(31)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(60)), [(P, NextOffset(5))]);
    }

    /// A partition that never gave a record is fetched from where the group stands; one that is
    /// not ours is left alone.
    #[test]
    fn silent_from_the_start() {
        let mut watchdog = Watchdog::new(SILENCE);
        let start = Instant::now();
        let mut offsets = Offsets::default();
        assert_eq!(watchdog.silent(&[EXTENT], &offsets, start), []);
        assert_eq!(watchdog.silent(&[EXTENT], &offsets, start + 2 * SILENCE), []);
        offsets.assign(P);
        assert_eq!(watchdog.silent(&[EXTENT], &offsets, start), []);
        let silent = watchdog.silent(&[EXTENT], &offsets, start + SILENCE);
        assert_eq!(silent, [(P, NextOffset(2))]);
    }

    /// Progress, the end of the partition and a pause each start the wait anew.
    #[test]
    fn progress_is_no_silence() {
        let mut watchdog = Watchdog::new(SILENCE);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let ends = [EXTENT];
        assert_eq!(watchdog.silent(&ends, &at_offset(4), after(0)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(29)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(58)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(8), after(99)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(8), after(500)), [], "nothing is left");
        watchdog.forgive();
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(501)), []);
    }
}
