//! Counts, and counts that another part may choose.

use std::{fmt::Display, ops::RangeInclusive, str::FromStr};

use super::Kind;
use crate::limits::TOPIC_REPLICATION_MAX;

/// A whole number within bounds.
pub(in crate::config) struct Count<N>(pub(in crate::config) RangeInclusive<N>);

impl<N: FromStr + Display + PartialOrd> Kind for Count<N> {
    type Value = N;
    const PLACEHOLDER: &'static str = "NUMBER";

    fn allowed(&self) -> String {
        format!("{} to {}", self.0.start(), self.0.end())
    }

    fn parse(&self, raw: &str) -> Result<N, String> {
        let number = raw.parse().ok().filter(|number| self.0.contains(number));
        number.ok_or_else(|| "not a whole number in the range".to_owned())
    }

    fn show(&self, number: &N) -> String {
        number.to_string()
    }
}

/// A number of threads, or `auto`, which is `None`.
pub(in crate::config) struct ThreadCount(pub(in crate::config) RangeInclusive<usize>);

impl Kind for ThreadCount {
    type Value = Option<usize>;
    const PLACEHOLDER: &'static str = "NUMBER";

    fn allowed(&self) -> String {
        format!("auto, or {} to {}", self.0.start(), self.0.end())
    }

    fn parse(&self, raw: &str) -> Result<Option<usize>, String> {
        if raw == "auto" { Ok(None) } else { Count(self.0.clone()).parse(raw).map(Some) }
    }

    fn show(&self, threads: &Option<usize>) -> String {
        threads.map_or_else(|| "auto".to_owned(), |threads| threads.to_string())
    }
}

/// A replication factor, or -1 for the broker's own default.
pub(in crate::config) struct Replication;

impl Kind for Replication {
    type Value = i32;
    const PLACEHOLDER: &'static str = "NUMBER";

    fn allowed(&self) -> String {
        format!("-1 (the broker's default), or 1 to {TOPIC_REPLICATION_MAX}")
    }

    fn parse(&self, raw: &str) -> Result<i32, String> {
        if raw == "-1" { Ok(-1) } else { Count(1..=TOPIC_REPLICATION_MAX).parse(raw) }
    }

    fn show(&self, replication: &i32) -> String {
        replication.to_string()
    }
}
