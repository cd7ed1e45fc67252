//! How long to wait before a refused batch is sent again.
//!
//! Pure: seeded, and the caller adds the result to its own clock.

use std::time::Duration;

use crate::limits;

/// Exponential backoff with jitter, reset by success.
#[derive(Debug)]
pub(super) struct Backoff {
    min: Duration,
    max: Duration,
    failures: u32,
    random: u64,
}

impl Backoff {
    /// Waits between `min` and `max`; the seed tells lanes apart.
    pub(super) fn new(min: Duration, max: Duration, seed: u64) -> Self {
        // Xorshift never leaves zero.
        Self { min, max, failures: 0, random: seed | 1 }
    }

    /// The wait after one more failure: between half and all of `min` doubled per failure, at most
    /// `max`, and never less than what the backend asked for.
    ///
    /// OTLP 1.x, "OTLP/gRPC Throttling": the client SHOULD wait at least RetryInfo's delay.
    pub(super) fn after_failure(&mut self, asked_for: Option<Duration>) -> Duration {
        let doubled = self.min.saturating_mul(2_u32.saturating_pow(self.failures)).min(self.max);
        self.failures = self.failures.saturating_add(1);
        let half = doubled / 2;
        let jittered = half + half.mul_f64(self.fraction());
        jittered.max(asked_for.unwrap_or_default().min(limits::FORWARD_RETRY_AFTER_MAX))
    }

    /// The next failure is a first one again.
    pub(super) fn reset(&mut self) {
        self.failures = 0;
    }

    /// Uniform in 0..1, by Marsaglia's xorshift: spreading retries needs no better.
    fn fraction(&mut self) -> f64 {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        (self.random >> 11) as f64 / (1_u64 << 53) as f64
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::any, prop_assert, proptest};

    use super::*;

    const MIN: Duration = Duration::from_millis(100);
    const MAX: Duration = Duration::from_secs(10);

    proptest! {
        /// Every wait is between half of the doubled minimum and the maximum.
        #[test]
        fn waits_are_within_bounds(seed in any::<u64>(), failures in 0..80_u32) {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            for failure in 0..failures {
                let full = MIN.saturating_mul(2_u32.saturating_pow(failure)).min(MAX);
                let wait = backoff.after_failure(None);
                prop_assert!(wait >= full / 2 && wait <= full, "{wait:?} of {full:?}");
            }
        }
    }

    /// The backend's wish is a lower bound, up to a limit, and success starts anew.
    #[test]
    fn wish_of_the_backend() {
        let mut backoff = Backoff::new(MIN, MAX, 7);
        let wish = Duration::from_secs(30);
        assert_eq!(backoff.after_failure(Some(wish)), wish);
        let wish = Duration::from_secs(86_400);
        assert_eq!(backoff.after_failure(Some(wish)), limits::FORWARD_RETRY_AFTER_MAX);
        backoff.reset();
        assert!(backoff.after_failure(Some(Duration::ZERO)) <= MIN);
    }

    /// Two seeds do not retry in step.
    #[test]
    fn seeds_differ() {
        let waits = |seed| {
            let mut backoff = Backoff::new(MIN, MAX, seed);
            (0..5).map(|_| backoff.after_failure(None)).collect::<Vec<_>>()
        };
        assert_ne!(waits(2), waits(4));
    }
}
