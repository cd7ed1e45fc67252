//! Figures of several rounds as one: the median, and how far rounds were apart. Pure.

use serde::{Deserialize, Serialize};

/// One figure over the rounds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Figure {
    /// Of an even number of rounds, the mean of the two in the middle.
    pub(crate) median: f64,
    pub(crate) low: f64,
    pub(crate) high: f64,
}

impl Figure {
    /// `None` when no round has the figure.
    pub(crate) fn of(rounds: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = rounds.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        let (&low, &high) = (sorted.first()?, sorted.last()?);
        let middle = (sorted[(sorted.len() - 1) / 2] + sorted[sorted.len() / 2]) / 2.0;
        Some(Self { median: middle, low, high })
    }

    /// Half of the distance between the furthest rounds, as a share of the median.
    pub(crate) fn spread(&self) -> f64 {
        if self.median > 0.0 { (self.high - self.low) / 2.0 / self.median } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::Figure;

    /// The median is a round's own figure, or lies between the two in the middle.
    #[test]
    fn medians() {
        let median = |rounds: &[f64]| Figure::of(rounds.iter().copied()).map(|it| it.median);
        assert_eq!(median(&[]), None);
        assert_eq!(median(&[4.0]), Some(4.0));
        assert_eq!(median(&[9.0, 1.0, 2.0]), Some(2.0));
        assert_eq!(median(&[9.0, 1.0, 2.0, 4.0]), Some(3.0));
    }

    /// The spread tells how far a round may be from the median.
    #[test]
    fn spreads() {
        let spread = |rounds: [f64; 3]| Figure::of(rounds).map(|it| it.spread());
        assert_eq!(spread([10.0, 9.0, 11.0]), Some(0.1));
        assert_eq!(spread([0.0, 0.0, 0.0]), Some(0.0));
    }
}
