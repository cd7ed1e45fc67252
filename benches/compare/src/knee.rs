//! The knee: the highest offered rate that a system bears. Pure but for the runs it asks for.

use crate::load::Report;

/// Searches downwards from what a closed loop reached: the highest step that holds, or the lowest.
pub(crate) fn search(saturation: f64, mut offer: impl FnMut(f64) -> Report) -> f64 {
    let mut rate = saturation;
    for step in STEPS {
        rate = saturation * step;
        if holds(&offer(rate)) {
            break;
        }
    }
    rate
}

/// Everything that was offered was acknowledged, and soon.
fn holds(report: &Report) -> bool {
    report.not_acknowledged == 0 && report.reply_ms[1] <= P99_MS_MAX
}

/// Shares of a closed loop's rate: no open loop gets beyond the first, few systems fall below
/// the last.
const STEPS: [f64; 6] = [0.95, 0.85, 0.75, 0.6, 0.45, 0.3];
/// Far above any healthy reply, far below a queue that only grows.
pub(crate) const P99_MS_MAX: f64 = 100.0;

#[cfg(test)]
mod tests {
    use super::*;

    /// The first step at which nothing is refused and replies are quick; without one, the last.
    #[test]
    fn the_highest_rate_that_holds() {
        let bears = |knee: f64| {
            search(1_000.0, |rate| Report {
                not_acknowledged: u64::from(rate > knee + 100.0),
                reply_ms: [1.0, if rate > knee { P99_MS_MAX + 1.0 } else { 5.0 }, 500.0],
                ..Report::default()
            })
        };
        assert_eq!(bears(2_000.0), 950.0);
        assert_eq!(bears(800.0), 750.0);
        assert_eq!(bears(0.0), 300.0);
    }
}
