//! One log line per cause of refusal, however many requests it hits: when it begins, at an interval
//! while it lasts, and when it has ended. A task of `receive-0` looks once a second.

use std::time::Instant;

use prometheus::IntCounter;

use crate::{
    internal_telemetry::{RateLimited, Telemetry},
    limits::TROUBLE_LOG_INTERVAL,
};

/// The causes worth a line, with the section of docs/OPERATIONS.md that says what to do.
const CAUSES: [(&str, &str); 4] = [
    ("budget", "docs/OPERATIONS.md#budget-exhausted"),
    ("connection_budget", "docs/OPERATIONS.md#budget-exhausted"),
    ("queue_full", "docs/OPERATIONS.md#budget-exhausted"),
    ("broker_unreachable", "docs/OPERATIONS.md#kafka-unreachable"),
];

/// What was refused so far, by cause.
pub(super) struct RefusalLog {
    causes: Vec<Cause>,
}

struct Cause {
    reason: &'static str,
    section: &'static str,
    refused: IntCounter,
    /// Counted at the last look, and when the present trouble began.
    seen: u64,
    seen_at_start: u64,
    lines: RateLimited,
}

impl RefusalLog {
    pub(super) fn new(telemetry: &Telemetry) -> Self {
        let cause = |(reason, section)| Cause {
            reason,
            section,
            refused: telemetry.receive.refusals.with_label_values(&[reason]),
            seen: 0,
            seen_at_start: 0,
            lines: RateLimited::new(TROUBLE_LOG_INTERVAL),
        };
        Self { causes: CAUSES.map(cause).into() }
    }

    /// Compares the counters with the last look.
    pub(super) fn look(&mut self, now: Instant) {
        for cause in &mut self.causes {
            cause.look(now);
        }
    }
}

impl Cause {
    fn look(&mut self, now: Instant) {
        let refused = self.refused.get();
        let (reason, section) = (self.reason, self.section);
        if refused > self.seen {
            if let Some(trouble) = self.lines.occurred(now) {
                let (refused, seconds) = (refused - self.seen_at_start, trouble.lasting.as_secs());
                tracing::warn!(reason, refused, seconds, "requests are refused; see {section}");
            }
        } else {
            if let Some(trouble) = self.lines.recovered(now) {
                let (refused, seconds) = (refused - self.seen_at_start, trouble.lasting.as_secs());
                tracing::info!(reason, refused, seconds, "requests are no longer refused");
            }
            self.seen_at_start = refused;
        }
        self.seen = refused;
    }
}
