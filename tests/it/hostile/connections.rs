//! Who connects, how many at once, and with what for an opening.

use testbed::raw_http2::{
    DATA, END_STREAM, GOAWAY, HEADERS, RawClient, SETTINGS, export_headers, frame,
};

use super::{ENDED, REFUSED, await_count, beside_a_good_client, start_with};
use crate::support::{
    eventually,
    mock_kafka::MockKafka,
    otlp_client::framed,
    program::Program,
    spans::{request, trace},
};

/// TLS, HTTP/1 and anything else are closed at once and told apart; HTTP/1 hears why.
#[test]
fn other_protocols_are_told_apart() {
    let (_kafka, pipeline) = start_with(&[]);
    beside_a_good_client(&pipeline, || {
        for (opening, reason) in [
            (&b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..], "tls"),
            (b"POST /v1/traces HTTP/1.1\r\nhost: pipeline\r\n\r\n", "http1"),
            (b"\x00\x00\x00\x2aKafka", "not_http2"),
            (b"PRI * HTTP/1.1\r\n\r\n", "http1"),
        ] {
            let before = pipeline.metric(&format!("{REFUSED}{{reason=\"{reason}\"}}"));
            let mut client = RawClient::silent(pipeline.otlp_address());
            client.send(opening);
            let said = client.read_to_close();
            let hears = said.starts_with(b"HTTP/1.1 426 ");
            assert_eq!(hears, reason == "http1", "{}", String::from_utf8_lossy(&said));
            await_count(&pipeline, REFUSED, reason, before as usize + 1);
        }
    });
}

/// The answer to HTTP/1 is as long as it says.
#[test]
fn http1_is_answered_whole() {
    let (_kafka, pipeline) = start_with(&[]);
    let mut client = RawClient::silent(pipeline.otlp_address());
    client.send(b"GET / HTTP/1.1\r\nhost: pipeline\r\n\r\n");
    let said = String::from_utf8(client.read_to_close()).unwrap();
    let (head, body) = said.split_once("\r\n\r\n").unwrap();
    assert!(head.contains(&format!("content-length: {}\r\n", body.len())), "{head}: {body}");
}

/// A probe that connects and goes is nobody's fault and counted nowhere.
#[test]
fn a_probe_is_not_refused() {
    let (_kafka, pipeline) = start_with(&[]);
    drop(RawClient::silent(pipeline.otlp_address()));
    // Connections are served in turn: the probe was seen when this one is answered.
    pipeline.client().export(&[]);
    let (_, text) = pipeline.page("/metrics");
    let refused = text.lines().filter(|line| line.starts_with(REFUSED));
    assert!(refused.clone().count() > 0);
    assert!(refused.clone().all(|line| line.ends_with(" 0")), "{:?}", refused.collect::<Vec<_>>());
}

/// One address gets its share of the connections and no more, and places come back.
#[test]
fn connections_of_one_peer_are_bounded() {
    let (_kafka, pipeline) = start_with(&[("OTLP_CONNECTIONS_PER_PEER_MAX", "20")]);
    beside_a_good_client(&pipeline, || {
        let mut clients: Vec<_> =
            (0..30).map(|_| RawClient::connect(pipeline.otlp_address())).collect();
        // The good client has one.
        await_count(&pipeline, REFUSED, "peer_limit", 11);
        clients.clear();
        eventually("the places are free", || {
            pipeline.metric("otel_pipeline_receive_connections") <= 1.0
        });
        let mut again = RawClient::connect(pipeline.otlp_address());
        again.await_frame(|frame| frame.kind == SETTINGS);
    });
}

/// All addresses together get no more than the limit.
#[test]
fn connections_are_bounded() {
    let (_kafka, pipeline) = start_with(&[("OTLP_CONNECTIONS_MAX", "20")]);
    let good = pipeline.client();
    let _clients: Vec<_> = (0..30).map(|_| RawClient::connect(pipeline.otlp_address())).collect();
    await_count(&pipeline, REFUSED, "limit", 11);
    assert_eq!(good.export(&request(trace(1, 1))).code(), tonic::Code::Ok);
}

