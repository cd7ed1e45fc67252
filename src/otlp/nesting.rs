//! The nesting guard: finds attribute values that nest deeper than readers survive.
//!
//! Pure; called by the scan. It walks the containers of an attribute value (arrays and key-value
//! lists) on a stack of its own and never recurses: the decoders behind Kafka do, without limit in
//! Jaeger, and a record that kills its reader kills it again after every restart.
//!
//! What counts is messages, as decoders count them: an array and the value in it are two. Most
//! values are never opened: a message in a message takes at least two bytes, its tag and its
//! length, so a short value cannot be too deep.

use super::schema::{ANY_VALUE, ARRAY_VALUE, KEY_VALUE, KEY_VALUE_LIST};
use super::wire::{Cursor, Malformed, Schema};
use crate::limits::NESTING_MESSAGES_MAX;

/// The shortest message that could hold a value nested too deep, in bytes.
pub(super) const SUSPECT_BYTES_MIN: usize = nested_bytes_min(NESTING_MESSAGES_MAX);

/// Whether any of the attributes in the message `request[at..end]` nests too deep; `attributes` is
/// the number of the message's field that holds them.
pub(super) fn any_attribute_too_deep(
    request: &[u8],
    (at, end): (usize, usize),
    schema: Schema,
    attributes: u32,
) -> Result<bool, Malformed> {
    if end - at < SUSPECT_BYTES_MIN {
        return Ok(false);
    }
    let mut message = Cursor::new(request, at, end);
    while let Some(field) = message.field(schema)? {
        if field.number == attributes && attribute_too_deep(request, field.value, field.end)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether the attribute, the KeyValue `request[at..end]`, nests too deep.
#[inline]
pub(super) fn attribute_too_deep(request: &[u8], at: usize, end: usize) -> Result<bool, Malformed> {
    if end - at < SUSPECT_BYTES_MIN { Ok(false) } else { walk(request, at, end) }
}

/// The messages of which an attribute's value is made.
#[derive(Clone, Copy)]
enum Message {
    KeyValue,
    AnyValue,
    ArrayValue,
    KeyValueList,
}

/// The field numbers of AnyValue's two containers, and of what else can hold a value.
const KEY_VALUE_VALUE: u32 = 2;
const ANY_VALUE_ARRAY: u32 = 5;
const ANY_VALUE_LIST: u32 = 6;
const CONTAINER_ENTRIES: u32 = 1;

impl Message {
    fn schema(self) -> Schema {
        match self {
            Self::KeyValue => KEY_VALUE,
            Self::AnyValue => ANY_VALUE,
            Self::ArrayValue => ARRAY_VALUE,
            Self::KeyValueList => KEY_VALUE_LIST,
        }
    }

    /// The message in this one's field `number`, if values can nest in it.
    fn child(self, number: u32) -> Option<Self> {
        match (self, number) {
            (Self::KeyValue, KEY_VALUE_VALUE) => Some(Self::AnyValue),
            (Self::AnyValue, ANY_VALUE_ARRAY) => Some(Self::ArrayValue),
            (Self::AnyValue, ANY_VALUE_LIST) => Some(Self::KeyValueList),
            (Self::ArrayValue, CONTAINER_ENTRIES) => Some(Self::AnyValue),
            (Self::KeyValueList, CONTAINER_ENTRIES) => Some(Self::KeyValue),
            _ => None,
        }
    }
}

fn walk(request: &[u8], at: usize, end: usize) -> Result<bool, Malformed> {
    let mut open = [(Message::KeyValue, end); NESTING_MESSAGES_MAX];
    let mut open_count = 1;
    let mut at = at;
    while open_count > 0 {
        let (message, end) = open[open_count - 1];
        let Some(field) = Cursor::new(request, at, end).field(message.schema())? else {
            open_count -= 1;
            continue;
        };
        at = field.end;
        let Some(child) = message.child(field.number) else { continue };
        let Some(place) = open.get_mut(open_count) else { return Ok(true) };
        // Too short to hold what is left to the limit and one more?
        if field.value_len() < nested_bytes_min(NESTING_MESSAGES_MAX - open_count) {
            continue;
        }
        *place = (child, field.end);
        open_count += 1;
        at = field.value;
    }
    Ok(false)
}

/// The least bytes of a message in which `count` messages lie in one another: tag and length each,
/// and two bytes of length from the 65th, which holds the 128 bytes of the others.
const fn nested_bytes_min(count: usize) -> usize {
    if count <= 64 { 2 * count } else { 128 + 3 * (count - 64) }
}
