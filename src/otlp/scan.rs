//! The one pass over a request: where its spans lie, and the headers they are repeated with.
//!
//! Pure; called by the splitter. A *header* is what a message holds besides the spans below it:
//! of the request its unknown fields, of a ResourceSpans the Resource and the schema URL, of a
//! ScopeSpans the scope and the schema URL, and of each whatever a later version may add. Headers
//! and spans are ranges of the request; nothing is copied and nothing is decoded.
//!
//! Blocks without an accepted span are forgotten as soon as they end, so what is kept is bounded
//! by the spans that are kept.

use super::nesting::any_attribute_too_deep;
use super::reject::{RejectReason, Rejections};
use super::schema::{
    REQUEST, REQUEST_RESOURCE_SPANS, RESOURCE, RESOURCE_ATTRIBUTES, RESOURCE_SPANS,
    RESOURCE_SPANS_RESOURCE, RESOURCE_SPANS_SCOPE_SPANS, RESOURCE_SPANS_SCOPE_SPANS_OLD, SCOPE,
    SCOPE_ATTRIBUTES, SCOPE_SPANS, SCOPE_SPANS_SCOPE, SCOPE_SPANS_SPANS,
};
use super::span::scan_span;
use super::wire::{Cursor, Field, Malformed, Wire, malformed};

/// An accepted span.
#[derive(Clone, Copy)]
pub(super) struct Span {
    /// Of the field, tag and length included: spans are copied with both.
    pub(super) start: u32,
    pub(super) end: u32,
    pub(super) trace_id_at: u32,
    /// Index into [`Scan::scopes`].
    pub(super) scope: u32,
}

impl Span {
    pub(super) fn len(&self) -> usize {
        (self.end - self.start) as usize
    }
}

/// A ScopeSpans that holds accepted spans.
#[derive(Clone, Copy)]
pub(super) struct Scope {
    pub(super) header: Header,
    /// Index into [`Scan::resources`].
    pub(super) resource: u32,
    /// The field of ResourceSpans it was found in, and is written to again.
    pub(super) field_number: u32,
}

/// A header: its pieces, in one of the piece lists of [`Scan`], and their length together.
#[derive(Clone, Copy, Default)]
pub(super) struct Header {
    pub(super) pieces_start: u32,
    pub(super) pieces_end: u32,
    pub(super) bytes: u32,
}

/// A run of header fields, as a range of the request.
#[derive(Clone, Copy)]
pub(super) struct Piece {
    pub(super) start: u32,
    pub(super) end: u32,
}

/// The header pieces of all messages of one level, one message after the other.
#[derive(Default)]
pub(super) struct Pieces(Vec<Piece>);

impl Pieces {
    fn open(&self) -> Header {
        let end = self.0.len() as u32;
        Header { pieces_start: end, pieces_end: end, bytes: 0 }
    }

    /// Adds a field to the header that was opened last. Neighbours become one piece.
    fn push(&mut self, header: &mut Header, field: &Field) {
        let (start, end) = (field.start as u32, field.end as u32);
        header.bytes += end - start;
        match self.0[header.pieces_start as usize..].last_mut() {
            Some(last) if last.end == start => last.end = end,
            _ => {
                self.0.push(Piece { start, end });
                header.pieces_end += 1;
            }
        }
    }

    fn forget(&mut self, header: &Header) {
        self.0.truncate(header.pieces_start as usize);
    }

    pub(super) fn of(&self, header: &Header) -> &[Piece] {
        &self.0[header.pieces_start as usize..header.pieces_end as usize]
    }
}

/// What one pass over a request found. Reused: a request leaves its capacity to the next.
#[derive(Default)]
pub(super) struct Scan {
    /// In the order of the request.
    pub(super) spans: Vec<Span>,
    pub(super) scopes: Vec<Scope>,
    pub(super) resources: Vec<Header>,
    pub(super) request_header: Header,
    pub(super) request_pieces: Pieces,
    pub(super) resource_pieces: Pieces,
    pub(super) scope_pieces: Pieces,
    pub(super) rejections: Rejections,
}

impl Scan {
    /// Reads `request`, an ExportTraceServiceRequest of less than 4 GiB, in place of what was here.
    pub(super) fn read(&mut self, request: &[u8]) -> Result<(), Malformed> {
        if u32::try_from(request.len()).is_err() {
            return Err(malformed(0, "request of 4 GiB or more"));
        }
        self.clear();
        let mut header = self.request_pieces.open();
        let mut message = Cursor::new(request, 0, request.len());
        while let Some(field) = message.field(REQUEST)? {
            if field.number == REQUEST_RESOURCE_SPANS {
                self.resource_spans(request, &field)?;
            } else {
                self.request_pieces.push(&mut header, &field);
            }
        }
        self.request_header = header;
        Ok(())
    }

