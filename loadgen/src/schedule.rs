//! When the requests of an open loop are meant to start, whatever the receiver does: at fixed
//! intervals, or at random as independent senders would. Pure; time is passed in.
//!
//! Latency counts from here, not from when a request could at last be sent: a receiver that stalls
//! for a second has delayed every request of that second (no coordinated omission).

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use crate::ids::mix;

/// How the starts of requests are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum ArrivalProcess {
    /// At equal intervals
    #[default]
    Fixed,
    /// At random moments, of the same mean rate: bursts and gaps as many senders make
    Poisson,
}

impl fmt::Display for ArrivalProcess {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Fixed => "fixed",
            Self::Poisson => "Poisson",
        })
    }
}

/// The intended starts of requests.
#[derive(Clone, Debug)]
pub(crate) struct Schedule {
    interval_nanos: f64,
    /// Starts within a block of requests, in intervals and ascending; `None` at fixed intervals.
    ///
    /// Given their number, the arrivals of a Poisson process are independent and uniform in time:
    /// so a block is that many random numbers, sorted, and every block is the same.
    block: Option<Arc<[f64]>>,
}

impl Schedule {
    /// Requests of `spans_per_request`, often enough for `spans_per_second`.
    pub(crate) fn new(
        arrivals: ArrivalProcess,
        seed: u64,
        spans_per_second: f64,
        spans_per_request: u32,
    ) -> Self {
        let interval_nanos = 1e9 * f64::from(spans_per_request) / spans_per_second;
        let block = match arrivals {
            ArrivalProcess::Fixed => None,
            ArrivalProcess::Poisson => Some(poisson_block(seed)),
        };
        Self { interval_nanos, block }
    }

    /// When `request`, counted from 0, is meant to start.
    pub(crate) fn intended(&self, request: u64) -> Duration {
        let intervals = match &self.block {
            None => request as f64,
            Some(block) => {
                let number = request % BLOCK_REQUESTS;
                (request - number) as f64 + block[number as usize]
            }
        };
        Duration::from_nanos((intervals * self.interval_nanos) as u64)
    }

    /// How many requests were meant to start by `elapsed`.
    pub(crate) fn due(&self, elapsed: Duration) -> u64 {
        let intervals = elapsed.as_nanos() as f64 / self.interval_nanos;
        match &self.block {
            None => intervals as u64 + 1,
            Some(block) => {
                let before = intervals as u64 / BLOCK_REQUESTS * BLOCK_REQUESTS;
                let within = intervals - before as f64;
                before + block.partition_point(|start| *start <= within) as u64
            }
        }
    }

    /// How many requests start before `duration` is over; at least one.
    pub(crate) fn requests_within(&self, duration: Duration) -> u64 {
        match &self.block {
            None => ((duration.as_nanos() as f64 / self.interval_nanos).ceil() as u64).max(1),
            Some(_) => self.due(duration).max(1),
        }
    }
}

fn poisson_block(seed: u64) -> Arc<[f64]> {
    let scale = BLOCK_REQUESTS as f64 / (u64::MAX as f64 + 1.0);
    let seed = mix(seed ^ POISSON_SALT);
    let mut starts: Vec<_> = (0..BLOCK_REQUESTS)
        .map(|number| mix(seed.wrapping_add(number.wrapping_mul(GOLDEN_GAMMA))) as f64 * scale)
        .collect();
    starts.sort_unstable_by(f64::total_cmp);
    starts.into()
}

/// Half a megabyte, and a quarter of an hour at a usual rate of requests.
const BLOCK_REQUESTS: u64 = 1 << 16;
/// The seed also chooses the content of spans: their numbers are to be unlike these.
const POISSON_SALT: u64 = 0x706f_6973_736f_6e21;
/// The step of SplitMix64, whose finaliser [`mix`] is.
const GOLDEN_GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{ArrivalProcess, BLOCK_REQUESTS, Schedule};

    fn fixed(spans_per_second: f64, spans_per_request: u32) -> Schedule {
        Schedule::new(ArrivalProcess::Fixed, 0, spans_per_second, spans_per_request)
    }

    /// 100,000 spans per second in requests of 500 are a request every 5 ms.
    #[test]
    fn the_rate_is_kept() {
        let schedule = fixed(100_000.0, 500);
        assert_eq!(schedule.intended(0), Duration::ZERO);
        assert_eq!(schedule.intended(200), Duration::from_secs(1));
        assert_eq!(schedule.requests_within(Duration::from_secs(30)), 6_000);
    }

    /// A request is due from the moment it is meant to start, after any stall all that were missed.
    #[test]
    fn due_requests_are_counted() {
        let schedule = fixed(1_000.0, 1);
        assert_eq!(schedule.due(Duration::ZERO), 1);
        assert_eq!(schedule.due(Duration::from_micros(999)), 1);
        assert_eq!(schedule.due(Duration::from_millis(1)), 2);
        assert_eq!(schedule.due(Duration::from_secs(7)), 7_001);
    }

    /// However slow the rate, a run sends something.
    #[test]
    fn a_run_has_at_least_one_request() {
        assert_eq!(fixed(1.0, 512).requests_within(Duration::from_secs(1)), 1);
        let poisson = Schedule::new(ArrivalProcess::Poisson, 0, 1.0, 512);
        assert_eq!(poisson.requests_within(Duration::from_nanos(1)), 1);
    }

    /// Poisson arrivals keep the mean rate, and their gaps are those of an exponential
    /// distribution: as many above the mean as 1/e, and the standard deviation is the mean.
    #[test]
    fn poisson_arrivals_are_random() {
        let schedule = Schedule::new(ArrivalProcess::Poisson, 7, 1e6, 1);
        let starts: Vec<_> =
            (0..=BLOCK_REQUESTS).map(|request| schedule.intended(request).as_secs_f64()).collect();
        let gaps: Vec<_> = starts.windows(2).map(|pair| (pair[1] - pair[0]) * 1e6).collect();
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
        let count = gaps.len() as f64;
        let mean = gaps.iter().sum::<f64>() / count;
        let above = gaps.iter().filter(|gap| **gap > 1.0).count() as f64 / count;
        let variance = gaps.iter().map(|gap| (gap - mean).powi(2)).sum::<f64>() / count;
        assert!((mean - 1.0).abs() < 0.001, "{mean}");
        assert!((above - (-1.0_f64).exp()).abs() < 0.01, "{above}");
        assert!((variance.sqrt() - 1.0).abs() < 0.03, "{variance}");
    }

    /// Both directions of a random schedule agree, across blocks too, and a seed decides it.
    #[test]
    fn poisson_arrivals_are_due_when_they_are_meant_to() {
        let schedule = Schedule::new(ArrivalProcess::Poisson, 7, 1e3, 1);
        for request in [0, 1, 500, BLOCK_REQUESTS - 1, BLOCK_REQUESTS, 3 * BLOCK_REQUESTS + 9] {
            let intended = schedule.intended(request);
            assert!(schedule.due(intended + Duration::from_nanos(1)) > request);
            assert!(schedule.due(intended.saturating_sub(Duration::from_nanos(1))) <= request);
        }
        let other = Schedule::new(ArrivalProcess::Poisson, 8, 1e3, 1);
        assert_ne!(schedule.intended(10), other.intended(10));
    }
}
