//! Clients that hold what they have and send next to nothing.

use std::{collections::BTreeSet, time::Duration};

use testbed::raw_http2::{
    DATA, END_STREAM, HEADERS, PREFACE, RST_STREAM, RawClient, SETTINGS, export_block,
    export_headers, frame,
};

use super::{ENDED, REFUSED, await_count, beside_a_good_client, start_with};
use crate::support::{
    otlp_client::framed,
    spans::{request, trace},
};

/// A preface must be whole in time, whether it does not come or comes byte by byte.
#[test]
fn preface() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut silent = RawClient::silent(pipeline.otlp_address());
        let mut slow = RawClient::silent(pipeline.otlp_address());
        let dribbled = PREFACE.iter().take_while(|byte| {
            std::thread::sleep(Duration::from_millis(400));
            slow.send(&[**byte])
        });
        assert!(dribbled.count() < PREFACE.len(), "closed before the preface was whole");
        silent.read_to_close();
        await_count(&pipeline, REFUSED, "silent", 2);
    });
}

/// Header blocks and frames must end in time; idle connections may stay.
#[test]
fn headers_and_frames() {
    let (_kafka, pipeline) = start_with(&[]);
    let mut idle = RawClient::connect(pipeline.otlp_address());
    idle.await_frame(|frame| frame.kind == SETTINGS);
    beside_a_good_client(&pipeline, || {
        let data = frame(DATA, 0, 1, &[0; 64]);
        for begun in [
            frame(HEADERS, 0, 1, &export_block()),
            export_headers(1)[..30].to_vec(),
            [export_headers(1), data[..20].to_vec()].concat(),
            data[..3].to_vec(),
        ] {
            let mut client = RawClient::connect(pipeline.otlp_address());
            client.send(&begun);
            std::mem::forget(client);
        }
        await_count(&pipeline, ENDED, "read_stalled", 4);
    });
    let body = framed(0, &request(trace(1, 1)));
    idle.send(&[export_headers(1), frame(DATA, END_STREAM, 1, &body)].concat());
    idle.await_frame(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0);
}

/// A body must be whole by the reply's deadline: then it is answered and its charge comes back,
/// although every frame of it was.
#[test]
fn body() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::connect(pipeline.otlp_address());
        client.send(&export_headers(1));
        client.send(&frame(DATA, 0, 1, &[0, 0, 3, 0, 0]));
        let timed_out = "otel_pipeline_receive_requests_total{outcome=\"timed_out\"}";
        while pipeline.metric(timed_out) < 1.0 {
            client.send(&frame(DATA, 0, 1, &[7]));
            std::thread::sleep(Duration::from_millis(300));
        }
        client.await_frame(|frame| frame.kind == HEADERS && frame.stream == 1);
    });
}

/// A client that opens no window for the replies holds its requests' charge until their deadline,
/// and no memory that is not charged.
#[test]
fn window() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        let mut client = RawClient::silent(pipeline.otlp_address());
        // SETTINGS_INITIAL_WINDOW_SIZE = 0.
        client.send(&[PREFACE, &frame(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0])].concat());
        let body = framed(0, &request(trace(1, 1)));
        for stream in [1, 3, 5] {
            let data = frame(DATA, END_STREAM, stream, &body);
            client.send(&[export_headers(stream), data].concat());
        }
        // In any order: each ends at a time of its own.
        let mut left = BTreeSet::from([1, 3, 5]);
        while !left.is_empty() {
            left.remove(&client.await_frame(|frame| frame.kind == RST_STREAM).stream);
        }
    });
    pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_bytes_in_flight 0\n")
    });
}
