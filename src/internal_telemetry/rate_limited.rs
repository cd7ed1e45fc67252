//! One log line per cause of trouble: at once, then at an interval while it lasts, then one on
//! recovery. Trouble that comes and goes gets one such pair of lines per interval.
//!
//! Owned by the thread that logs; time is passed in.

use std::time::{Duration, Instant};

/// Decides which occurrences of one cause are logged.
#[derive(Debug)]
pub struct RateLimited {
    interval: Duration,
    logged: Option<Instant>,
    ongoing: Option<Ongoing>,
}

#[derive(Debug)]
struct Ongoing {
    since: Instant,
    occurrences: u64,
    /// Whether a line was written about it, so that its end deserves one.
    logged: bool,
}

/// What a log line says about trouble that is going on or has just ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Trouble {
    /// Since its first occurrence.
    pub lasting: Duration,
    /// Occurrences since then.
    pub occurrences: u64,
}

impl RateLimited {
    /// No trouble yet; at most one line about it is wanted per `interval`.
    pub fn new(interval: Duration) -> Self {
        Self { interval, logged: None, ongoing: None }
    }

    /// One more occurrence; `Some` when it is to be logged.
    pub fn occurred(&mut self, now: Instant) -> Option<Trouble> {
        let fresh = Ongoing { since: now, occurrences: 0, logged: false };
        let ongoing = self.ongoing.get_or_insert(fresh);
        ongoing.occurrences += 1;
        let recently = |at: Instant| now.saturating_duration_since(at) < self.interval;
        if self.logged.is_some_and(recently) {
            return None;
        }
        self.logged = Some(now);
        ongoing.logged = true;
        Some(ongoing.trouble(now))
    }

    /// The cause is gone; `Some`, to be logged, when its trouble had been logged.
    pub fn recovered(&mut self, now: Instant) -> Option<Trouble> {
        let ended = self.ongoing.take()?;
        ended.logged.then(|| ended.trouble(now))
    }
}

impl Ongoing {
    fn trouble(&self, now: Instant) -> Trouble {
        Trouble {
            lasting: now.saturating_duration_since(self.since),
            occurrences: self.occurrences,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(30);

    /// The first occurrence is logged, then one per interval with the count, then the recovery.
    #[test]
    fn lasting_trouble() {
        let mut limited = RateLimited::new(INTERVAL);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(limited.recovered(at(0)), None);
        assert!(limited.occurred(at(0)).is_some());
        assert_eq!(limited.occurred(at(1)), None);
        assert_eq!(limited.occurred(at(29)), None);
        let lasting = Duration::from_secs(30);
        assert_eq!(limited.occurred(at(30)), Some(Trouble { lasting, occurrences: 4 }));
        assert_eq!(limited.occurred(at(31)), None);
        let lasting = Duration::from_secs(40);
        assert_eq!(limited.recovered(at(40)), Some(Trouble { lasting, occurrences: 5 }));
        assert_eq!(limited.recovered(at(41)), None);
    }

    /// Trouble that comes and goes every second is logged once per interval, with its recovery.
    #[test]
    fn flapping_trouble() {
        let mut limited = RateLimited::new(INTERVAL);
        let start = Instant::now();
        let (mut troubles, mut recoveries) = (0, 0);
        for second in 0..60 {
            let now = start + Duration::from_secs(second);
            troubles += usize::from(limited.occurred(now).is_some());
            recoveries += usize::from(limited.recovered(now).is_some());
        }
        assert_eq!((troubles, recoveries), (2, 2));
    }
}
