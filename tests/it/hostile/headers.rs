//! Metadata that is too much, as sent or as it unfolds.

use testbed::raw_http2::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, HEADERS, RawClient, export_block, export_headers,
    field, frame,
};

use super::{ENDED, await_count, beside_a_good_client, start_with};
use crate::support::{
    otlp_client::framed,
    spans::{request, trace},
};

/// Metadata above the limit of 16 KiB is answered with 431, and the connection goes on.
#[test]
fn oversized_metadata() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let block = [export_block(), field(0, "baggage", &"x".repeat(20_000))].concat();
        let (first, rest) = block.split_at(15_000);
        let mut client = RawClient::connect(pipeline.otlp_address());
        client.send(&frame(HEADERS, 0, 1, first));
        client.send(&frame(CONTINUATION, END_HEADERS, 1, rest));
        let refused = client.await_frame(|frame| frame.kind == HEADERS);
        let mut parts = refused.payload.windows(HUFFMAN_431.len());
        assert!(parts.any(|bytes| bytes == HUFFMAN_431), "{refused:?}");
        assert_served(&mut client, 3);
    });
}

/// A large field that is sent once and named again for a byte each time counts each time: beyond
/// reason that ends the connection, as a breach of HTTP/2's rules.
#[test]
fn amplified_by_the_table() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        // 62 is the newest entry of the dynamic table: RFC 7541, section 2.3.3.
        let again = vec![0x80 | 62; 1_000];
        let block = [export_block(), field(0x40, "baggage", &"x".repeat(3_900)), again].concat();
        client.send(&frame(HEADERS, END_HEADERS, 1, &block));
        client.read_to_close();
        await_count(&pipeline, ENDED, "protocol", 1);
    });
    assert_eq!(pipeline.metric("otel_pipeline_receive_requests_in_flight"), 0.0);
}

fn assert_served(client: &mut RawClient, stream: u32) {
    let body = framed(0, &request(trace(1, 1)));
    client.send(&[export_headers(stream), frame(DATA, END_STREAM, stream, &body)].concat());
    client.await_frame(|frame| {
        frame.kind == HEADERS && frame.stream == stream && frame.flags & END_STREAM != 0
    });
}

/// "431" in HPACK's Huffman code, padded with ones; the status is not in its table of fields.
/// RFC 7541, appendices A and B.
const HUFFMAN_431: [u8; 3] = [0b0110_1001, 0b1001_0000, 0b1111_1111];
