//! When the requests of an open loop are meant to start: at fixed intervals, whatever the receiver
//! does. Pure; time is passed in.
//!
//! Latency counts from here, not from when a request could at last be sent: a receiver that stalls
//! for a second has delayed every request of that second (no coordinated omission).

use std::time::Duration;

/// Fixed arrivals of requests.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Schedule {
    interval_nanos: f64,
}

impl Schedule {
    /// Requests of `spans_per_request`, often enough for `spans_per_second`.
    pub(crate) fn new(spans_per_second: f64, spans_per_request: u32) -> Self {
        Self { interval_nanos: 1e9 * f64::from(spans_per_request) / spans_per_second }
    }

    /// When `request`, counted from 0, is meant to start.
    pub(crate) fn intended(&self, request: u64) -> Duration {
        Duration::from_nanos((request as f64 * self.interval_nanos) as u64)
    }

    /// How many requests were meant to start by `elapsed`.
    pub(crate) fn due(&self, elapsed: Duration) -> u64 {
        (elapsed.as_nanos() as f64 / self.interval_nanos) as u64 + 1
    }

    /// How many requests start before `duration` is over; at least one.
    pub(crate) fn requests_within(&self, duration: Duration) -> u64 {
        ((duration.as_nanos() as f64 / self.interval_nanos).ceil() as u64).max(1)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::Schedule;

    /// 100,000 spans per second in requests of 500 are a request every 5 ms.
    #[test]
    fn the_rate_is_kept() {
        let schedule = Schedule::new(100_000.0, 500);
        assert_eq!(schedule.intended(0), Duration::ZERO);
        assert_eq!(schedule.intended(200), Duration::from_secs(1));
        assert_eq!(schedule.requests_within(Duration::from_secs(30)), 6_000);
    }

    /// A request is due from the moment it is meant to start, after any stall all that were missed.
    #[test]
    fn due_requests_are_counted() {
        let schedule = Schedule::new(1_000.0, 1);
        assert_eq!(schedule.due(Duration::ZERO), 1);
        assert_eq!(schedule.due(Duration::from_micros(999)), 1);
        assert_eq!(schedule.due(Duration::from_millis(1)), 2);
        assert_eq!(schedule.due(Duration::from_secs(7)), 7_001);
    }

    /// However slow the rate, a run sends something.
    #[test]
    fn a_run_has_at_least_one_request() {
        let schedule = Schedule::new(1.0, 512);
        assert_eq!(schedule.requests_within(Duration::from_secs(1)), 1);
    }
}
