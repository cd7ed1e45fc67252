//! Dead letters, as the pipeline, other programs and an attacker write them.

use super::{
    encode::FieldOrder,
    requests::{request, span},
};

/// Records of the dead-letter topic as the oracle of the dead letters reads them.
pub(super) fn letters() -> Vec<(&'static str, Vec<u8>)> {
    const VALUE: u8 = 1;
    const KEY: u8 = 2;
    const TIMESTAMP: u8 = 4;
    const NULL: u8 = 8;
    let request = request(2, vec![span(1).bytes(5, "na\u{1b}me")]).encode(FieldOrder::Ascending);
    let id = || text(&[7; 16]);
    let time = 1_700_000_000_000_i64.to_be_bytes().to_vec();
    let origin = [
        ("otel.dlq.original.topic", "otel.traces"),
        ("otel.dlq.original.partition", "2"),
        ("otel.dlq.original.offset", "41"),
    ];
    let own = [
        ("otel.dlq.reason", "refused"),
        ("otel.dlq.detail", "the backend's\n\u{1b}[31mwords"),
        ("otel.dlq.time", "1700000000500"),
    ];
    let whole = headers(&[origin, own].concat());
    let mark = headers(&[("otel.dlq.replayed", "3/7")]);
    let one = |name, value| headers(&[(name, value)]);
    vec![
        ("whole", [vec![VALUE | KEY | TIMESTAMP], time.clone(), id(), whole, request].concat()),
        ("mark", [vec![0], mark.clone()].concat()),
        ("mark-with-value", [vec![VALUE], mark].concat()),
        ("mark-of-nothing", [vec![0], one("otel.dlq.replayed", "3/")].concat()),
        ("foreign", [vec![VALUE | TIMESTAMP], time, vec![0], b"not OTLP".to_vec()].concat()),
        ("bare", vec![VALUE, 0]),
        ("null", [vec![NULL], headers(&[("a", "b"), ("otel.dlq.reason", "")])].concat()),
        ("other-bytes", [vec![VALUE, 1], text(b"caf\xe9"), text(b"\xff\x00\x9b")].concat()),
        ("time-first", [vec![0], one("otel.dlq.time", "-9223372036854775808")].concat()),
        ("time-last", [vec![0], one("otel.dlq.time", "9223372036854775807")].concat()),
        ("moment", [vec![0], one("m", "2000-02-29T23:59:59.5Z")].concat()),
        ("moment-year-0", [vec![0], one("m", "0000-01-01T00:00:00.001Z")].concat()),
        ("moment-no-day", [vec![0], one("m", "2023-02-29T00:00:00Z")].concat()),
        ("name-escapes", [vec![VALUE], one("\u{1b}[31m\n\u{202e}", "a")].concat()),
        ("origin-alone", [vec![VALUE], headers(&origin)].concat()),
        (
            "origin-any-partition",
            [vec![VALUE], headers(&[origin[0], (origin[1].0, "-1")])].concat(),
        ),
        ("origin-no-topic", [vec![VALUE], headers(&[(origin[0].0, "a/b"), origin[1]])].concat()),
    ]
}

/// The number of headers, and each.
fn headers(headers: &[(&str, &str)]) -> Vec<u8> {
    let mut bytes = vec![headers.len() as u8];
    for (name, value) in headers {
        bytes.extend([text(name.as_bytes()), text(value.as_bytes())].concat());
    }
    bytes
}

/// Bytes behind their number.
fn text(bytes: &[u8]) -> Vec<u8> {
    [&[bytes.len() as u8], bytes].concat()
}