    fn resource_spans(&mut self, request: &[u8], field: &Field) -> Result<(), Malformed> {
        let (spans_before, scopes_before) = (self.spans.len(), self.scopes.len());
        let scope_pieces_before = self.scope_pieces.open();
        let mut header = self.resource_pieces.open();
        let mut too_deep = false;

        let mut message = Cursor::new(request, field.value, field.end);
        while let Some(field) = message.field(RESOURCE_SPANS)? {
            match field.number {
                RESOURCE_SPANS_SCOPE_SPANS => self.scope_spans(request, &field)?,
                RESOURCE_SPANS_SCOPE_SPANS_OLD => {
                    if field.wire != Wire::Bytes as u8 {
                        return Err(malformed(field.start, "wrong wire type"));
                    }
                    self.scope_spans(request, &field)?;
                }
                _ => {
                    if field.number == RESOURCE_SPANS_RESOURCE {
                        let at = (field.value, field.end);
                        too_deep |=
                            any_attribute_too_deep(request, at, RESOURCE, RESOURCE_ATTRIBUTES)?;
                    }
                    self.resource_pieces.push(&mut header, &field);
                }
            }
        }

        // Only here: the Resource may be the last field.
        if too_deep {
            self.reject_since(spans_before, RejectReason::ResourceNesting);
            self.scopes.truncate(scopes_before);
            self.scope_pieces.forget(&scope_pieces_before);
        }
        if self.spans.len() == spans_before {
            self.resource_pieces.forget(&header);
        } else {
            self.resources.push(header);
        }
        Ok(())
    }

    fn scope_spans(&mut self, request: &[u8], field: &Field) -> Result<(), Malformed> {
        let spans_before = self.spans.len();
        let scope = self.scopes.len() as u32;
        let field_number = field.number;
        let mut header = self.scope_pieces.open();
        let mut too_deep = false;

        let mut message = Cursor::new(request, field.value, field.end);
        while let Some(field) = message.field(SCOPE_SPANS)? {
            if field.number == SCOPE_SPANS_SPANS {
                match scan_span(request, field.value, field.end)? {
                    Ok(trace_id_at) => {
                        let (start, end) = (field.start as u32, field.end as u32);
                        self.spans.push(Span { start, end, trace_id_at, scope });
                    }
                    Err(reason) => self.rejections.add(reason, 1),
                }
                continue;
            }
            if field.number == SCOPE_SPANS_SCOPE {
                let at = (field.value, field.end);
                too_deep |= any_attribute_too_deep(request, at, SCOPE, SCOPE_ATTRIBUTES)?;
            }
            self.scope_pieces.push(&mut header, &field);
        }

        // Only here: the scope may be the last field.
        if too_deep {
            self.reject_since(spans_before, RejectReason::ScopeNesting);
        }
        if self.spans.len() == spans_before {
            self.scope_pieces.forget(&header);
        } else {
            let resource = self.resources.len() as u32;
            self.scopes.push(Scope { header, resource, field_number });
        }
        Ok(())
    }

    fn reject_since(&mut self, spans_before: usize, reason: RejectReason) {
        self.rejections.add(reason, self.spans.len() - spans_before);
        self.spans.truncate(spans_before);
    }

    fn clear(&mut self) {
        let Self {
            spans,
            scopes,
            resources,
            request_header: _,
            request_pieces,
            resource_pieces,
            scope_pieces,
            rejections,
        } = self;
        spans.clear();
        scopes.clear();
        resources.clear();
        for Pieces(pieces) in [request_pieces, resource_pieces, scope_pieces] {
            pieces.clear();
        }
        *rejections = Rejections::default();
    }

    /// Memory held, in bytes.
    pub(super) fn scratch_bytes(&self) -> usize {
        let pieces = [&self.request_pieces, &self.resource_pieces, &self.scope_pieces];
        size_of::<Span>() * self.spans.capacity()
            + size_of::<Scope>() * self.scopes.capacity()
            + size_of::<Header>() * self.resources.capacity()
            + pieces
                .map(|Pieces(pieces)| size_of::<Piece>() * pieces.capacity())
                .iter()
                .sum::<usize>()
    }
}
