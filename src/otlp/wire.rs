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

const GROUP_START: u8 = 3;
const GROUP_END: u8 = 4;

/// The wire types of a message's known fields: entry 0 is field 1.
pub(super) type Schema = [Wire];

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
    #[inline]
    pub(super) fn field(&mut self, schema: &Schema) -> Result<Option<Field>, Malformed> {
        let start = self.at;
        if start == self.bytes.len() {
            return Ok(None);
        }
        let (number, wire) = self.tag()?;
        match schema.get((number as usize).wrapping_sub(1)) {
            Some(&known) if known as u8 == wire => {}
            Some(_) => return Err(malformed(start, "wrong wire type")),
            None if number == 0 => return Err(malformed(start, "field number 0")),
            None => {}
        }
        let value = self.skip_value(number, wire, start)?;
        Ok(Some(Field { number, wire, start, value, end: self.at }))
    }

    /// Reads a tag: the field's number (possibly 0) and its wire type (possibly none we know).
    #[inline]
    fn tag(&mut self) -> Result<(u32, u8), Malformed> {
        let start = self.at;
        let tag = self.varint()?;
        match u32::try_from(tag) {
            Ok(tag) => Ok((tag >> 3, (tag & 7) as u8)),
            Err(_) => Err(malformed(start, "tag above 2^32-1")),
        }
    }

    /// Steps over a value and answers where its content begins.
    #[inline]
    fn skip_value(&mut self, number: u32, wire: u8, start: usize) -> Result<usize, Malformed> {
        const VARINT: u8 = Wire::Varint as u8;
        const FIXED64: u8 = Wire::Fixed64 as u8;
        const BYTES: u8 = Wire::Bytes as u8;
        const FIXED32: u8 = Wire::Fixed32 as u8;
        let value = self.at;
        match wire {
            BYTES => {
                let len = self.varint()?;
                let value = self.at;
                self.step(len)?;
                return Ok(value);
            }
            VARINT => {
                self.varint()?;
            }
            FIXED64 => self.step(8)?,
            FIXED32 => self.step(4)?,
            GROUP_START => self.skip_group(number)?,
            GROUP_END => return Err(malformed(start, "end of a group that was not begun")),
            _ => return Err(malformed(start, "unknown wire type")),
        }
        Ok(value)
    }

    /// Moves on by `len` bytes, within the message.
    #[inline]
    fn step(&mut self, len: u64) -> Result<(), Malformed> {
        if len > (self.bytes.len() - self.at) as u64 {
            return Err(malformed(self.at, "value beyond the end of its message"));
        }
        self.at += len as usize;
        Ok(())
    }

    /// Reads a varint. One byte is by far the most common, two are the lengths of most spans.
    #[inline]
    fn varint(&mut self) -> Result<u64, Malformed> {
        match self.bytes[self.at..] {
            [low, ..] if low < 0x80 => {
                self.at += 1;
                Ok(u64::from(low))
            }
            [low, high, ..] if high < 0x80 => {
                self.at += 2;
                Ok(u64::from(low & 0x7f) | u64::from(high) << 7)
            }
            _ => self.varint_long(),
        }
    }

    #[cold]
    fn varint_long(&mut self) -> Result<u64, Malformed> {
        let start = self.at;
        let mut value = 0;
        for (index, &byte) in self.bytes[start..].iter().take(VARINT_LEN_MAX).enumerate() {
            value |= u64::from(byte & 0x7f) << (7 * index);
            if byte < 0x80 {
                if index + 1 == VARINT_LEN_MAX && byte > 1 {
                    return Err(malformed(start, "varint above 2^64-1"));
                }
                self.at = start + index + 1;
                return Ok(value);
            }
        }
        Err(malformed(start, "varint without end"))
    }

    /// Steps over the rest of a group whose start tag has been read, and the groups within it.
    #[cold]
    fn skip_group(&mut self, number: u32) -> Result<(), Malformed> {
        let mut open = [0; GROUP_DEPTH_MAX];
        open[0] = number;
        let mut depth = 1;
        while depth > 0 {
            let start = self.at;
            if start == self.bytes.len() {
                return Err(malformed(start, "group without end"));
            }
            let (number, wire) = self.tag()?;
            match wire {
                _ if number == 0 => return Err(malformed(start, "field number 0")),
                GROUP_START if depth == GROUP_DEPTH_MAX => {
                    return Err(malformed(start, GROUPS_TOO_DEEP));
                }
                GROUP_START => {
                    open[depth] = number;
                    depth += 1;
                }
                GROUP_END if open[depth - 1] == number => depth -= 1,
                GROUP_END => return Err(malformed(start, "end of another group")),
                _ => {
                    self.skip_value(number, wire, start)?;
                }
            }
        }
        Ok(())
    }
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
