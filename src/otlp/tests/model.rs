//! Requests as generated: their spans, their faults, and the records expected of them.

use std::ops::Range;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{Strategy, any};

use super::encode::{FieldOrder, Message};
use crate::limits::NESTING_MESSAGES_MAX;
use crate::otlp::{RejectReason, TraceId};

/// A field number that no OTLP message uses.
pub(super) const UNKNOWN: u32 = 77;

#[derive(Clone, Debug)]
pub(super) struct Request {
    pub(super) header: Message,
    pub(super) resources: Vec<Resource>,
}

#[derive(Clone, Debug)]
pub(super) struct Resource {
    pub(super) header: Message,
    pub(super) too_deep: bool,
    /// The field its scopes lie in: 2, or 1000 as old senders have it.
    pub(super) scopes_field: u32,
    pub(super) scopes: Vec<Scope>,
}

#[derive(Clone, Debug)]
pub(super) struct Scope {
    pub(super) header: Message,
    pub(super) too_deep: bool,
    pub(super) spans: Vec<Span>,
}

#[derive(Clone, Debug)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    pub(super) fault: Option<RejectReason>,
    pub(super) message: Message,
}

impl Request {
    pub(super) fn encode(&self, order: FieldOrder) -> Vec<u8> {
        let resources = self.resources.iter().map(Resource::message);
        self.header.clone().messages(1, resources).encode(order)
    }

    /// Every span, each with the reason to reject it, in order.
    pub(super) fn spans(&self) -> impl Iterator<Item = (&Span, Option<RejectReason>)> {
        self.resources.iter().flat_map(|resource| {
            resource.scopes.iter().flat_map(|scope| {
                scope.spans.iter().map(|span| (span, reject_reason(resource, scope, span)))
            })
        })
    }

    /// The bytes of a record that holds the accepted spans of `trace`: headers, then blocks.
    pub(super) fn record(&self, order: FieldOrder, trace: TraceId) -> Vec<u8> {
        let mut record = self.header.encode(order);
        for resource in &self.resources {
            let mut block = Vec::new();
            for scope in &resource.scopes {
                let spans: Vec<u8> = scope
                    .spans
                    .iter()
                    .filter(|span| span.trace == trace)
                    .filter(|span| reject_reason(resource, scope, span).is_none())
                    .flat_map(|span| framed(2, &span.message.encode(order)))
                    .collect();
                if !spans.is_empty() {
                    let content = [scope.header.encode(order), spans].concat();
                    block.extend(framed(resource.scopes_field, &content));
                }
            }
            if !block.is_empty() {
                let content = [resource.header.encode(order), block].concat();
                record.extend(framed(1, &content));
            }
        }
        record
    }
}

impl Resource {
    fn message(&self) -> Message {
        let scopes = self.scopes.iter().map(|scope| {
            scope.header.clone().messages(2, scope.spans.iter().map(|span| span.message.clone()))
        });
        self.header.clone().messages(self.scopes_field, scopes)
    }
}

fn reject_reason(resource: &Resource, scope: &Scope, span: &Span) -> Option<RejectReason> {
    match span.fault {
        Some(fault) => Some(fault),
        None if scope.too_deep => Some(RejectReason::ScopeNesting),
        None if resource.too_deep => Some(RejectReason::ResourceNesting),
        None => None,
    }
}

fn framed(number: u32, content: &[u8]) -> Vec<u8> {
    Message::new().bytes(number, content).encode(FieldOrder::Ascending)
}

/// An attribute with a text value.
pub(super) fn attribute(key: &str, value: &str) -> Message {
    Message::new().bytes(1, key).message(2, Message::new().bytes(1, value))
}

/// An attribute whose value nests `levels` deep, by arrays or by key-value lists.
pub(super) fn attribute_of_levels(levels: usize, lists: bool) -> Message {
    let mut value = Message::new().bytes(1, "innermost");
    for _ in 1..levels {
        value = if lists {
            let entry = Message::new().bytes(1, "k").message(2, value);
            Message::new().message(6, Message::new().message(1, entry))
        } else {
            Message::new().message(5, Message::new().message(1, value))
        };
    }
    Message::new().bytes(1, "nested").message(2, value)
}

/// The most levels that are let through: the attribute and its value are two messages, a level more
/// is two by an array and three by a list.
pub(super) fn levels_max(lists: bool) -> usize {
    1 + (NESTING_MESSAGES_MAX - 2) / if lists { 3 } else { 2 }
}

/// A good span with only its ids.
pub(super) fn bare_span(trace: TraceId, span_id: u64) -> Message {
    Message::new().bytes(1, trace.0).bytes(2, span_id.max(1).to_be_bytes())
}

/// A trace id for tests, by number.
pub(super) fn trace(number: u8) -> TraceId {
    TraceId([number.wrapping_add(1); 16])
}

