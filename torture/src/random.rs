//! Random moments from a printed seed: SplitMix64. Pure.

use std::time::Duration;

/// A sequence of numbers that its seed determines.
pub(crate) struct Random {
    state: u64,
}

impl Random {
    /// The sequence of `seed` for one row, whichever other rows run.
    pub(crate) fn new(seed: u64, row: &str) -> Self {
        let state = row.bytes().fold(seed, |hash, byte| mix(hash ^ u64::from(byte)));
        Self { state }
    }

    /// The next number.
    pub(crate) fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(GAMMA);
        mix(self.state)
    }

    /// A number below `end`, which is small: its bias does not matter here.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// A time between two numbers of milliseconds.
    pub(crate) fn millis(&mut self, from: u64, to: u64) -> Duration {
        Duration::from_millis(from + self.below(to - from))
    }
}

fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

/// The odd increment of SplitMix64.
const GAMMA: u64 = 0x9e37_79b9_7f4a_7c15;

#[cfg(test)]
mod tests {
    use super::Random;

    /// A seed gives the same moments again, other seeds and other rows give others.
    #[test]
    fn a_seed_repeats() {
        let draw = |seed, row| {
            let mut random = Random::new(seed, row);
            [random.next(), random.next(), random.next()]
        };
        assert_eq!(draw(7, "broker"), draw(7, "broker"));
        assert_ne!(draw(7, "broker"), draw(8, "broker"));
        assert_ne!(draw(7, "broker"), draw(7, "sigterm"));
    }

    /// Times lie within what was asked for.
    #[test]
    fn times_have_bounds() {
        let mut random = Random::new(1, "");
        for _ in 0..1000 {
            let drawn = random.millis(10, 20).as_millis();
            assert!((10..20).contains(&drawn), "{drawn}");
        }
    }
}
