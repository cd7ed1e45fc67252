//! Bytes that are not an OTLP request: each rule of the wire, at each level that is opened.

use super::encode::{FieldOrder, Message};
use super::model::{attribute_of_levels, bare_span, levels_max, trace};
use crate::limits::GROUP_DEPTH_MAX;
use crate::otlp::{Malformed, RecordMode, SplitError, SplitRules, Splitter};

const RULES: SplitRules =
    SplitRules { mode: RecordMode::Trace, record_bytes_max: 900 * 1024, partition_count: 4 };

/// Splits a request and answers what is malformed about it.
fn fault(request: &[u8]) -> Option<Malformed> {
    let mut splitter = Splitter::new();
    match splitter.split(request, &RULES, |_| 0) {
        Ok(_) => None,
        Err(SplitError::Malformed(malformed)) => {
            assert_eq!(splitter.records(), []);
            Some(malformed)
        }
        Err(error) => panic!("{error}"),
    }
}

/// `content` as the last bytes of each message that is always opened: request, ResourceSpans,
/// ScopeSpans, the old ScopeSpans, Span and Link.
fn at_each_level(content: &[u8]) -> Vec<Vec<u8>> {
    let around = |numbers: &[u32]| {
        numbers.iter().rev().fold(content.to_vec(), |inner, &number| {
            Message::new().bytes(number, inner).encode(FieldOrder::Ascending)
        })
    };
    let levels: [&[u32]; 6] = [&[], &[1], &[1, 2], &[1, 1000], &[1, 2, 2], &[1, 2, 2, 13]];
    levels.map(around).to_vec()
}

fn assert_malformed_at_each_level(content: &[u8], what: &str) {
    for request in at_each_level(content) {
        let malformed = fault(&request).unwrap_or_else(|| panic!("{request:02x?} was accepted"));
        assert_eq!(malformed.what, what, "{request:02x?}");
        assert!(malformed.offset <= request.len());
    }
}

/// A known field of another wire type is malformed, not unknown.
#[test]
fn wrong_wire_type_of_a_known_field() {
    assert_malformed_at_each_level(&[0x08, 0x01], "wrong wire type");
    let old_scope_spans = Message::new().varint(1000, 1);
    let request = Message::new().message(1, old_scope_spans).encode(FieldOrder::Ascending);
    assert_eq!(fault(&request).unwrap().what, "wrong wire type");
}

/// Wire types 6 and 7 do not exist, field 0 neither, and a tag has 32 bits.
#[test]
fn impossible_tags() {
    assert_malformed_at_each_level(&[0xe6, 0x04, 0], "unknown wire type");
    assert_malformed_at_each_level(&[0xe7, 0x04, 0], "unknown wire type");
    assert_malformed_at_each_level(&[0x02, 0x00], "field number 0");
    assert_malformed_at_each_level(&[0x82, 0x80, 0x80, 0x80, 0x10, 0], "tag above 2^32-1");
}

/// Values and lengths may not reach beyond their message.
#[test]
fn truncated_values() {
    let beyond = "value beyond the end of its message";
    assert_malformed_at_each_level(&[0xea, 0x04, 0x01], beyond);
    assert_malformed_at_each_level(&[0xe9, 0x04, 0, 0, 0, 0, 0, 0, 0], beyond);
    assert_malformed_at_each_level(&[0xed, 0x04, 0, 0, 0], beyond);
    assert_malformed_at_each_level(&[0xe8, 0x04], "varint without end");
    assert_malformed_at_each_level(&[0xe8], "varint without end");
    let huge_length = [0xea, 0x04, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01];
    assert_malformed_at_each_level(&huge_length, beyond);
}

/// Varints may be longer than they need, up to ten bytes, of which the last is below 2.
#[test]
fn overlong_varints() {
    let varint_of = |last: u8| {
        let mut field = vec![0xe8, 0x84, 0x80, 0x00]; // field 77, its tag two bytes too long
        field.extend([0x80; 9]);
        field.push(last);
        field
    };
    for request in at_each_level(&varint_of(1)) {
        assert_eq!(fault(&request), None);
    }
    assert_malformed_at_each_level(&varint_of(2), "varint above 2^64-1");
    assert_malformed_at_each_level(&varint_of(0x80), "varint without end");
}

/// A group in an unknown field is skipped if it is whole, properly nested and not too deep.
#[test]
fn groups_in_unknown_fields() {
    let nested = |depth: usize| {
        let starts = [0xeb, 0x04].repeat(depth);
        let content = [0x08, 0x01, 0x12, 0x01, 0xff, 0x1d, 1, 2, 3, 4];
        [&starts[..], &content, &[0xec, 0x04].repeat(depth)].concat()
    };
    for request in [nested(1), nested(GROUP_DEPTH_MAX)].iter().flat_map(|it| at_each_level(it)) {
        assert_eq!(fault(&request), None);
    }
    let too_deep = nested(GROUP_DEPTH_MAX + 1);
    assert_malformed_at_each_level(&too_deep, "groups nested too deep");
    assert_malformed_at_each_level(&[0xeb, 0x04], "group without end");
    assert_malformed_at_each_level(&[0xeb, 0x04, 0xf4, 0x04], "end of another group");
    assert_malformed_at_each_level(&[0xec, 0x04], "end of a group that was not begun");
    assert_malformed_at_each_level(&[0xeb, 0x04, 0x02, 0x00], "field number 0");
    assert_malformed_at_each_level(&[0xeb, 0x04, 0x0e], "unknown wire type");
}

/// A bad id does not hide that the request is malformed.
#[test]
fn malformed_goes_before_rejected() {
    let span = [Message::new().bytes(1, [1; 3]).encode(FieldOrder::Ascending), vec![0x08]].concat();
    let scope_spans = Message::new().bytes(2, span);
    let request = Message::new().message(1, Message::new().message(2, scope_spans));
    assert!(fault(&request.encode(FieldOrder::Ascending)).is_some());
}

/// A value long enough to nest too deep is opened, and what is malformed in it is found.
#[test]
fn malformed_in_an_opened_value() {
    let mut attribute = attribute_of_levels(levels_max(false), false).encode(FieldOrder::Ascending);
    let innermost = attribute.len() - "innermost".len() - 2;
    attribute[innermost] = 0x08; // AnyValue's text as a varint
    let span = bare_span(trace(1), 1).bytes(9, &attribute);
    let scope_spans = Message::new().message(2, span);
    let request = Message::new().message(1, Message::new().message(2, scope_spans));
    assert_eq!(fault(&request.encode(FieldOrder::Ascending)).unwrap().what, "wrong wire type");
}
