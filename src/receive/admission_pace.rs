//! How many bytes may be in flight, given how fast Kafka acknowledges them: a pure state machine.
//!
//! Bytes beyond what Kafka acknowledges in a moment are not throughput, they are a queue, and a
//! queue of several seconds ends in timeouts: work done for answers that nobody waits for. The
//! limit therefore follows the delay. While much of the budget waits for Kafka it is the measured
//! rate times the delay aimed at, which is Little's law read backwards; otherwise it rises again.
//! What is still on its way from slow clients says nothing about Kafka and does not count.
//!
//! Never here: a clock, a lock, an atomic. Whoever owns it says when it is and what was measured.

use std::time::{Duration, Instant};

use crate::limits::{ADMISSION_DELAY, ADMISSION_INTERVAL, BUDGET_SHARES_PER_CONNECTION};

/// The limit of bytes in flight and what it is derived from.
pub(super) struct Pace {
    ceiling_bytes: usize,
    limit_bytes: usize,
    /// Acknowledged bytes per second, smoothed over about four intervals.
    bytes_per_second: f64,
    looked: Instant,
    /// Bytes acknowledged in the life of the process when it was last looked at.
    acknowledged_bytes: u64,
}

impl Pace {
    /// Nothing is known yet: everything up to `ceiling_bytes` is let in.
    pub(super) fn new(ceiling_bytes: usize, now: Instant) -> Self {
        Self {
            ceiling_bytes,
            limit_bytes: ceiling_bytes,
            bytes_per_second: 0.0,
            looked: now,
            acknowledged_bytes: 0,
        }
    }

    /// The limit in force from `now` on, once per interval; `None` before the interval is over.
    ///
    /// `acknowledged_bytes` counts from the start of the process, `waiting_bytes` have arrived and
    /// are not acknowledged now.
    pub(super) fn look(
        &mut self,
        now: Instant,
        acknowledged_bytes: u64,
        waiting_bytes: usize,
    ) -> Option<usize> {
        let elapsed = now.saturating_duration_since(self.looked);
        if elapsed < ADMISSION_INTERVAL {
            return None;
        }
        self.measure(elapsed, acknowledged_bytes);
        self.looked = now;
        // A queue half as long as it may be is nothing to restrict.
        self.limit_bytes = if waiting_bytes > self.limit_bytes / 2 {
            let wanted = self.bytes_per_second * ADMISSION_DELAY.as_secs_f64();
            // A float beyond the range of integers becomes the largest one, which is meant.
            (wanted as usize).clamp(floor(self.ceiling_bytes), self.ceiling_bytes)
        } else {
            (self.limit_bytes + self.ceiling_bytes / RISE_STEPS).min(self.ceiling_bytes)
        };
        Some(self.limit_bytes)
    }

    fn measure(&mut self, elapsed: Duration, acknowledged_bytes: u64) {
        let fresh = acknowledged_bytes.saturating_sub(self.acknowledged_bytes);
        let rate = fresh as f64 / elapsed.as_secs_f64();
        // After a pause of requests the old rate says nothing any more.
        let intervals = elapsed.as_secs_f64() / ADMISSION_INTERVAL.as_secs_f64();
        let weight = (intervals * SMOOTHING).min(1.0);
        self.bytes_per_second += (rate - self.bytes_per_second) * weight;
        self.acknowledged_bytes = acknowledged_bytes;
    }
}

/// One connection's share of the budget, so that the largest request can still be let in, and so
/// that a stall of the broker leaves something to measure with.
fn floor(ceiling_bytes: usize) -> usize {
    ceiling_bytes / BUDGET_SHARES_PER_CONNECTION
}

/// From the floor to the ceiling in about this many intervals of an idle budget.
const RISE_STEPS: usize = 8;
/// Weight of the latest interval in the rate.
const SMOOTHING: f64 = 0.25;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::limits::MIB;

    const CEILING: usize = 64 * MIB;

    /// A broker that acknowledges at a steady rate and clients that fill whatever limit there is:
    /// the limit after `intervals`.
    fn overload(pace: &mut Pace, from: Instant, bytes_per_interval: u64, intervals: u32) -> usize {
        let start = pace.acknowledged_bytes;
        for interval in 1..=intervals {
            let used = pace.limit_bytes;
            let acknowledged = start + bytes_per_interval * u64::from(interval);
            pace.look(from + ADMISSION_INTERVAL * interval, acknowledged, used);
        }
        pace.limit_bytes
    }

    /// Between two intervals nothing changes, and nothing is measured.
    #[test]
    fn it_looks_once_per_interval() {
        let start = Instant::now();
        let mut pace = Pace::new(CEILING, start);
        assert_eq!(pace.look(start + ADMISSION_INTERVAL / 2, 1, CEILING), None);
        assert!(pace.look(start + ADMISSION_INTERVAL, 1, CEILING).is_some());
        assert_eq!(pace.look(start + ADMISSION_INTERVAL, 2, CEILING), None);
    }

    /// A slow broker is given no more than the delay aimed at, and at the least the floor.
    #[test]
    fn overload_is_a_short_queue() {
        let start = Instant::now();
        let mut pace = Pace::new(CEILING, start);
        let per_second = (20 * MIB) as f64;
        let per_interval = (per_second * ADMISSION_INTERVAL.as_secs_f64()) as u64;
        let limit = overload(&mut pace, start, per_interval, 40) as f64;
        let delay = limit / per_second;
        let aim = ADMISSION_DELAY.as_secs_f64();
        assert!((0.9 * aim..1.1 * aim).contains(&delay), "{delay} s of queue");

        let later = start + ADMISSION_INTERVAL * 40;
        assert_eq!(overload(&mut pace, later, 0, 40), floor(CEILING), "a stalled broker");
    }

    /// A fast broker's budget is not restricted, however busy it is.
    #[test]
    fn speed_is_not_restricted() {
        let start = Instant::now();
        let mut pace = Pace::new(CEILING, start);
        assert_eq!(overload(&mut pace, start, (200 * MIB) as u64, 20), CEILING);
    }

    /// Once the queue is gone the limit is the ceiling again, whatever was measured before.
    #[test]
    fn recovery_is_complete() {
        let start = Instant::now();
        let mut pace = Pace::new(CEILING, start);
        assert_eq!(overload(&mut pace, start, 0, 20), floor(CEILING));
        for interval in 21..=21 + RISE_STEPS as u32 {
            pace.look(start + ADMISSION_INTERVAL * interval, 0, 0);
        }
        assert_eq!(pace.limit_bytes, CEILING);
    }

    proptest! {
        /// Whatever is measured and whenever, the limit lies between the floor and the ceiling.
        #[test]
        fn the_limit_has_bounds(
            ceiling in 1_usize..=1 << 36,
            looks in prop::collection::vec(
                (0_u64..1 << 20, 0_u64..=u64::MAX, 0_usize..1 << 40),
                1..40,
            ),
        ) {
            let mut now = Instant::now();
            let mut pace = Pace::new(ceiling, now);
            for (millis, acknowledged, used) in looks {
                now += Duration::from_millis(millis);
                if let Some(limit) = pace.look(now, acknowledged, used) {
                    prop_assert!((floor(ceiling)..=ceiling).contains(&limit));
                }
            }
        }
    }
}
