//! What is asked of the `dlq` task, and of which letters. Pure.

use super::Timestamp;
use crate::kafka::Letter;

/// What the `dlq` task is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DlqTask {
    /// One line per letter.
    List(Selection),
    /// Everything in each letter.
    Show(Selection),
    /// Send letters back to where they came from.
    Replay {
        /// Which ones.
        selection: Selection,
        /// Letters per second, at least one.
        rate: u32,
        /// Only say which ones it would be.
        is_dry_run: bool,
    },
}

/// Which letters; `None` stands for all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Only those set aside for this reason.
    pub reason: Option<String>,
    /// Only those set aside at this moment or later.
    pub since: Option<Timestamp>,
    /// Only those set aside before this moment.
    pub until: Option<Timestamp>,
    /// Only those in this partition of the dead-letter topic.
    pub partition: Option<i32>,
    /// Only the one at this offset.
    pub offset: Option<i64>,
    /// The first so many.
    pub limit: Option<usize>,
}

impl Selection {
    /// Whether the letter is wanted, the limit aside.
    pub(super) fn wants(&self, letter: &Letter) -> bool {
        let set_aside = set_aside(letter);
        self.reason.as_deref().is_none_or(|reason| letter.header("reason") == Some(reason))
            && self.since.is_none_or(|since| set_aside >= Some(since))
            && self.until.is_none_or(|until| set_aside.is_some_and(|moment| moment < until))
            && self.partition.is_none_or(|partition| letter.id.partition.0 == partition)
            && self.offset.is_none_or(|offset| letter.id.offset == offset)
    }
}

/// When the letter was set aside: as its header says or, in a foreign one, Kafka.
pub(super) fn set_aside(letter: &Letter) -> Option<Timestamp> {
    let noted = letter.header("time").and_then(|ms| ms.parse().ok());
    noted.or(letter.timestamp_ms).map(Timestamp)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kafka::{LetterId, PartitionId};

    /// Every filter narrows, and all of them have to agree.
    #[test]
    fn filters_agree() {
        let letter = Letter {
            id: LetterId { partition: PartitionId(2), offset: 7 },
            timestamp_ms: Some(9_000),
            headers: vec![
                ("otel.dlq.reason".to_owned(), "refused".to_owned()),
                ("otel.dlq.time".to_owned(), "5000".to_owned()),
            ],
            key: None,
            value: Vec::new(),
        };
        let at = |ms| Some(Timestamp(ms));
        let all = Selection {
            reason: Some("refused".to_owned()),
            since: at(5_000),
            until: at(5_001),
            partition: Some(2),
            offset: Some(7),
            limit: None,
        };
        assert!(all.wants(&letter) && Selection::default().wants(&letter));
        for other in [
            Selection { reason: Some("misframed".to_owned()), ..all.clone() },
            Selection { since: at(5_001), ..all.clone() },
            Selection { until: at(5_000), ..all.clone() },
            Selection { partition: Some(1), ..all.clone() },
            Selection { offset: Some(8), ..all },
        ] {
            assert!(!other.wants(&letter), "{other:?}");
        }
        let timeless = Letter { timestamp_ms: None, headers: Vec::new(), ..letter };
        for of_some_time in [
            Selection { since: at(i64::MIN), ..Selection::default() },
            Selection { until: at(i64::MAX), ..Selection::default() },
        ] {
            assert!(!of_some_time.wants(&timeless), "{of_some_time:?}");
        }
    }
}
