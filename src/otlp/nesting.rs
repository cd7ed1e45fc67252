//! The nesting guard: finds attribute values that nest deeper than readers survive.
//!
//! Pure; called by the scan. It walks the containers of an attribute value (arrays and key-value
//! lists) on a stack of its own and never recurses: the decoders behind Kafka do, without limit in
//! Jaeger, and a record that kills its reader kills it again after every restart.
//!
//! Most values are never opened: a level of nesting takes at least four bytes (tag and length of
//! the container, tag and length of the value in it), so a short value cannot be too deep.

use super::schema::{ANY_VALUE, ARRAY_VALUE, KEY_VALUE, KEY_VALUE_LIST};
use super::wire::{Cursor, Malformed, Schema};
use crate::limits::NESTING_DEPTH_MAX;

/// The shortest message that could hold a value nested too deep, in bytes.
pub(super) const SUSPECT_BYTES_MIN: usize = NESTING_DEPTH_MAX * LEVEL_BYTES_MIN;

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
    let mut open = [(Message::KeyValue, end); OPEN_MAX];
    let mut open_count = 1;
    let mut depth = 0;
    let mut at = at;
    while open_count > 0 {
        let (message, end) = open[open_count - 1];
        let Some(field) = Cursor::new(request, at, end).field(message.schema())? else {
            open_count -= 1;
            depth -= usize::from(matches!(message, Message::AnyValue));
            continue;
        };
        at = field.end;
        let Some(child) = message.child(field.number) else { continue };
        if matches!(child, Message::AnyValue) {
            if depth == NESTING_DEPTH_MAX {
                return Ok(true);
            }
            // The child would be at depth + 1: too short to reach what is left?
            if field.value_len() < (NESTING_DEPTH_MAX - depth) * LEVEL_BYTES_MIN {
                continue;
            }
            depth += 1;
        }
        open[open_count] = (child, field.end);
        open_count += 1;
        at = field.value;
    }
    Ok(false)
}

/// Tag and length of a container, tag and length of the value in it.
const LEVEL_BYTES_MIN: usize = 4;

/// Open messages: the attribute, and per level a value, its list and the list's entry.
const OPEN_MAX: usize = 1 + 3 * NESTING_DEPTH_MAX;
