//! Protobuf's wire format: a cursor that yields the fields of one message, in place.
//!
//! Pure; called by publish workers (the split) and by the forwarder (the framing walk). It accepts
//! and refuses what prost does: varints of up to ten bytes, shortest form not required; wire types
//! 6 and 7, field 0, tags above 2^32-1, lengths beyond the enclosing message and wrong wire types
//! of known fields are malformed. One difference: groups may nest 64 deep here, 100 in prost.
//! It must never panic or recurse, whatever the bytes are.

use crate::limits::GROUP_DEPTH_MAX;

/// Bytes that are not the protobuf message they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{what} at byte {offset}")]
pub struct Malformed {
    /// Where in the request or record, in bytes from its start.
    pub offset: usize,
    /// What is wrong there.
    pub what: &'static str,
}

/// How a field's value is laid out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Wire {
    Varint = 0,
    Fixed64 = 1,
    Bytes = 2,
    Fixed32 = 5,
}

const VARINT: u8 = Wire::Varint as u8;
const FIXED64: u8 = Wire::Fixed64 as u8;
const BYTES: u8 = Wire::Bytes as u8;
const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;
const FIXED32: u8 = Wire::Fixed32 as u8;

/// The wire types of a message's known fields, three bits per field number.
///
/// In a register rather than a table: it is asked for every field of every span.
#[derive(Clone, Copy)]
pub(super) struct Schema(u64);

impl Schema {
    /// The schema of a message whose fields are numbered from 1, without gaps, in this order.
    pub(super) const fn new(fields: &[Wire]) -> Self {
        assert!(fields.len() < Self::FIELDS_MAX as usize);
        let mut bits = u64::MAX;
        let mut index = 0;
        while index < fields.len() {
            let shift = 3 * (index + 1);
            bits = bits & !(7 << shift) | (fields[index] as u64) << shift;
            index += 1;
        }
        Self(bits)
    }

    /// The wire type of a field, or `UNKNOWN`.
    #[inline(always)]
    fn wire(self, number: u32) -> u8 {
        if number < Self::FIELDS_MAX { (self.0 >> (3 * number)) as u8 & 7 } else { Self::UNKNOWN }
    }

    const FIELDS_MAX: u32 = u64::BITS / 3;
    const UNKNOWN: u8 = 7;
}

/// One field: where it lies and what it is.
#[derive(Clone, Copy)]
pub(super) struct Field {
    pub(super) number: u32,
    pub(super) wire: u8,
    /// Of the tag, from the start of the request.
    pub(super) start: usize,
    /// Of the value, after the tag and the length.
    pub(super) value: usize,
    /// Just past the value.
    pub(super) end: usize,
}

impl Field {
    /// Length of the value in bytes.
    pub(super) fn value_len(&self) -> usize {
        self.end - self.value
    }
}

/// Walks the fields of one message.
///
/// It holds the request up to the message's end, so that every position it yields counts from the
/// request's start. Invariant: `at <= bytes.len()`.
pub(super) struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Cursor<'a> {
    /// A cursor over the message `request[at..end]`, which must lie within `request`.
    pub(super) fn new(request: &'a [u8], at: usize, end: usize) -> Self {
        debug_assert!(at <= end);
        Self { bytes: &request[..end], at }
    }

    /// The next field, checked against the message's known fields; `None` at the message's end.
    // Always inlined, and what is rare moved out by value: the position then stays in a register,
    // which makes the scan several times faster.
    #[inline(always)]
    pub(super) fn field(&mut self, schema: Schema) -> Result<Option<Field>, Malformed> {
        let start = self.at;
        if start == self.bytes.len() {
            return Ok(None);
        }
        let (number, wire, value) = tag(self.bytes, start)?;
        match schema.wire(number) {
            known if known == wire => {}
            Schema::UNKNOWN if number > 0 => {}
            Schema::UNKNOWN => return Err(malformed(start, "field number 0")),
            _ => return Err(malformed(start, "wrong wire type")),
        }
        let (value, end) = match wire {
            BYTES => bytes_value(self.bytes, value)?,
            VARINT => (value, varint(self.bytes, value)?.1),
            _ => (value, rare_value_end(self.bytes, value, number, wire)?),
        };
        self.at = end;
        Ok(Some(Field { number, wire, start, value, end }))
    }
}

