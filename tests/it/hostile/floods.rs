//! Much of what costs the sender little.

use testbed::raw_http2::{
    CONTINUATION, DATA, HEADERS, PING, RST_STREAM, RawClient, export_block, export_headers, frame,
};

use super::{ENDED, await_count, beside_a_good_client, start_with};

/// DATA frames with nothing in them end the connection before they are many.
#[test]
fn empty_data() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        client.send(&export_headers(1));
        client.send(&frame(DATA, 0, 1, &[]).repeat(10_000));
        client.read_to_close();
        await_count(&pipeline, ENDED, "protocol", 1);
    });
    pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_requests_in_flight 0\n")
    });
}

/// A body of one-byte frames is charged for the frames: it is refused long before its bytes would
/// reach the connection's share.
#[test]
fn one_byte_data() {
    let (_kafka, pipeline) =
        start_with(&[("OTLP_BYTES_IN_FLIGHT_MAX", "1MiB"), ("OTLP_REQUEST_BYTES_MAX", "256KiB")]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        client.send(&export_headers(1));
        client.send(&frame(DATA, 0, 1, &[0, 0, 3, 0, 0]));
        client.send(&frame(DATA, 0, 1, &[7]).repeat(2_000));
        client.await_frame(|frame| frame.kind == HEADERS && frame.stream == 1);
    });
    let refused = "otel_pipeline_receive_refusals_total{reason=\"connection_budget\"}";
    assert_eq!(pipeline.metric(refused), 1.0);
}

/// Streams opened and reset at once end the connection (CVE-2023-44487).
#[test]
fn rapid_reset() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        let pairs: Vec<u8> = (0..20_000)
            .flat_map(|number| {
                let stream = 2 * number + 1;
                [export_headers(stream), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
            })
            .collect();
        client.send(&pairs);
        client.read_to_close();
        await_count(&pipeline, ENDED, "protocol", 1);
    });
    pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_requests_in_flight 0\n")
    });
}

/// A header block without an end ends the connection (RUSTSEC-2024-0332).
#[test]
fn continuation() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        client.send(&frame(HEADERS, 0, 1, &export_block()));
        client.send(&frame(CONTINUATION, 0, 1, &[0x83; 4096]).repeat(1_000));
        client.read_to_close();
        await_count(&pipeline, ENDED, "protocol", 1);
    });
}

/// A client that asks and never reads is cut off once the kernel holds all it can of the answers.
#[test]
fn never_reading() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        let pings = frame(PING, 0, 0, &[0; 8]).repeat(1_000);
        let ended = format!("{ENDED}{{reason=\"write_stalled\"}}");
        client.flood(&pings, || pipeline.metric(&ended) > 0.0);
        await_count(&pipeline, ENDED, "write_stalled", 1);
    });
}
