//! The rows: one fault each, with the demands that are its oracle.

mod absent;
mod backend;
mod begun;
mod broker;
mod clock;
mod cluster;
mod descriptors;
mod disk;
mod forwarder;
mod greedy;
mod hostile;
mod network;
mod overload;
mod partitions;
mod poison;
mod receiver;
mod recreated;
mod sigterm;
mod storm;
mod streams;

use crate::{outcome::Outcome, random::Random};

/// One fault and its oracle.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) fault: &'static str,
    /// About how long it takes in a selection; 0 keeps it out of selections.
    short_seconds: u64,
    /// Plays it; true shortens the fault for a selection.
    pub(crate) play: fn(Random, bool) -> Outcome,
}

/// Every row, in the order of the table.
pub(crate) const ROWS: &[Row] = &[
    receiver::ROW,
    forwarder::ROW,
    broker::ROW,
    absent::ROW,
    cluster::ROW,
    network::ROW,
    backend::ROW,
    poison::ROW,
    storm::ROW,
    partitions::ROW,
    sigterm::ROW,
    descriptors::ROW,
    clock::ROW,
    disk::ROW,
    recreated::ROW,
    overload::ROW,
    overload::SLOW_ROW,
    overload::BACKEND_ROW,
    streams::ROW,
    begun::ROW,
    greedy::ROW,
    hostile::ROW,
];

/// A load whose order in Kafka is known: a connection sends its next request when the one before is
/// acknowledged, and a trace goes on over 32 of them. A partition that is forwarded from what was
/// committed, in its order, then shows every span of a trace before the later ones: what comes
/// again after a crash or a rebalance has been there before, so that REORDERED stays 0.
const ORDERED: &[&str] = &[
    "--connections",
    "4",
    "--in-flight",
    "4",
    "--spans-per-request",
    "16",
    "--spans-per-trace",
    "512",
    "--retry",
    "60s",
];

/// As many rows as fit into `seconds`, in the order of the table.
pub(crate) fn selection(random: &mut Random, seconds: u64) -> Vec<&'static Row> {
    let mut left = seconds;
    let mut drawn: Vec<(u64, usize)> = (0..ROWS.len()).map(|row| (random.next(), row)).collect();
    drawn.sort_unstable();
    let mut chosen: Vec<usize> = Vec::new();
    for (_, row) in drawn {
        let takes = ROWS[row].short_seconds;
        if (1..=left).contains(&takes) {
            left -= takes;
            chosen.push(row);
        }
    }
    chosen.sort_unstable();
    chosen.into_iter().map(|row| &ROWS[row]).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Names are unique, and a selection keeps to its time, whatever the seed.
    #[test]
    fn selections_fit() {
        let mut names: Vec<_> = ROWS.iter().map(|row| row.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), ROWS.len());
        for seed in 0..100 {
            let rows = selection(&mut Random::new(seed, "selection"), 240);
            let seconds: u64 = rows.iter().map(|row| row.short_seconds).sum();
            assert!((120..=240).contains(&seconds), "seed {seed}: {seconds} s");
        }
    }
}
