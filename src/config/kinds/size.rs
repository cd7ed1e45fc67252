//! Sizes: `16MiB`, `900KiB`, `1000000B`, and plain `1048576`, which are bytes.

use std::ops::RangeInclusive;

use super::Kind;
use crate::limits::{GIB, KIB, MIB};

/// Units from the largest down: `B` ends every name and is tried last.
const UNITS: [(&str, usize); 4] = [("GiB", GIB), ("MiB", MIB), ("KiB", KIB), ("B", 1)];

/// A size within bounds.
pub(in crate::config) struct Bytes(pub(in crate::config) RangeInclusive<usize>);

impl Kind for Bytes {
    type Value = usize;
    const PLACEHOLDER: &'static str = "SIZE";

    fn allowed(&self) -> String {
        format!("{} to {}", show_bytes(*self.0.start()), show_bytes(*self.0.end()))
    }

    fn parse(&self, raw: &str) -> Result<usize, String> {
        let bytes = parse_bytes(raw)
            .ok_or("not a size in B, KiB, MiB or GiB, such as 900KiB or 1048576")?;
        if self.0.contains(&bytes) { Ok(bytes) } else { Err("out of range".to_owned()) }
    }

    fn show(&self, bytes: &usize) -> String {
        show_bytes(*bytes)
    }
}

/// The size in the largest unit that shows it exactly.
pub(in crate::config) fn show_bytes(bytes: usize) -> String {
    let exact = |(_, size): &&(&str, usize)| bytes >= *size && bytes.is_multiple_of(*size);
    let (name, size) = UNITS.iter().find(exact).unwrap_or(&("B", 1));
    format!("{}{name}", bytes / size)
}

fn parse_bytes(raw: &str) -> Option<usize> {
    let unit = UNITS.iter().find_map(|(name, size)| Some((raw.strip_suffix(name)?, *size)));
    let (digits, size) = unit.unwrap_or((raw, 1));
    // Parsing alone would also take a sign.
    let unsigned = digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse().ok().filter(|_| unsigned).and_then(|count| size.checked_mul(count))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sizes are read in every unit, and what is shown reads back as the same number.
    #[test]
    fn sizes_round_trip() {
        for (raw, bytes, shown) in [
            ("0", 0, "0B"),
            ("1048576", MIB, "1MiB"),
            ("900KiB", 921_600, "900KiB"),
            ("3584KiB", 3_670_016, "3584KiB"),
            ("1000000", 1_000_000, "1000000B"),
            ("2GiB", 2 * GIB, "2GiB"),
        ] {
            assert_eq!(parse_bytes(raw), Some(bytes));
            assert_eq!(show_bytes(bytes), shown);
            assert_eq!(parse_bytes(shown), Some(bytes));
        }
    }

    /// Ambiguous, fractional, signed and overflowing sizes are refused.
    #[test]
    fn other_sizes_are_refused() {
        for raw in ["", "MiB", "B", "16MB", "16M", "1.5MiB", "+1", "-1", "16 MiB", "99999999999GiB"]
        {
            assert_eq!(parse_bytes(raw), None, "{raw}");
        }
    }
}