/// A crowd cannot take the last file descriptors: they are Kafka's. Who came before is served, and
/// the others are when it has gone.
#[test]
fn the_last_descriptors_are_not_for_clients() {
    let kafka = MockKafka::start(&[super::TOPIC], super::PARTITIONS);
    let brokers = kafka.brokers();
    let settings = [("ROLE", "receive"), ("KAFKA_BROKERS", brokers.as_str())];
    // Some it inherits from this process: librdkafka's pipes and the mock's sockets.
    let program = Program::start_with_descriptors(128, &settings);
    let good = program.client();
    let clients: Vec<_> = (0..400).map(|_| RawClient::connect(program.otlp_address())).collect();
    let refused = format!("{REFUSED}{{reason=\"descriptors\"}}");
    eventually("the crowd is refused", || program.metric(&refused) >= 300.0);
    assert_eq!(good.export(&request(trace(1, 1))).code(), tonic::Code::Ok);
    drop(clients);
    eventually("the crowd has gone", || program.metric("otel_pipeline_receive_connections") <= 1.0);
    assert_eq!(program.client().export(&request(trace(1, 1))).code(), tonic::Code::Ok);
    assert_eq!(program.metric("otel_pipeline_receive_accept_errors_total"), 0.0);
}

/// Out of file descriptors all the same, the port pauses between its tries and does not spin; it
/// takes connections again when there are some.
#[test]
#[cfg(target_os = "linux")]
fn file_descriptors_run_out() {
    use std::time::Instant;

    use otel_event_pipeline::limits::ACCEPT_PAUSE;

    let kafka = MockKafka::start(&[super::TOPIC], super::PARTITIONS);
    let brokers = kafka.brokers();
    let settings =
        [("ROLE", "receive"), ("KAFKA_BROKERS", brokers.as_str()), ("LOG_LEVEL", "debug")];
    let program = Program::start(&settings);
    let good = program.client();
    assert_eq!(good.export(&request(trace(1, 1))).code(), tonic::Code::Ok);
    // Fewer than it has open, but not fewer than poll(2) is asked about at a time. Whoever is
    // connected stays so; who comes next waits in the kernel.
    let begun = Instant::now();
    let before = program.limit_descriptors(Some(8));
    let waiting = RawClient::connect(program.otlp_address());
    eventually("the port has tried", || program.log().contains("accept failed"));
    assert_eq!(good.export(&request(trace(1, 1))).code(), tonic::Code::Ok);
    program.limit_descriptors(before);
    // One per pause, however long all this took: a loop without one makes thousands.
    let tries_max = begun.elapsed().as_secs_f64() / ACCEPT_PAUSE.as_secs_f64() + 1.0;
    assert_eq!(program.client().export(&request(trace(1, 1))).code(), tonic::Code::Ok);
    drop(waiting);
    let tries = program.metric("otel_pipeline_receive_accept_errors_total");
    assert!((1.0..=tries_max).contains(&tries), "{tries} tries, {tries_max} at most");
}

/// A connection that is old enough is told to go away; what it has begun is answered, and then it
/// is closed.
#[test]
fn old_connections_are_sent_away() {
    let (_kafka, pipeline) = start_with(&[("OTLP_CONNECTION_AGE_MAX", "1s")]);
    let mut client = RawClient::connect(pipeline.otlp_address());
    let body = framed(0, &request(trace(1, 1)));
    let (first, rest) = body.split_at(20);
    client.send(&[export_headers(1), frame(DATA, 0, 1, first)].concat());
    let away = client.await_frame(|frame| frame.kind == GOAWAY);
    assert_eq!(away.payload[4..8], [0; 4], "NO_ERROR");
    client.send(&frame(DATA, END_STREAM, 1, rest));
    client.await_frame(|frame| frame.kind == HEADERS && frame.stream == 1);
    client.await_frame(|frame| frame.kind == HEADERS && frame.flags & END_STREAM != 0);
    // The server's ping, by which it knows that GOAWAY has arrived, is not answered.
    client.read_to_close();
    await_count(&pipeline, ENDED, "aged", 1);
}