/// Reads a tag: the field's number (possibly 0), its wire type (possibly none we know), its end.
#[inline(always)]
fn tag(bytes: &[u8], at: usize) -> Result<(u32, u8, usize), Malformed> {
    let (tag, end) = varint(bytes, at)?;
    match u32::try_from(tag) {
        Ok(tag) => Ok((tag >> 3, (tag & 7) as u8, end)),
        Err(_) => Err(malformed(at, "tag above 2^32-1")),
    }
}

/// Reads a varint and answers where it ends. One byte is by far the most common, two are the
/// length of most spans.
#[inline(always)]
fn varint(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    match bytes[at..] {
        [low, ..] if low < 0x80 => Ok((u64::from(low), at + 1)),
        [low, high, ..] if high < 0x80 => {
            Ok((u64::from(low & 0x7f) | u64::from(high) << 7, at + 2))
        }
        _ => varint_long(bytes, at),
    }
}

#[cold]
fn varint_long(bytes: &[u8], at: usize) -> Result<(u64, usize), Malformed> {
    let mut value = 0;
    for (index, &byte) in bytes[at..].iter().take(VARINT_LEN_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * index);
        if byte < 0x80 {
            if index + 1 == VARINT_LEN_MAX && byte > 1 {
                return Err(malformed(at, "varint above 2^64-1"));
            }
            return Ok((value, at + index + 1));
        }
    }
    Err(malformed(at, "varint without end"))
}

/// Where the content of a length-delimited value begins and ends.
#[inline(always)]
fn bytes_value(bytes: &[u8], at: usize) -> Result<(usize, usize), Malformed> {
    let (len, value) = varint(bytes, at)?;
    Ok((value, step(bytes, value, len)?))
}

/// The position `len` bytes on, within the message.
#[inline(always)]
fn step(bytes: &[u8], at: usize, len: u64) -> Result<usize, Malformed> {
    if len > (bytes.len() - at) as u64 {
        return Err(malformed(at, "value beyond the end of its message"));
    }
    Ok(at + len as usize)
}

/// Where a value ends that is neither length-delimited nor a varint.
#[inline]
fn rare_value_end(bytes: &[u8], at: usize, number: u32, wire: u8) -> Result<usize, Malformed> {
    match wire {
        FIXED64 => step(bytes, at, 8),
        FIXED32 => step(bytes, at, 4),
        GROUP_START => group_end(bytes, at, number),
        GROUP_END => Err(malformed(at, "end of a group that was not begun")),
        _ => Err(malformed(at, "unknown wire type")),
    }
}

/// Where a group ends whose start tag lies before `at`, with the groups within it.
#[cold]
fn group_end(bytes: &[u8], mut at: usize, number: u32) -> Result<usize, Malformed> {
    let mut open = [0; GROUP_DEPTH_MAX];
    open[0] = number;
    let mut depth = 1;
    while depth > 0 {
        let start = at;
        if start == bytes.len() {
            return Err(malformed(start, "group without end"));
        }
        let (number, wire, value) = tag(bytes, start)?;
        at = match wire {
            _ if number == 0 => return Err(malformed(start, "field number 0")),
            GROUP_START if depth == GROUP_DEPTH_MAX => {
                return Err(malformed(start, GROUPS_TOO_DEEP));
            }
            GROUP_START => {
                open[depth] = number;
                depth += 1;
                value
            }
            GROUP_END if open[depth - 1] != number => {
                return Err(malformed(start, "end of another group"));
            }
            GROUP_END => {
                depth -= 1;
                value
            }
            BYTES => bytes_value(bytes, value)?.1,
            VARINT => varint(bytes, value)?.1,
            FIXED64 => step(bytes, value, 8)?,
            FIXED32 => step(bytes, value, 4)?,
            _ => return Err(malformed(start, "unknown wire type")),
        };
    }
    Ok(at)
}

/// Length of `value` as a varint, in bytes.
#[inline]
pub(super) fn varint_len(value: usize) -> usize {
    // Seven bits per byte; `| 1` because zero takes a byte too.
    ((value | 1).ilog2() as usize) / 7 + 1
}

/// Appends `value` as a varint in its shortest form.
#[inline]
pub(super) fn push_varint(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

#[cold]
pub(super) fn malformed(offset: usize, what: &'static str) -> Malformed {
    Malformed { offset, what }
}

/// Named because it is where this decoder refuses what prost accepts.
pub(super) const GROUPS_TOO_DEEP: &str = "groups nested too deep";

const VARINT_LEN_MAX: usize = 10;
