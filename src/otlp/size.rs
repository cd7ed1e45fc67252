//! How long a record becomes, span by span, before a byte of it is written.
//!
//! Pure; called by the splitter and the plan, for requests that exceed the record limit. A record
//! is a request again: its length is that of its headers and spans, framed at two levels.

use super::scan::{Scan, Span};
use super::schema::{REQUEST_RESOURCE_SPANS, RESOURCE_SPANS_SCOPE_SPANS};
use super::wire::varint_len;

/// The length of a record that is still open at its end.
#[derive(Clone, Copy)]
pub(super) struct Size {
    /// The request's header and the finished ResourceSpans.
    closed: usize,
    /// Content of the open ResourceSpans, without the open ScopeSpans.
    resource: usize,
    /// Content of the open ScopeSpans.
    scope: usize,
    /// Index of the open ScopeSpans.
    scope_index: u32,
}

impl Size {
    /// A record that holds `span` alone.
    pub(super) fn of(scan: &Scan, span: &Span) -> Self {
        let scope = &scan.scopes[span.scope as usize];
        Self {
            closed: scan.request_header.bytes as usize,
            resource: scan.resources[scope.resource as usize].bytes as usize,
            scope: scope.header.bytes as usize + span.len(),
            scope_index: span.scope,
        }
    }

    /// This record with `span`, the next one in the order of the request, added.
    pub(super) fn with(mut self, scan: &Scan, span: &Span) -> Self {
        if span.scope == self.scope_index {
            self.scope += span.len();
            return self;
        }
        let [open, next] = [self.scope_index, span.scope].map(|index| &scan.scopes[index as usize]);
        let alone = Self::of(scan, span);
        if open.resource == next.resource {
            let resource = self.resource + framed(open.field_number, self.scope);
            return Self { closed: self.closed, resource, ..alone };
        }
        Self { closed: self.total(scan), ..alone }
    }

    /// The record's length in bytes, were it closed now.
    pub(super) fn total(&self, scan: &Scan) -> usize {
        let field_number = scan.scopes[self.scope_index as usize].field_number;
        let resource = self.resource + framed(field_number, self.scope);
        self.closed + framed(REQUEST_RESOURCE_SPANS, resource)
    }
}

/// Length of a field with `content` bytes: tag, length and content.
#[inline]
pub(super) fn framed(field_number: u32, content: usize) -> usize {
    let tag = if field_number == RESOURCE_SPANS_SCOPE_SPANS {
        1
    } else {
        varint_len((field_number as usize) << 3)
    };
    tag + varint_len(content) + content
}
