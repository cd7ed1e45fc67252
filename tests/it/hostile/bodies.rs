//! Messages that are not what they should be.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest, trace::v1::ResourceSpans,
};
use prost::Message;
use testbed::raw_http2::{DATA, RawClient, export_headers, frame};
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
            client.send(&frame(DATA, 0, stream, &[0, 0, 64, 0, 0]));
        }
        let charged = |text: &str| {
            let bytes = text.lines().find_map(|line| {
                line.strip_prefix("otel_pipeline_receive_bytes_in_flight ")?.parse::<u32>().ok()
            });
            // The good client's one request may be charged as well.
            bytes.is_some_and(|bytes| (STREAMS * 4096..=STREAMS * 4096 + 65_536).contains(&bytes))
        };
        pipeline.await_page("/metrics", |_, text| charged(text));
    });
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
    let (kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let spans: Vec<_> = (0..TRACES)
            .map(|number| {
                let mut span = span(1, 0);
                span.trace_id[..4].copy_from_slice(&(number + 1).to_be_bytes());
                span.attributes.clear();
                span
            })
            .collect();
        let reply = pipeline.client().export(&request(spans));
        assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
        assert_eq!(reply.partial_success(), None);
    });
    let records = kafka.records(super::TOPIC, super::PARTITIONS);
    let large = records.iter().map(|record| record.value.as_deref().unwrap());
    let spans = large.map(|value| {
        let request = ExportTraceServiceRequest::decode(value).unwrap();
        request.resource_spans.iter().map(spans_of).sum::<usize>()
    });
    assert!(spans.sum::<usize>() >= TRACES as usize);
}

fn spans_of(resource: &ResourceSpans) -> usize {
    resource.scope_spans.iter().map(|scope| scope.spans.len()).sum()
}

/// The codes of all of these, a few hundred streams at a time.
fn codes(client: &OtlpClient, messages: Vec<Vec<u8>>) -> Vec<Code> {
    let bodies: Vec<_> = messages.iter().map(|message| framed(0, message)).collect();
    let replies = bodies.chunks(256).flat_map(|bodies| client.export_all(bodies.to_vec()));
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
