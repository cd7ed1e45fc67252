//! Requests: one per shape that the split knows.

use super::encode::Message;

/// A request per shape.
pub(super) fn requests() -> Vec<(&'static str, Message)> {
    let two_traces = || vec![span(1), span(2), span(1)];
    let full = span(3)
        .bytes(3, "state=1")
        .bytes(4, [9; 8])
        .bytes(5, "name")
        .varint(6, 2)
        .fixed64(7, 1)
        .fixed64(8, 2)
        .message(9, attribute(1))
        .message(11, Message::new().fixed64(1, 1).bytes(2, "event").message(3, attribute(2)))
        .message(13, Message::new().bytes(1, [7; 16]).bytes(2, [8; 8]).message(4, attribute(1)))
        .message(15, Message::new().bytes(2, "status").varint(3, 2))
        .fixed32(16, 257);
    let unknown = Message::new().varint(77, 300).fixed64(78, 1).bytes(79, "unknown");
    vec![
        ("one-trace", request(2, vec![span(1), span(1)])),
        ("two-traces", request(2, two_traces())),
        ("old-scope-spans", request(1000, two_traces())),
        ("full-span", request(2, vec![full, span(1)])),
        ("bad-ids", request(2, vec![span(0), span(1).bytes(4, [1; 3]), span(2).bytes(1, "")])),
        ("link-id", request(2, vec![span(1).message(13, Message::new().bytes(1, [1; 3]))])),
        ("nested-65", request(2, vec![span(1).message(9, attribute(65)), span(2)])),
        (
            "nested-event",
            request(2, vec![span(1).message(11, Message::new().message(3, attribute(66)))]),
        ),
        ("unknown", unknown.message(1, block(2, two_traces())).message(1, block(2, vec![span(2)]))),
        ("no-spans", request(2, vec![])),
    ]
}

pub(super) fn request(scopes_field: u32, spans: Vec<Message>) -> Message {
    Message::new().message(1, block(scopes_field, spans))
}

/// A ResourceSpans of one scope.
fn block(scopes_field: u32, spans: Vec<Message>) -> Message {
    let scope = Message::new().bytes(1, "scope").message(3, attribute(1));
    let scope_spans = Message::new().message(1, scope).messages(2, spans).bytes(3, "url");
    let resource = Message::new().message(1, attribute(2));
    Message::new().message(1, resource).message(scopes_field, scope_spans).bytes(3, "url")
}

pub(super) fn span(trace: u8) -> Message {
    Message::new().bytes(1, [trace; 16]).bytes(2, [5; 8])
}

/// An attribute whose value nests `levels` deep, by arrays and key-value lists in turn.
fn attribute(levels: usize) -> Message {
    let mut value = Message::new().varint(3, 1);
    for level in 1..levels {
        value = if level % 2 == 0 {
            Message::new().message(5, Message::new().message(1, value))
        } else {
            let entry = Message::new().bytes(1, "k").message(2, value);
            Message::new().message(6, Message::new().message(1, entry))
        };
    }
    Message::new().bytes(1, "key").message(2, value)
}
