//! Numbers as people write them on a command line: `100k`, `2.5M`, `500ms`, `30s`.

use std::time::Duration;

/// A value that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UnitError {
    #[error("expected a number such as 250, 100k or 2.5M")]
    Count,
    #[error("expected a duration such as 200ms, 30s or 5m")]
    Duration,
}

/// A positive number, in thousands with `k`, in millions with `M`.
pub(crate) fn count(text: &str) -> Result<f64, UnitError> {
    let scales = [("k", 1e3), ("M", 1e6), ("", 1.0)];
    scaled(text, &scales).filter(|count| *count > 0.0 && *count <= 1e15).ok_or(UnitError::Count)
}

/// A duration in `ms`, `s`, `m` or `h`; may be zero.
pub(crate) fn duration(text: &str) -> Result<Duration, UnitError> {
    let scales = [("ms", 1e-3), ("s", 1.0), ("m", 60.0), ("h", 3600.0)];
    scaled(text, &scales)
        .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
        .ok_or(UnitError::Duration)
}

/// The number in front of the first suffix that fits, times its scale.
fn scaled(text: &str, scales: &[(&str, f64)]) -> Option<f64> {
    let (number, scale) =
        scales.iter().find_map(|(suffix, scale)| Some((text.strip_suffix(suffix)?, scale)))?;
    number.parse::<f64>().ok().filter(|number| number.is_finite()).map(|number| number * scale)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::{UnitError, count, duration};

    /// Suffixes scale; what is not a positive number is refused.
    #[test]
    fn counts_are_read() {
        assert_eq!(count("250"), Ok(250.0));
        assert_eq!(count("100k"), Ok(100_000.0));
        assert_eq!(count("2.5M"), Ok(2_500_000.0));
        for text in ["", "k", "-1", "0", "1K", "1 k", "inf", "nan"] {
            assert_eq!(count(text), Err(UnitError::Count), "{text}");
        }
    }

    /// A duration needs its unit.
    #[test]
    fn durations_are_read() {
        assert_eq!(duration("200ms"), Ok(Duration::from_millis(200)));
        assert_eq!(duration("30s"), Ok(Duration::from_secs(30)));
        assert_eq!(duration("1.5m"), Ok(Duration::from_secs(90)));
        assert_eq!(duration("0s"), Ok(Duration::ZERO));
        for text in ["", "30", "s", "-1s", "1d", "1e300h"] {
            assert_eq!(duration(text), Err(UnitError::Duration), "{text}");
        }
    }
}
