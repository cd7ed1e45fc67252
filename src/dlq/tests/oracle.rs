//! What must hold for any record of the dead-letter topic, and for any moment that is typed.
//!
//! Used by the replay of the fuzz corpus and by the fuzz target.
//!
//! The input is a byte of flags, the timestamp and the key that they announce, the number of
//! headers, each header as name and value with their lengths before them in one byte, and the
//! record's value. What is missing at the end is empty.

use crate::{
    dlq::{
        Selection, Timestamp,
        list::{line, original, titles},
        selection::set_aside,
        show::page,
    },
    kafka::{Found, Letter, LetterId, PartitionId},
};

const HAS_VALUE: u8 = 1;
const HAS_KEY: u8 = 2;
const HAS_TIMESTAMP: u8 = 4;
/// The second header's value is null.
const HAS_NULL: u8 = 8;

/// Reads the record that `input` describes; panics where a promise is broken.
pub(crate) fn check(input: &[u8]) {
    let (record, has_value) = record(input);
    match Found::new(record.clone(), has_value) {
        Found::Replayed(id) => {
            assert!(!has_value, "a letter is taken for a mark");
            check_mark(id);
        }
        Found::Letter(letter) => {
            assert_eq!(letter, record);
            check_mark(letter.id);
            check_texts(&letter);
            check_selection(&letter);
            check_origin(&letter);
        }
    }
    for (_, text) in &record.headers {
        check_moment(text);
    }
}

/// Takes `input` apart.
fn record(input: &[u8]) -> (Letter, bool) {
    let mut input = Input(input);
    let flags = input.byte();
    let mut record = Letter {
        id: LetterId { partition: PartitionId(3), offset: 7 },
        timestamp_ms: (flags & HAS_TIMESTAMP != 0).then(|| input.number()),
        headers: Vec::new(),
        key: (flags & HAS_KEY != 0).then(|| input.text().to_vec()),
        value: Vec::new(),
    };
    for index in 0..input.byte() {
        // librdkafka hands names over as C strings.
        let name = input.text().split(|byte| *byte == 0).next().unwrap_or_default();
        let is_null = index == 1 && flags & HAS_NULL != 0;
        record.add_header(name, (!is_null).then(|| input.text()));
    }
    let has_value = flags & HAS_VALUE != 0;
    if has_value {
        record.value = input.0.to_vec();
    }
    (record, has_value)
}

struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn take(&mut self, bytes: usize) -> &'a [u8] {
        let (taken, rest) = self.0.split_at(bytes.min(self.0.len()));
        self.0 = rest;
        taken
    }

    fn byte(&mut self) -> u8 {
        self.take(1).first().copied().unwrap_or_default()
    }

    fn number(&mut self) -> i64 {
        self.take(8).iter().fold(0, |number, byte| number << 8 | i64::from(*byte))
    }

    fn text(&mut self) -> &'a [u8] {
        let bytes = self.byte();
        self.take(usize::from(bytes))
    }
}

/// A mark that is written for a letter is read as that letter's.
fn check_mark(id: LetterId) {
    let mut mark =
        Letter { id, timestamp_ms: None, headers: Vec::new(), key: None, value: Vec::new() };
    mark.add_header(b"otel.dlq.replayed", Some(id.to_string().as_bytes()));
    assert_eq!(Found::new(mark, false), Found::Replayed(id));
}

/// One line is one line, a page has as many as there is to say, and nothing moves the cursor,
/// colours the text or turns its direction.
fn check_texts(letter: &Letter) {
    let bare = Letter { headers: Vec::new(), ..letter.clone() };
    for is_replayed in [false, true] {
        let (line, page) = (line(letter, is_replayed), page(letter, is_replayed));
        assert_eq!(line.matches('\n').count(), 1, "{line:?}");
        let without_headers = self::page(&bare, is_replayed).matches('\n').count();
        let lines = page.matches('\n').count();
        assert_eq!(lines, without_headers + letter.headers.len(), "{page:?}");
        assert!(page.starts_with(&(titles() + &line)));
        assert_harmless(&page);
    }
    assert_harmless(&original(letter));
}

fn assert_harmless(text: &str) {
    let turns = ['\u{61c}', '\u{200e}', '\u{200f}', '\u{2028}', '\u{2029}'];
    let harmful = |c: char| {
        (c.is_control() && c != '\n')
            || turns.contains(&c)
            || ('\u{202a}'..='\u{202e}').contains(&c)
            || ('\u{2066}'..='\u{2069}').contains(&c)
    };
    assert!(!text.contains(harmful), "{text:?}");
}

/// A letter is among those from its own moment on, not among those before it; one without a moment
/// is among neither.
fn check_selection(letter: &Letter) {
    let all = Selection::default;
    assert!(all().wants(letter));
    let reason = letter.header("reason").map(str::to_owned);
    assert!(Selection { reason, ..all() }.wants(letter));
    let from = |moment| Selection { since: Some(moment), ..all() }.wants(letter);
    let before = |moment| Selection { until: Some(moment), ..all() }.wants(letter);
    match set_aside(letter) {
        None => assert!(!from(Timestamp(i64::MIN)) && !before(Timestamp(i64::MAX))),
        Some(moment) => {
            assert!(from(moment) && !before(moment));
            let next = moment.0.checked_add(1).map(Timestamp);
            assert!(next.is_none_or(|next| !from(next) && before(next)));
            check_moment(&moment.to_string());
        }
    }
}

/// A letter is sent to where Kafka can have had it, or nowhere.
fn check_origin(letter: &Letter) {
    let Some(origin) = letter.origin() else { return };
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let topic = origin.topic;
    assert!((1..=249).contains(&topic.len()) && topic.bytes().all(legal), "{topic:?}");
    assert!(origin.partition.0 >= 0, "{origin:?}");
}

/// What is read as a moment is the moment that it names, and is written so.
fn check_moment(text: &str) {
    let Ok(moment) = text.parse::<Timestamp>() else { return };
    let shown = moment.to_string();
    assert_eq!(shown.parse(), Ok(moment), "{text}");
    let numbers = |text: &str| {
        let parts = text.trim_end_matches('Z').split(['-', 'T', ':', '.']);
        let numbers = parts.take(6).map(|part| part.parse::<u64>().unwrap_or(u64::MAX));
        numbers.collect::<Vec<_>>()
    };
    assert_eq!(numbers(&shown), numbers(text));
}
