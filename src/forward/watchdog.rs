//! Finds partitions that have more records and yet hand none over.
//!
//! Pure; owned by a forward thread. A consumer can lose a partition's fetcher in races of pausing
//! and rebalancing; nothing but a restart would bring it back, and the lag would grow unseen.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::offsets::Offsets;
use crate::kafka::{NextOffset, PartitionId};

/// What is known of the partitions' ends, and since when each position stands still.
#[derive(Debug)]
pub(super) struct Watchdog {
    silence_max: Duration,
    seen: BTreeMap<PartitionId, Seen>,
}

#[derive(Debug)]
struct Seen {
    received: Option<NextOffset>,
    since: Instant,
}

impl Watchdog {
    /// Nothing seen yet.
    pub(super) fn new(silence_max: Duration) -> Self {
        Self { silence_max, seen: BTreeMap::new() }
    }

    /// Compares positions with `ends`; returns the partitions to fetch anew, and from where. Not to
    /// be asked while the consumer is paused: call [`Watchdog::forgive`] then.
    pub(super) fn silent(
        &mut self,
        ends: &[(PartitionId, NextOffset)],
        offsets: &Offsets,
        now: Instant,
    ) -> Vec<(PartitionId, NextOffset)> {
        let mut silent = Vec::new();
        for (partition, end) in ends {
            let received = offsets.received(*partition);
            let seen = self.seen.entry(*partition).or_insert(Seen { received, since: now });
            let waiting = received.filter(|received| received < end);
            if waiting.is_none() || seen.received != received {
                *seen = Seen { received, since: now };
            } else if now.saturating_duration_since(seen.since) >= self.silence_max {
                seen.since = now;
                silent.extend(waiting.map(|received| (*partition, received)));
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
        let ends = [(P, NextOffset(9))];
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(watchdog.silent(&ends, &offsets, after(0)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(29)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(30)), [(P, NextOffset(5))]);
        assert_eq!(watchdog.silent(&ends, &offsets, after(31)), []);
        assert_eq!(watchdog.silent(&ends, &offsets, after(60)), [(P, NextOffset(5))]);
    }

    /// Progress, the end of the partition and a pause each start the wait anew.
    #[test]
    fn progress_is_no_silence() {
        let mut watchdog = Watchdog::new(SILENCE);
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let ends = [(P, NextOffset(9))];
        assert_eq!(watchdog.silent(&ends, &at_offset(4), after(0)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(29)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(58)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(8), after(99)), []);
        assert_eq!(watchdog.silent(&ends, &at_offset(8), after(500)), [], "nothing is left");
        watchdog.forgive();
        assert_eq!(watchdog.silent(&ends, &at_offset(5), after(501)), []);
    }
}
