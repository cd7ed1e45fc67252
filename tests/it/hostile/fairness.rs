//! What one client may take of everybody's memory, and what many take together.

use testbed::raw_http2::{DATA, END_STREAM, HEADERS, RST_STREAM, RawClient, export_headers, frame};
use tonic::Code;

use super::{beside_a_good_client, start_with};
use crate::support::{
    eventually,
    mock_kafka::MockKafka,
    otlp_client::framed,
    program::Program,
    spans::{request, trace},
};

/// What is held is held for the whole test, on a busy machine too.
const LATE: (&str, &str) = ("OTLP_REPLY_DEADLINE", "120s");

/// A client that takes all it can get has a quarter of the budget; a polite one is served beside
/// it, every time.
#[test]
fn greed_stops_at_a_quarter() {
    let (_kafka, pipeline) = start_with(&[
        ("OTLP_BYTES_IN_FLIGHT_MAX", "2MiB"),
        ("OTLP_REQUEST_BYTES_MAX", "512KiB"),
        LATE,
    ]);
    beside_a_good_client(&pipeline, || {
        let mut greedy = RawClient::connect(pipeline.otlp_address());
        let refused = "otel_pipeline_receive_refusals_total{reason=\"connection_budget\"}";
        let mut stream = 1;
        eventually("the greedy client is refused many times", || {
            // Begun and never finished: each holds what it has sent until its deadline.
            greedy.send(&export_headers(stream));
            greedy.send(&frame(DATA, 0, stream, &[0, 0, 7, 0, 0]));
            greedy.send(&frame(DATA, 0, stream, &[7; 16_000]));
            stream += 2;
            pipeline.metric(refused) >= 50.0
        });
    });
    let process = "otel_pipeline_receive_refusals_total{reason=\"budget\"}";
    assert_eq!(pipeline.metric(process), 0.0);
}

/// A client that is refused again and again, each time in the middle of its body, keeps its
/// connection and everything in flight on it: the late frames are not held against it.
#[test]
fn refusals_leave_the_connection_alone() {
    const ROUNDS: u32 = 25;
    const REFUSED_PER_ROUND: u32 = 100;
    // The least budget: the share of a connection has room for 16 requests.
    const HELD: u32 = 16;
    let (_kafka, pipeline) = start_with(&[
        ("OTLP_BYTES_IN_FLIGHT_MAX", "256KiB"),
        ("OTLP_REQUEST_BYTES_MAX", "64KiB"),
        LATE,
    ]);
    let mut client = RawClient::connect(pipeline.otlp_address());
    let mut streams = (1..).step_by(2);
    let held: Vec<u32> = streams.by_ref().take(HELD as usize).collect();
    client.send(&held.iter().flat_map(|stream| export_headers(*stream)).collect::<Vec<_>>());
    for _ in 0..ROUNDS {
        let refused: Vec<u32> = streams.by_ref().take(REFUSED_PER_ROUND as usize).collect();
        client.send(&refused.iter().flat_map(|stream| export_headers(*stream)).collect::<Vec<_>>());
        for stream in &refused {
            let reply = client.await_frame(|it| it.kind == HEADERS && it.stream == *stream);
            assert_eq!(reply.flags & END_STREAM, END_STREAM, "refused");
        }
        let late = |stream: &u32| frame(DATA, END_STREAM, *stream, &[0, 0, 0, 0, 1, 0]);
        client.send(&refused.iter().flat_map(late).collect::<Vec<_>>());
    }
    let refused = "otel_pipeline_receive_refusals_total{reason=\"connection_budget\"}";
    let refusals = pipeline.metric(refused);
    assert_eq!(refusals, f64::from(ROUNDS * REFUSED_PER_ROUND));
    let cancel = |stream: &u32| frame(RST_STREAM, 0, *stream, &8_u32.to_be_bytes());
    client.send(&held.iter().flat_map(cancel).collect::<Vec<_>>());
    eventually("their room is given back", || {
        pipeline.metric("otel_pipeline_receive_requests_in_flight") == 0.0
    });
    let stream = streams.next().unwrap();
    let body = framed(0, &request(trace(1, 2)));
    client.send(&[export_headers(stream), frame(DATA, END_STREAM, stream, &body)].concat());
    // An OK has a message between its headers and its trailers; a refusal has none.
    client.await_frame(|it| it.kind == DATA && it.stream == stream);
}

/// 100 connections with 60 requests each hold what the budget says and a little per connection;
/// the rest is refused at its headers.
#[test]
fn many_requests_stay_in_the_budget() {
    const CONNECTIONS: usize = 100;
    const STREAMS: u32 = 60;
    const BUDGET: usize = 16 << 20;
    const FIRST: u8 = 32;
    let kafka = MockKafka::start(&[super::TOPIC], super::PARTITIONS);
    let brokers = kafka.brokers();
    let program = Program::start(&[
        ("ROLE", "receive"),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("OTLP_BYTES_IN_FLIGHT_MAX", "16MiB"),
        ("OTLP_REQUEST_BYTES_MAX", "1MiB"),
        LATE,
    ]);
    // A thread takes memory when it first works: from here on all of them have, the pages' too.
    for number in 0..FIRST {
        let reply = program.client().export(&request(trace(number, 1)));
        assert_eq!((reply.code(), program.page("/latency").0), (Code::Ok, 200));
    }
    let before = program.metric("process_resident_memory_bytes");
    let begun = framed(0, &request(trace(1, 2)))[..200].to_vec();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = RawClient::connect(program.otlp_address());
            for number in 0..STREAMS {
                let stream = 2 * number + 1;
                client.send(&[export_headers(stream), frame(DATA, 0, stream, &begun)].concat());
            }
            client
        })
        .collect();
    let seen = || program.metric("otel_pipeline_receive_requests_received_total") as usize;
    eventually("all have arrived", || {
        seen() == usize::from(FIRST) + CONNECTIONS * STREAMS as usize
    });
    // Seen a moment before they are held or refused.
    let refused = || program.metric("otel_pipeline_receive_refusals_total{reason=\"budget\"}");
    let held = || program.metric("otel_pipeline_receive_requests_in_flight");
    let all = (CONNECTIONS * STREAMS as usize) as f64;
    eventually("each is held or refused", || held() + refused() == all);
    assert_eq!(held(), (BUDGET / 4096) as f64, "as many as the budget has room for");
    let health = program.client().call("/grpc.health.v1.Health/Check", &[], framed(0, b""));
    assert_eq!(health.code(), Code::Ok, "health is told when there is no room");
    let grown = program.metric("process_resident_memory_bytes") - before;
    let per_connection = 40 << 10;
    // Beside the budget, the program itself grows a little with its first load.
    let allowed = BUDGET + CONNECTIONS * per_connection + (16 << 20);
    assert!(grown < allowed as f64, "{grown} of {allowed} bytes");
    drop(clients);
}
