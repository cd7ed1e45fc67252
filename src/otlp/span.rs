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
    let mut trace_id = Id::<{ TraceId::LEN }>::ABSENT;
    let mut span_id = Id::<SPAN_ID_LEN>::ABSENT;
    let mut parent_span_id = Id::<SPAN_ID_LEN>::ABSENT;
    let mut inner = None;

    let mut span = Cursor::new(request, at, end);
    while let Some(field) = span.field(SPAN)? {
        match field.number {
            SPAN_TRACE_ID => trace_id.see(field),
            SPAN_SPAN_ID => span_id.see(field),
            SPAN_PARENT_SPAN_ID => parent_span_id.see(field),
            SPAN_LINKS => inner = inner.or(scan_link(request, field)?),
            SPAN_ATTRIBUTES | SPAN_EVENTS if field.value_len() >= SUSPECT_BYTES_MIN => {
                inner = inner.or(scan_suspect(request, field)?);
            }
            _ => {}
        }
    }

    if !trace_id.is_valid(request) {
        return Ok(Err(RejectReason::TraceId));
    }
    if !span_id.is_valid(request) {
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
struct Id<const LEN: usize> {
    at: usize,
    /// Whether the last occurrence is `LEN` bytes long, at `at`.
    is_present: bool,
    bad_length: bool,
}

impl<const LEN: usize> Id<LEN> {
    const ABSENT: Self = Self { at: 0, is_present: false, bad_length: false };

    #[inline(always)]
    fn see(&mut self, field: Field) {
        let len = field.value_len();
        self.at = field.value;
        self.is_present = len == LEN;
        self.bad_length |= (len != LEN) & (len != 0);
    }

    /// Whether this is an id of the right length that is not all zero.
    #[inline(always)]
    fn is_valid(&self, request: &[u8]) -> bool {
        let id = request[self.at..].first_chunk::<LEN>();
        self.is_present & !self.bad_length && id.is_some_and(|id| id != &[0; LEN])
    }
}

/// Checks a link: always opened, since links are few and a bad id in one is as bad as the span's.
/// An absent id is let through: every decoder reads it as the zero id.
fn scan_link(request: &[u8], field: Field) -> Result<Option<RejectReason>, Malformed> {
    let mut trace_id = Id::<{ TraceId::LEN }>::ABSENT;
    let mut span_id = Id::<SPAN_ID_LEN>::ABSENT;
    let mut too_deep = false;
    let mut link = Cursor::new(request, field.value, field.end);
    while let Some(field) = link.field(LINK)? {
        match field.number {
            LINK_TRACE_ID => trace_id.see(field),
            LINK_SPAN_ID => span_id.see(field),
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
fn scan_suspect(request: &[u8], field: Field) -> Result<Option<RejectReason>, Malformed> {
    let too_deep = if field.number == SPAN_EVENTS {
        let event = (field.value, field.end);
        any_attribute_too_deep(request, event, EVENT, EVENT_ATTRIBUTES)?
    } else {
        attribute_too_deep(request, field.value, field.end)?
    };
    Ok(too_deep.then_some(RejectReason::Nesting))
}

const SPAN_ID_LEN: usize = 8;
