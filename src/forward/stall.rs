//! What to do about a full window: sit it out, then pause the consumer once, then resume once.
//!
//! Pure; owned by a forward thread. Pausing throws the prefetched records away, so short stalls are
//! sat out without polling. Paused, the consumer is still polled, for its events.

use std::time::{Duration, Instant};

/// What one turn of the loop does about consuming.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Intake {
    /// Consume.
    Open,
    /// Resume the consumer, then consume.
    Resume,
    /// Do not poll.
    Closed,
    /// Pause the consumer.
    Pause,
    /// Poll for events only.
    Paused,
}

/// Since when the window is full, and whether the consumer is paused for it.
#[derive(Debug)]
pub(super) struct Stall {
    stall_max: Duration,
    full_since: Option<Instant>,
    paused: bool,
}

impl Stall {
    /// Pauses after the window was full for `stall_max`.
    pub(super) fn new(stall_max: Duration) -> Self {
        Self { stall_max, full_since: None, paused: false }
    }

    /// Decides one turn.
    pub(super) fn intake(&mut self, has_room: bool, now: Instant) -> Intake {
        if has_room {
            self.full_since = None;
            let resume = std::mem::take(&mut self.paused);
            return if resume { Intake::Resume } else { Intake::Open };
        }
        if self.paused {
            return Intake::Paused;
        }
        let full_since = *self.full_since.get_or_insert(now);
        if now.saturating_duration_since(full_since) < self.stall_max {
            return Intake::Closed;
        }
        self.paused = true;
        Intake::Pause
    }

    /// True between [`Intake::Pause`] and [`Intake::Resume`].
    pub(super) fn is_paused(&self) -> bool {
        self.paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A short stall is sat out, a long one pauses once and resumes once.
    #[test]
    fn pauses_once() {
        let mut stall = Stall::new(Duration::from_secs(5));
        let start = Instant::now();
        let mut at =
            |seconds, has_room| stall.intake(has_room, start + Duration::from_secs(seconds));
        assert_eq!(
            [at(0, true), at(1, false), at(5, false)],
            [Intake::Open, Intake::Closed, Intake::Closed]
        );
        assert_eq!(
            [at(5, true), at(6, false), at(10, false)],
            [Intake::Open, Intake::Closed, Intake::Closed]
        );
        assert_eq!(
            [at(11, false), at(12, false), at(600, false)],
            [Intake::Pause, Intake::Paused, Intake::Paused]
        );
        assert_eq!([at(601, true), at(602, true)], [Intake::Resume, Intake::Open]);
    }
}
