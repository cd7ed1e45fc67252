//! Start and end of the program: signals, ports, deadlines, exit codes.

use std::{net::TcpListener, thread, time::Duration};

use tonic::Code;

use crate::support::{
    backend::{Backend, Reply as BackendReply},
    eventually,
    mock_kafka::MockKafka,
    otlp_client::{Reply, framed},
    program::{self, Program},
    spans::{request, trace},
};

const TOPIC: &str = "otel.traces";
const DEAD_LETTER_TOPIC: &str = "otel.traces.dlq";
const GROUP: &str = "jaeger";
const PARTITIONS: i32 = 4;
const REQUESTS: usize = 8;

/// A program in the role `receive`, with `variables` beside what every test wants.
fn start(kafka: &MockKafka, variables: &[(&str, &str)]) -> Program {
    let brokers = kafka.brokers();
    let common = [("ROLE", "receive"), ("KAFKA_BROKERS", brokers.as_str())];
    Program::start(&[&common, variables].concat())
}

/// Has requests in flight, ends the program, and gives every reply.
fn terminate_in_flight(program: &Program) -> Vec<Reply> {
    let bodies = (0..REQUESTS as u8).map(|number| framed(0, &request(trace(number, 2)))).collect();
    thread::scope(|scope| {
        let replies = scope.spawn(|| program.client().export_all(bodies));
        let in_flight = format!("otel_pipeline_receive_requests_in_flight {REQUESTS}\n");
        eventually("requests are in flight", || program.page("/metrics").1.contains(&in_flight));
        program.terminate();
        replies.join().unwrap()
    })
}

/// A program that has been asked to end and is in its drain delay.
fn draining(kafka: &MockKafka) -> Program {
    let program = start(kafka, &[("DRAIN_DELAY", "60s"), ("SHUTDOWN_DEADLINE", "90s")]);
    program.terminate();
    eventually("the program is not ready", || program.page("/readyz").0 == 503);
    program
}

/// SIGTERM: every request in flight is answered as Kafka acknowledges it, and the end is orderly.
#[test]
fn sigterm_answers_what_is_in_flight() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let mut program = start(&kafka, &[]);
    // What a first request learns of the broker would be delayed as well, each answer by itself.
    let first = program.client().export(&request(trace(REQUESTS as u8, 2)));
    assert_eq!(first.code(), Code::Ok, "{:?}", first.status);
    kafka.delay(Duration::from_secs(3));
    for reply in terminate_in_flight(&program) {
        assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    }
    assert_eq!(program.exit_code(), Some(0));
    kafka.delay(Duration::ZERO);
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 1 + REQUESTS);
}

/// A broker that stays silent cannot hold the end up: what it owes is answered UNAVAILABLE, for the
/// client to send again elsewhere.
#[test]
fn silent_broker_does_not_hold_the_end_up() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let mut program = start(&kafka, &[("SHUTDOWN_DEADLINE", "8s")]);
    kafka.delay(Duration::from_secs(120));
    for reply in terminate_in_flight(&program) {
        assert_eq!(reply.code(), Code::Unavailable, "{:?}", reply.status);
        assert!(reply.retry_delay().is_some());
        // Not by the record's own timeout, which is longer than the deadline.
        assert!(reply.status.message().contains("purged"), "{:?}", reply.status);
    }
    assert_eq!(program.exit_code(), Some(0), "nothing is late");
}

/// A program in the role `forward` whose topic holds a record.
fn start_forwarding(kafka: &MockKafka, endpoint: &str) -> Program {
    kafka.produce(TOPIC, 0, Some(b"key"), Some(&request(trace(1, 2))));
    kafka.flush();
    let brokers = kafka.brokers();
    let variables = [
        ("ROLE", "forward"),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_CONSUMER_GROUP", GROUP),
        ("KAFKA_CONSUMER_CONFIG", "session.timeout.ms=3000,heartbeat.interval.ms=500"),
        ("JAEGER_ENDPOINT", endpoint),
        ("SHUTDOWN_DEADLINE", "20s"),
    ];
    Program::start_unready(&variables)
}

/// The same, with a backend that is away.
fn start_forwarding_in_vain(kafka: &MockKafka) -> Program {
    let program = start_forwarding(kafka, "127.0.0.1:9");
    let retries = "otel_pipeline_forward_retries_total{class=\"now\"}";
    eventually("the backend is tried again", || program.metric(retries) >= 2.0);
    program
}

/// SIGTERM while the backend is away: the end does not wait for it, and is orderly; what it has not
/// taken is not committed.
#[test]
fn sigterm_without_a_backend() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let mut program = start_forwarding_in_vain(&kafka);
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));
    assert_eq!(kafka.committed(GROUP, TOPIC, PARTITIONS), [None; PARTITIONS as usize]);
}

/// SIGTERM while the backend takes requests and never answers: the same.
#[test]
fn sigterm_with_a_silent_backend() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let backend = Backend::start(|_| BackendReply::Hang);
    let mut program = start_forwarding(&kafka, &backend.endpoint());
    eventually("the backend was asked", || !backend.exports().is_empty());
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));
    assert_eq!(kafka.committed(GROUP, TOPIC, PARTITIONS), [None; PARTITIONS as usize]);
}

/// SIGTERM while the broker is silent as well: the group is left without its answer.
#[test]
fn sigterm_without_backend_and_broker() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let mut program = start_forwarding_in_vain(&kafka);
    kafka.delay(Duration::from_secs(120));
    program.terminate();
    assert_eq!(program.exit_code(), Some(0));
}

/// In the drain delay balancers are told to look elsewhere, and who still comes is served.
#[test]
fn drain_delay_serves_unready() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let program = draining(&kafka);
    let reply = program.client().export(&request(trace(1, 1)));
    assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    let (status, page) = program.page("/readyz?verbose");
    assert_eq!(status, 503);
    assert!(page.contains("shutting down"), "{page}");
}

/// A second signal ends the program at once, with a code of its own.
#[test]
fn second_signal_cuts_short() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let mut program = draining(&kafka);
    program.terminate();
    assert_eq!(program.exit_code(), Some(6));
}

/// A port that is taken ends the start with its own code; the log names the setting and the reason.
#[test]
fn taken_port_ends_with_3() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    for (name, other) in [("GRPC_PORT", "HTTP_PORT"), ("HTTP_PORT", "GRPC_PORT")] {
        let variables = [(name, port.as_str()), (other, "0"), ("KAFKA_BROKERS", "127.0.0.1:9")];
        let output = program::run(&[], &variables);
        assert_eq!(output.status.code(), Some(3), "{output:?}");
        let log = String::from_utf8(output.stderr).unwrap();
        assert!(log.contains(name) && !log.contains(other), "{log}");
        assert!(log.contains("in use"), "{log}");
    }
}
