//! One span: its framing, its ids and its nesting, read where it lies.
//!
//! Pure; the scan's inner loop, and with it the hottest code of the product. The whole span is
//! walked before its verdict: the trace id may be its last field (the Collector writes fields
//! backwards), and a malformed field after a bad id still makes the request malformed.
//! What is not opened is not checked: an event below 256 bytes, the status, the text of strings.

use super::TraceId;
use super::nesting::{SUSPECT_BYTES_MIN, any_attribute_too_deep, attribute_too_deep};
use super::reject::RejectReason;
use super::schema::{
    EVENT, EVENT_ATTRIBUTES, LINK, LINK_ATTRIBUTES, LINK_SPAN_ID, LINK_TRACE_ID, SPAN,
    SPAN_ATTRIBUTES, SPAN_EVENTS, SPAN_LINKS, SPAN_PARENT_SPAN_ID, SPAN_SPAN_ID, SPAN_TRACE_ID,
};
use super::wire::{Cursor, Field, Malformed};

/// What becomes of a span: its trace id's position in the request, or why it is rejected.
pub(super) type Verdict = Result<u32, RejectReason>;

/// Walks the span `request[at..end]`.
#[inline]
pub(super) fn scan_span(request: &[u8], at: usize, end: usize) -> Result<Verdict, Malformed> {
    let mut trace_id = Id::ABSENT;
    let mut span_id = Id::ABSENT;
    let mut parent_span_id = Id::ABSENT;
    let mut inner = None;

    let mut span = Cursor::new(request, at, end);
    while let Some(field) = span.field(&SPAN)? {
        match field.number {
            SPAN_TRACE_ID => trace_id.see(&field, TraceId::LEN),
            SPAN_SPAN_ID => span_id.see(&field, SPAN_ID_LEN),
            SPAN_PARENT_SPAN_ID => parent_span_id.see(&field, SPAN_ID_LEN),
            SPAN_LINKS => inner = inner.or(scan_link(request, &field)?),
            SPAN_ATTRIBUTES | SPAN_EVENTS if field.value_len() >= SUSPECT_BYTES_MIN => {
                inner = inner.or(scan_suspect(request, &field)?);
            }
            _ => {}
        }
    }

    if !trace_id.is_valid::<{ TraceId::LEN }>(request) {
        return Ok(Err(RejectReason::TraceId));
    }
    if !span_id.is_valid::<SPAN_ID_LEN>(request) {
        return Ok(Err(RejectReason::SpanId));
    }
    if parent_span_id.bad_length {
        return Ok(Err(RejectReason::ParentSpanId));
    }
    Ok(inner.map_or(Ok(trace_id.at as u32), Err))
}

/// An id as the span's fields have told it so far.
///
/// The last occurrence is the id, as protobuf has it. A wrong length in *any* occurrence is
/// remembered: Jaeger's decoder fails on it before it sees the next one. Length zero is the
/// absent id.
struct Id {
    at: usize,
    len: usize,
    bad_length: bool,
}

impl Id {
    const ABSENT: Self = Self { at: 0, len: 0, bad_length: false };

    #[inline]
    fn see(&mut self, field: &Field, len_expected: usize) {
        self.at = field.value;
        self.len = field.value_len();
        self.bad_length |= self.len != len_expected && self.len != 0;
    }

    /// Whether this is an id of `LEN` bytes that are not all zero.
    #[inline]
    fn is_valid<const LEN: usize>(&self, request: &[u8]) -> bool {
        let id = request.get(self.at..self.at + self.len).and_then(|id| id.first_chunk::<LEN>());
        !self.bad_length && id.is_some_and(|id| id != &[0; LEN])
    }
}

/// Checks a link: always opened, since links are few and a bad id in one is as bad as the span's.
/// An absent id is let through: every decoder reads it as the zero id.
fn scan_link(request: &[u8], field: &Field) -> Result<Option<RejectReason>, Malformed> {
    let mut trace_id = Id::ABSENT;
    let mut span_id = Id::ABSENT;
    let mut too_deep = false;
    let mut link = Cursor::new(request, field.value, field.end);
    while let Some(field) = link.field(&LINK)? {
        match field.number {
            LINK_TRACE_ID => trace_id.see(&field, TraceId::LEN),
            LINK_SPAN_ID => span_id.see(&field, SPAN_ID_LEN),
            LINK_ATTRIBUTES => too_deep |= attribute_too_deep(request, field.value, field.end)?,
            _ => {}
        }
    }
    if trace_id.bad_length || span_id.bad_length {
        return Ok(Some(RejectReason::LinkId));
    }
    Ok(too_deep.then_some(RejectReason::Nesting))
}

/// Opens an attribute or an event that is long enough to nest too deep.
#[cold]
fn scan_suspect(request: &[u8], field: &Field) -> Result<Option<RejectReason>, Malformed> {
    let too_deep = if field.number == SPAN_EVENTS {
        let event = (field.value, field.end);
        any_attribute_too_deep(request, event, &EVENT, EVENT_ATTRIBUTES)?
    } else {
        attribute_too_deep(request, field.value, field.end)?
    };
    Ok(too_deep.then_some(RejectReason::Nesting))
}

const SPAN_ID_LEN: usize = 8;
