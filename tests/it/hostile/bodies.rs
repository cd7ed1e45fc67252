//! Messages that are not what they should be.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use otel_event_pipeline::limits::{
    RECORD_BYTES_DEFAULT, REQUEST_BYTES_DEFAULT, REQUEST_CHARGE_BYTES_MIN, STREAMS_DEFAULT,
};
use prost::Message;
use testbed::raw_http2::{DATA, END_STREAM, HEADERS, RawClient, export_headers, frame};
use tonic::Code;

use super::{beside_a_good_client, start_with};
use crate::support::{
    otlp_client::{EXPORT, OtlpClient, framed},
    spans::{request, span, trace},
};

/// A request cut at any byte is INVALID_ARGUMENT.
#[test]
fn truncated_at_every_byte() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let good = request(trace(1, 2));
        let cut: Vec<_> = (1..good.len()).map(|end| good[..end].to_vec()).collect();
        for code in codes(&pipeline.client(), cut) {
            assert_eq!(code, Code::InvalidArgument);
        }
    });
}

/// A request with any one bit flipped is answered OK or INVALID_ARGUMENT, and nothing else.
#[test]
fn every_bit_flipped() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let good = request(trace(1, 2));
        let flipped = (0..good.len() * 8).map(|bit| {
            let mut body = good.clone();
            body[bit / 8] ^= 1 << (bit % 8);
            body
        });
        let codes = codes(&pipeline.client(), flipped.collect());
        assert!(codes.iter().all(|code| [Code::Ok, Code::InvalidArgument].contains(code)));
        assert!(codes.contains(&Code::Ok) && codes.contains(&Code::InvalidArgument));
    });
}

/// Random bytes are answered OK or INVALID_ARGUMENT, whatever they claim to be.
#[test]
fn random_bytes() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut state = SEED;
        let mut random = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state
        };
        let client = pipeline.client();
        let bodies = (0..500).map(|_| {
            let length = random() % 300;
            (0..length).map(|_| random() as u8).collect()
        });
        for code in codes(&client, bodies.collect()) {
            assert!([Code::Ok, Code::InvalidArgument].contains(&code), "{code}, seed {SEED}");
        }
        for encoding in ["gzip", "zstd"] {
            let body: Vec<u8> = (0..2_000).map(|_| random() as u8).collect();
            let reply = client.call(EXPORT, &[("grpc-encoding", encoding)], framed(1, &body));
            assert_eq!(reply.code(), Code::InvalidArgument, "{encoding}, seed {SEED}");
        }
    });
}

/// Five bytes that announce the largest message are charged as the least request.
#[test]
fn announced_bytes_are_not_reserved() {
    const STREAMS: u32 = 100;
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        for number in 0..STREAMS {
            let stream = 2 * number + 1;
            client.send(&export_headers(stream));
            client.send(&frame(DATA, 0, stream, &announcing(REQUEST_BYTES_DEFAULT as u32)));
        }
        let least = STREAMS as usize * REQUEST_CHARGE_BYTES_MIN;
        let charged = |text: &str| {
            let bytes = text.lines().find_map(|line| {
                line.strip_prefix("otel_pipeline_receive_bytes_in_flight ")?.parse::<usize>().ok()
            });
            // The good client's one request may be charged as well.
            bytes.is_some_and(|bytes| (least..=least + 65_536).contains(&bytes))
        };
        pipeline.await_page("/metrics", |_, text| charged(text));
    });
}

/// Five bytes that announce more than the largest message are RESOURCE_EXHAUSTED and not worth a
/// retry, at once and not when the message has come; then nothing is charged for them.
#[test]
fn announced_beyond_the_limit() {
    let (_kafka, pipeline) = start_with(&[]);
    let mut raw = RawClient::connect(pipeline.otlp_address());
    let announced = [REQUEST_BYTES_DEFAULT as u32 + 1, 64 << 20, u32::MAX];
    beside_a_good_client(&pipeline, || {
        let client = pipeline.client();
        for (number, bytes) in (0..).zip(announced) {
            let reply = client.call(EXPORT, &[], announcing(bytes).to_vec());
            assert_eq!(reply.code(), Code::ResourceExhausted, "{bytes}: {:?}", reply.status);
            assert_eq!(reply.retry_delay(), None);
            let stream = 2 * number + 1;
            raw.send(&export_headers(stream));
            raw.send(&frame(DATA, 0, stream, &announcing(bytes)));
            raw.await_frame(|frame| {
                frame.kind == HEADERS && frame.stream == stream && frame.flags & END_STREAM != 0
            });
        }
    });
    // While the streams of one client are still open.
    let text = pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_bytes_in_flight 0\n")
            && text.contains("otel_pipeline_receive_requests_in_flight 0\n")
    });
    let refused = format!(
        "otel_pipeline_receive_requests_total{{outcome=\"too_large\"}} {}\n",
        2 * announced.len()
    );
    assert!(text.contains(&refused), "{text}");
    drop(raw);
}

/// The prefix of a message that is not compressed.
fn announcing(bytes: u32) -> [u8; 5] {
    let [a, b, c, d] = bytes.to_be_bytes();
    [0, a, b, c, d]
}

/// A thousandfold bomb is RESOURCE_EXHAUSTED and not worth a retry.
#[test]
fn bombs() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let zeros = vec![0; 64 << 20];
        let gzip = {
            let level = flate2::Compression::best();
            let mut encoder = flate2::write::GzEncoder::new(Vec::new(), level);
            std::io::Write::write_all(&mut encoder, &zeros).unwrap();
            encoder.finish().unwrap()
        };
        let zstd = zstd::encode_all(zeros.as_slice(), 3).unwrap();
        let client = pipeline.client();
        for (encoding, bomb) in [("gzip", gzip), ("zstd", zstd)] {
            assert!(bomb.len() * 1_000 < zeros.len() * 11 / 10, "{encoding}: {}", bomb.len());
            let reply = client.call(EXPORT, &[("grpc-encoding", encoding)], framed(1, &bomb));
            assert_eq!(reply.code(), Code::ResourceExhausted, "{encoding}: {:?}", reply.status);
            assert_eq!(reply.retry_delay(), None);
        }
    });
}

