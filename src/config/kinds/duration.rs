//! Durations: `2ms`, `9s`, `1m30s`.

use std::{ops::RangeInclusive, time::Duration};

use super::Kind;

/// Units from the largest down, in microseconds.
const UNITS: [(&str, u64); 5] =
    [("h", 3_600_000_000), ("m", 60_000_000), ("s", 1_000_000), ("ms", 1_000), ("us", 1)];

/// A duration within bounds.
pub(in crate::config) struct Time(pub(in crate::config) RangeInclusive<Duration>);

impl Kind for Time {
    type Value = Duration;
    const PLACEHOLDER: &'static str = "DURATION";

    fn allowed(&self) -> String {
        format!("{} to {}", show_duration(*self.0.start()), show_duration(*self.0.end()))
    }

    fn parse(&self, raw: &str) -> Result<Duration, String> {
        let duration = parse_duration(raw)
            .ok_or("not a duration with a unit (h, m, s, ms, us), such as 2ms or 1m30s")?;
        if self.0.contains(&duration) { Ok(duration) } else { Err("out of range".to_owned()) }
    }

    fn show(&self, duration: &Duration) -> String {
        show_duration(*duration)
    }
}

/// The duration in as many units as it needs, to the microsecond.
pub(in crate::config) fn show_duration(duration: Duration) -> String {
    let mut left = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX);
    let mut shown = String::new();
    for (unit, micros) in UNITS {
        if left >= micros {
            shown.push_str(&format!("{}{unit}", left / micros));
            left %= micros;
        }
    }
    if shown.is_empty() { "0s".to_owned() } else { shown }
}

/// Numbers with units, each unit smaller than the one before it.
pub(crate) fn parse_duration(raw: &str) -> Option<Duration> {
    let mut rest = raw;
    let mut units = UNITS.iter();
    let mut total = Duration::ZERO;
    while !rest.is_empty() || raw.is_empty() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, tail) = rest.split_at(digits);
        let letters = tail.find(|c: char| c.is_ascii_digit()).unwrap_or(tail.len());
        let (unit, tail) = tail.split_at(letters);
        let (_, micros) = units.find(|(name, _)| *name == unit)?;
        let part = number.parse::<u64>().ok()?.checked_mul(*micros)?;
        total = total.checked_add(Duration::from_micros(part))?;
        rest = tail;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Durations are read in every unit, and what is shown reads back as the same duration.
    #[test]
    fn durations_round_trip() {
        for (raw, micros, shown) in [
            ("0ms", 0, "0s"),
            ("500us", 500, "500us"),
            ("2ms", 2_000, "2ms"),
            ("9s", 9_000_000, "9s"),
            ("90s", 90_000_000, "1m30s"),
            ("1m30s", 90_000_000, "1m30s"),
            ("1500ms", 1_500_000, "1s500ms"),
            ("1h", 3_600_000_000, "1h"),
        ] {
            let duration = Duration::from_micros(micros);
            assert_eq!(parse_duration(raw), Some(duration));
            assert_eq!(show_duration(duration), shown);
            assert_eq!(parse_duration(shown), Some(duration));
        }
    }

    /// A number without a unit, a foreign unit, units out of order and signs are refused.
    #[test]
    fn other_durations_are_refused() {
        for raw in ["", "5", "s", "5d", "1s1m", "1s1s", "-1s", "1.5s", "1 s", "99999999999999h"] {
            assert_eq!(parse_duration(raw), None, "{raw}");
        }
    }
}