/// Requests of a few Resources, scopes, traces and faults.
pub(super) fn requests() -> impl Strategy<Value = Request> {
    (unknown_fields(), vec(resource(), 0..4))
        .prop_map(|(header, resources)| Request { header, resources })
}

fn resource() -> impl Strategy<Value = Resource> {
    let parts = (unknown_fields(), faults(), any::<bool>(), 0..400usize, vec(scope(), 0..4));
    parts.prop_map(|(unknown, too_deep, old, text_len, scopes)| {
        let text = "r".repeat(text_len);
        let mut resource = Message::new().message(1, attribute("service.name", &text));
        if too_deep {
            resource = resource.message(1, attribute_of_levels(levels_max(old) + 1, old));
        }
        let header = unknown.message(1, resource).bytes(3, "https://schema/r");
        Resource { header, too_deep, scopes_field: if old { 1000 } else { 2 }, scopes }
    })
}

fn scope() -> impl Strategy<Value = Scope> {
    let parts = (unknown_fields(), faults(), any::<bool>(), vec(span(), 0..6));
    parts.prop_map(|(unknown, too_deep, lists, spans)| {
        let mut scope = Message::new().bytes(1, "scope").bytes(2, "1.0");
        if too_deep {
            scope = scope.message(3, attribute_of_levels(levels_max(lists) + 1, lists));
        }
        let header = unknown.message(1, scope).bytes(3, "https://schema/s");
        Scope { header, too_deep, spans }
    })
}

fn span() -> impl Strategy<Value = Span> {
    let counts = (0..3usize, 0..3usize, 0..3usize);
    let parts = (0..4u8, any::<u64>(), 0..FAULTS.end * 4, 0..200usize, counts, unknown_fields());
    parts.prop_map(|(number, id, fault, text_len, (attributes, events, links), unknown)| {
        let text = "n".repeat(text_len);
        let id = id.max(1);
        let link = || Message::new().bytes(1, [3; 16]).bytes(2, [4; 8]);
        let event =
            || Message::new().fixed64(1, 1).bytes(2, "event").message(3, attribute("e", "v"));
        let good = unknown
            .bytes(5, &text)
            .varint(6, 2)
            .fixed64(7, id)
            .messages(9, (0..attributes).map(|_| attribute("key", &text)))
            .messages(11, (0..events).map(|_| event()))
            .messages(13, (0..links).map(|_| link()))
            .fixed32(16, 257);
        let (fault, message) = with_ids(good, trace(number), id, fault);
        Span { trace: trace(number), fault, message }
    })
}

/// The faults that `with_ids` knows; higher numbers mean none.
const FAULTS: Range<u8> = 0..10;

/// Adds the ids, one of them wrong or a value too deep if `fault` says so.
fn with_ids(span: Message, trace: TraceId, id: u64, fault: u8) -> (Option<RejectReason>, Message) {
    use RejectReason::{LinkId, Nesting, ParentSpanId, SpanId};
    let id = id.to_be_bytes();
    let span_with_trace = span.clone().bytes(1, trace.0);
    let good = span_with_trace.clone().bytes(2, id);
    let lists = fault.is_multiple_of(2);
    let deep = || attribute_of_levels(levels_max(lists) + 1, lists);
    match fault {
        0 => (Some(RejectReason::TraceId), span.bytes(1, [0; 16]).bytes(2, id)),
        1 => (Some(RejectReason::TraceId), span.bytes(1, [1; 15]).bytes(2, id)),
        2 => (Some(RejectReason::TraceId), span.bytes(2, id)),
        3 => (Some(SpanId), span_with_trace.bytes(2, [0; 8])),
        4 => (Some(SpanId), span_with_trace.bytes(2, [1; 9])),
        5 => (Some(ParentSpanId), good.bytes(4, [1; 7])),
        6 => (Some(LinkId), good.message(13, Message::new().bytes(1, [1; 17]))),
        7 => (Some(Nesting), good.message(9, deep())),
        8 => (Some(Nesting), good.message(11, Message::new().message(3, deep()))),
        9 => (Some(Nesting), good.message(13, Message::new().message(4, deep()))),
        _ => (None, good.bytes(4, [5; 8])),
    }
}

/// None mostly, else a field of a number and a wire type that the message does not know.
fn unknown_fields() -> impl Strategy<Value = Message> {
    option::weighted(0.3, any::<u64>()).prop_map(|value| match value {
        Some(value) if value.is_multiple_of(2) => Message::new().varint(UNKNOWN, value),
        Some(value) => Message::new().bytes(UNKNOWN, value.to_string()),
        None => Message::new(),
    })
}

fn faults() -> impl Strategy<Value = bool> {
    (0..20u8).prop_map(|roll| roll == 0)
}
