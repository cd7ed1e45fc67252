//! A growing set of small numbers, one bit each. Pure.

use std::ops::Range;

/// A set of sequence numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Bitmap {
    words: Vec<u64>,
    /// Invariant: the number of bits set in `words`.
    len: u64,
}

impl Bitmap {
    pub(crate) fn from_words(words: Vec<u64>) -> Self {
        let len = words.iter().map(|word| u64::from(word.count_ones())).sum();
        Self { words, len }
    }

    /// Bit `n % 64` of word `n / 64` stands for `n`.
    pub(crate) fn words(&self) -> &[u64] {
        &self.words
    }

    /// How many numbers are in the set.
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// True when `number` was not in the set before.
    pub(crate) fn insert(&mut self, number: u64) -> bool {
        let index = (number / 64) as usize;
        if index >= self.words.len() {
            self.words.resize(index + 1, 0);
        }
        let bit = 1 << (number % 64);
        let is_new = self.words[index] & bit == 0;
        self.words[index] |= bit;
        self.len += u64::from(is_new);
        is_new
    }

    /// Adds every number of `other`.
    pub(crate) fn union(&mut self, other: &Self) {
        if self.words.len() < other.words.len() {
            self.words.resize(other.words.len(), 0);
        }
        for (word, others) in self.words.iter_mut().zip(&other.words) {
            self.len += u64::from((*others & !*word).count_ones());
            *word |= others;
        }
    }

    /// How many numbers of `range` are in the set.
    pub(crate) fn count(&self, range: Range<u64>) -> u64 {
        let end = range.end.min(self.words.len() as u64 * 64);
        if range.start >= end {
            return 0;
        }
        let (first, last) = ((range.start / 64) as usize, ((end - 1) / 64) as usize);
        let mut count = 0;
        for index in first..=last {
            let mut word = self.words[index];
            if index == first {
                word &= u64::MAX << (range.start % 64);
            }
            if index == last {
                word &= u64::MAX >> (63 - (end - 1) % 64);
            }
            count += u64::from(word.count_ones());
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::Bitmap;

    /// Counting a range agrees with counting one by one, across word borders and past the end.
    #[test]
    fn ranges_are_counted() {
        let mut bitmap = Bitmap::default();
        let numbers = [0, 1, 63, 64, 65, 127, 128, 300];
        for number in numbers {
            assert!(bitmap.insert(number));
            assert!(!bitmap.insert(number));
        }
        assert_eq!(bitmap.len(), numbers.len() as u64);
        for start in 0..330 {
            for end in start..400 {
                let expected = numbers.iter().filter(|n| (start..end).contains(*n)).count() as u64;
                assert_eq!(bitmap.count(start..end), expected, "{start}..{end}");
            }
        }
        assert_eq!(Bitmap::from_words(bitmap.words().to_vec()), bitmap);
    }

    /// A union holds what either set held, once, whichever of the two is longer.
    #[test]
    fn sets_are_united() {
        let set = |numbers: &[u64]| {
            let mut bitmap = Bitmap::default();
            for &number in numbers {
                bitmap.insert(number);
            }
            bitmap
        };
        let (short, long, both) = (set(&[0, 3]), set(&[3, 64, 200]), set(&[0, 3, 64, 200]));
        let (mut one, mut other) = (short.clone(), long.clone());
        one.union(&long);
        other.union(&short);
        assert_eq!((&one, &other), (&both, &both));
    }
}