/// The largest request there may be, plain or inflated to that, fits the share of a connection that
/// has no other, although it grows on its way.
#[test]
fn the_largest_request_is_served() {
    let (_kafka, pipeline) =
        start_with(&[("OTLP_BYTES_IN_FLIGHT_MAX", "1MiB"), ("OTLP_REQUEST_BYTES_MAX", "256KiB")]);
    let mut largest = trace(1, 3);
    let room = (256 << 10) - request(trace(1, 3)).len() - 8;
    largest[0].name = (0..room).map(|number| (number / 7).to_string()).collect();
    largest[0].name.truncate(room);
    let largest = request(largest);
    assert!(largest.len() <= 256 << 10 && largest.len() > (256 << 10) - 64, "{}", largest.len());
    let zstd = zstd::encode_all(largest.as_slice(), 3).unwrap();
    let client = pipeline.client();
    for reply in [
        client.export(&largest),
        client.call(EXPORT, &[("grpc-encoding", "zstd")], framed(1, &zstd)),
    ] {
        assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    }
}

/// A value nested a hundred thousand deep costs its span, not the process, and not its neighbour.
#[test]
fn nested_beyond_reason() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let deep = [in_field(9, &nested_attribute(100_000)), ids()].concat();
        let scope_spans = in_field(2, &deep);
        let body = [in_field(1, &in_field(2, &scope_spans)), request(vec![span(1, 0)])].concat();
        let reply = pipeline.client().export(&body);
        assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
        assert_eq!(reply.partial_success().unwrap().0, 1);
    });
}

/// 50,000 traces in one request are acknowledged whole, in as few records as their bytes allow.
#[test]
fn fifty_thousand_traces() {
    const TRACES: u32 = 50_000;
    let trace_id = |number: u32| [&number.to_be_bytes()[..], &[7; 12]].concat();
    // A build that is not optimised splits them slowly, on the thread of the good client.
    let (kafka, pipeline) = start_with(&[("OTLP_REPLY_DEADLINE", "25s")]);
    let mut body = Vec::new();
    beside_a_good_client(&pipeline, || {
        let spans = (0..TRACES).map(|number| {
            let mut span = span(1, 0);
            span.trace_id = trace_id(number);
            span.attributes.clear();
            span
        });
        body = request(spans.collect());
        let reply = pipeline.client().export(&body);
        assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
        assert_eq!(reply.partial_success(), None);
    });
    // The good client's records have a key, for they hold one trace each.
    let records = kafka.records(super::TOPIC, super::PARTITIONS);
    let large: Vec<_> = records.iter().filter(|record| record.key.is_none()).collect();
    let mut found: Vec<_> = large.iter().flat_map(|record| trace_ids(&record.value)).collect();
    found.sort();
    assert!(found.into_iter().eq((0..TRACES).map(trace_id)), "each trace, and each once");
    let full = body.len().div_ceil(RECORD_BYTES_DEFAULT);
    let most = full + super::PARTITIONS as usize;
    assert!(large.len() <= most, "{} records, {full} would be full", large.len());
}

/// The trace id of every span of a record.
fn trace_ids(value: &Option<Vec<u8>>) -> Vec<Vec<u8>> {
    let request = ExportTraceServiceRequest::decode(value.as_deref().unwrap()).unwrap();
    let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    scopes.flat_map(|scope| scope.spans).map(|span| span.trace_id).collect()
}

/// The codes of all of these, half as many at a time as a connection may have: a stream whose body
/// is refused counts until its rest has been read, and one too many would be refused for that.
fn codes(client: &OtlpClient, messages: Vec<Vec<u8>>) -> Vec<Code> {
    let bodies: Vec<_> = messages.iter().map(|message| framed(0, message)).collect();
    let replies = bodies
        .chunks(STREAMS_DEFAULT as usize / 2)
        .flat_map(|bodies| client.export_all(bodies.to_vec()));
    replies.map(|reply| reply.code()).collect()
}

/// A KeyValue whose value is `depth` arrays in one another; made from the inside out, because a
/// recursive encoder would not survive it either.
fn nested_attribute(depth: usize) -> Vec<u8> {
    // Backwards, so that each level is put before what it holds.
    let mut backwards = Vec::new();
    for _ in 0..depth {
        put_before(&mut backwards, 1); // ArrayValue.values
        put_before(&mut backwards, 5); // AnyValue.array_value
    }
    put_before(&mut backwards, 2); // KeyValue.value
    backwards.reverse();
    backwards
}

/// Makes everything so far the content of field `number`.
fn put_before(backwards: &mut Vec<u8>, number: u8) {
    let mut header = vec![number << 3 | 2];
    prost::encoding::encode_varint(backwards.len() as u64, &mut header);
    backwards.extend(header.iter().rev());
}

fn in_field(number: u8, content: &[u8]) -> Vec<u8> {
    let mut bytes = vec![number << 3 | 2];
    prost::encoding::encode_varint(content.len() as u64, &mut bytes);
    bytes.extend_from_slice(content);
    bytes
}

/// A span's trace id and span id.
fn ids() -> Vec<u8> {
    [in_field(1, &[7; 16]), in_field(2, &[7; 8])].concat()
}

const SEED: u64 = 0x9e37_79b9_7f4a_7c15;
