//! Writes a planned record: headers and spans copied verbatim, three lengths anew.
//!
//! Pure; called by the splitter. Every length is known from the plan, so a record is written front
//! to back in one go.

use super::plan::{Plan, RecordPlan};
use super::scan::{Header, Pieces, Scan};
use super::schema::REQUEST_RESOURCE_SPANS;
use super::wire::{Wire, push_varint};

/// Writes `record` of `request` in place of what is in `out`.
pub(super) fn write_record(
    request: &[u8],
    scan: &Scan,
    plan: &Plan,
    record: &RecordPlan,
    out: &mut Vec<u8>,
) {
    out.clear();
    out.reserve(record.bytes_len);
    push_header(out, request, &scan.request_pieces, &scan.request_header);
    let (start, end) = record.segments;
    for segment in &plan.segments[start as usize..end as usize] {
        let scope = &scan.scopes[segment.scope as usize];
        if segment.resource_bytes > 0 {
            push_frame(out, REQUEST_RESOURCE_SPANS, segment.resource_bytes);
            let header = &scan.resources[scope.resource as usize];
            push_header(out, request, &scan.resource_pieces, header);
        }
        push_frame(out, scope.field_number, segment.scope_bytes);
        push_header(out, request, &scan.scope_pieces, &scope.header);
        let (start, end) = segment.spans;
        push_spans(out, request, scan, &plan.order[start as usize..end as usize]);
    }
    debug_assert_eq!(out.len(), record.bytes_len);
}

/// Tag and length of a message field.
fn push_frame(out: &mut Vec<u8>, field_number: u32, content_bytes: u32) {
    push_varint(out, (field_number << 3 | Wire::Bytes as u32) as usize);
    push_varint(out, content_bytes as usize);
}

fn push_header(out: &mut Vec<u8>, request: &[u8], pieces: &Pieces, header: &Header) {
    for piece in pieces.of(header) {
        out.extend_from_slice(&request[piece.start as usize..piece.end as usize]);
    }
}

/// Copies spans; those that are neighbours in the request in one go.
fn push_spans(out: &mut Vec<u8>, request: &[u8], scan: &Scan, order: &[u32]) {
    let mut spans = order.iter().map(|&index| &scan.spans[index as usize]);
    let Some(first) = spans.next() else { return };
    let (mut start, mut end) = (first.start, first.end);
    for span in spans {
        if span.start != end {
            out.extend_from_slice(&request[start as usize..end as usize]);
            start = span.start;
        }
        end = span.end;
    }
    out.extend_from_slice(&request[start as usize..end as usize]);
}
