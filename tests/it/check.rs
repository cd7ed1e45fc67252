//! `check` as an operator runs it: its lines and its exit code.

use std::net::{TcpListener, ToSocketAddrs};

use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    mock_kafka::MockKafka,
    nobody::Nobody,
    program,
};

const TOPIC: &str = "otel.traces";
const DEAD_LETTER_TOPIC: &str = "otel.traces.dlq";
const PARTITIONS: i32 = 4;

/// Runs `check` with free ports unless `variables` say otherwise: exit code and lines.
fn check(variables: &[(&str, &str)]) -> (i32, String) {
    let ports = [("GRPC_PORT", "0"), ("HTTP_PORT", "0")];
    let output = program::run(&["check"], &[&ports, variables].concat());
    assert!(output.stderr.is_empty(), "{output:?}");
    (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
}

/// The lines about `subject`, verdict and text.
fn about(lines: &str, subject: &str) -> Vec<String> {
    let lines = lines.lines().map(|line| line.split_whitespace().collect::<Vec<_>>());
    let lines = lines.filter(|words| words[1] == subject);
    lines.map(|words| format!("{} {}", words[0], words[2..].join(" "))).collect()
}

/// The only line about `subject`, which fails and has all of `parts`.
fn assert_fails(lines: &str, subject: &str, parts: &[&str]) {
    let found = about(lines, subject);
    assert_eq!(found.len(), 1, "{lines}");
    assert!(found[0].starts_with("FAIL "), "{lines}");
    for part in parts {
        assert!(found[0].contains(part), "{part} is not in: {lines}");
    }
}

/// With everything in place nothing fails; what the broker does not tell is a warning.
#[test]
fn all_is_well() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let backend = Backend::start(|_| Reply::Accept);
    let (brokers, endpoint) = (kafka.brokers(), backend.endpoint());
    let (code, lines) = check(&[("KAFKA_BROKERS", &brokers), ("JAEGER_ENDPOINT", &endpoint)]);
    assert_eq!((code, lines.contains("FAIL")), (0, false), "{lines}");
    assert_eq!(about(&lines, "settings").len(), 1);
    assert_eq!(about(&lines, "listener").len(), 2);
    assert_eq!(about(&lines, "broker"), [format!("ok {brokers} answers, 1 broker")]);
    for (found, topic) in about(&lines, "topic").iter().zip([TOPIC, DEAD_LETTER_TOPIC]) {
        assert!(
            found.starts_with(&format!("warn {topic} has 4 partitions of one copy")),
            "{found}"
        );
    }
    let rights = about(&lines, "rights");
    assert_eq!(rights.len(), 2, "{lines}");
    assert!(rights.iter().all(|found| found.starts_with("warn ")), "{lines}");
    assert!(about(&lines, "group")[0].starts_with("ok otel-event-pipeline answers"), "{lines}");
    assert_eq!(about(&lines, "backend"), [format!("ok {endpoint} takes OTLP")]);
    assert_eq!(backend.exports().len(), 1);
    assert!(backend.accepted().is_empty(), "a check sends no span");
}

/// Only what the role needs is asked.
#[test]
fn role_decides_what_is_checked() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let (code, lines) = check(&[("KAFKA_BROKERS", &kafka.brokers()), ("ROLE", "receive")]);
    assert_eq!(code, 0, "{lines}");
    assert_eq!(about(&lines, "topic").len(), 1, "{lines}");
    assert!(about(&lines, "group").is_empty() && about(&lines, "backend").is_empty(), "{lines}");
}

/// A broker that is not there fails with the system's reason, and Kafka is asked nothing further.
#[test]
fn unreachable_broker() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let brokers = kafka.brokers();
    kafka.down();
    let (code, lines) = check(&[("KAFKA_BROKERS", &brokers), ("ROLE", "receive")]);
    assert_eq!(code, 1, "{lines}");
    assert_fails(&lines, "broker", &[&brokers, "onnect", "; start Kafka, or set KAFKA_BROKERS"]);
    assert!(about(&lines, "topic").is_empty(), "{lines}");
}

/// The default broker where its name does not resolve is explained; any other is named.
#[test]
fn unresolvable_broker() {
    let (code, lines) = check(&[("ROLE", "receive")]);
    assert_eq!(code, 1, "{lines}");
    let resolves = ("kafka", 9092).to_socket_addrs().is_ok();
    assert_eq!(lines.contains("does not resolve here: set KAFKA_BROKERS"), !resolves, "{lines}");
    // A label of 64 characters is no name: no server is asked, whose silence would take long.
    let host = format!("{}.invalid", "x".repeat(64));
    let brokers = format!("{host}:9092");
    let (code, lines) = check(&[("KAFKA_BROKERS", &brokers), ("ROLE", "receive")]);
    assert_eq!(code, 1, "{lines}");
    assert_fails(&lines, "broker", &[&host, "resolve", "; correct the host"]);
}

/// A topic that is missing comes with the command that creates it, and is not created by asking.
#[test]
fn missing_topic() {
    let kafka = MockKafka::start(&["other"], PARTITIONS);
    let brokers = kafka.brokers();
    for create in ["true", "false"] {
        let variables = [
            ("KAFKA_BROKERS", brokers.as_str()),
            ("ROLE", "receive"),
            ("KAFKA_TOPIC_CREATE", create),
        ];
        let (code, lines) = check(&variables);
        assert_eq!(code, 1, "{lines}");
        let command = format!("create it: kafka-topics.sh --bootstrap-server {brokers} --create");
        assert_fails(&lines, "topic", &["otel.traces does not exist", &command]);
    }
    assert!(!kafka.topics().contains(&TOPIC.to_owned()));
}

/// A backend that nobody listens for, and one that wants credentials, fail with what to change.
#[test]
fn unusable_backend() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let brokers = kafka.brokers();
    let nobody = Nobody::new();
    let closed = format!("http://{}", nobody.address());
    let token = Backend::start(|_| Reply::status(Code::Unauthenticated, "no token"));
    let page = Backend::start(|_| Reply::Http(404));
    for (endpoint, parts) in [
        (closed, ["connection: ", "refused", "start the backend or correct JAEGER_ENDPOINT"]),
        (token.endpoint(), ["unauthenticated: ", "no token", "let this client in"]),
        (page.endpoint(), ["http: ", "404", "no OTLP/gRPC endpoint: JAEGER_ENDPOINT"]),
    ] {
        let variables = [("KAFKA_BROKERS", brokers.as_str()), ("JAEGER_ENDPOINT", &endpoint)];
        let (code, lines) = check(&variables);
        assert_eq!(code, 1, "{lines}");
        assert_fails(&lines, "backend", &parts);
        assert_eq!(lines.matches("FAIL").count(), 1, "{lines}");
    }
}

/// A misspelt variable fails; a port that is taken may be taken by the pipeline itself.
#[test]
fn settings_and_ports() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port().to_string();
    let brokers = kafka.brokers();
    let receive = [("KAFKA_BROKERS", brokers.as_str()), ("ROLE", "receive")];
    let (code, lines) = check(&[&receive[..], &[("HTTP_PORT", port.as_str())]].concat());
    assert_eq!(code, 0, "{lines}");
    let warning = format!("warn HTTP_PORT {port} of 127.0.0.1 is taken");
    assert!(about(&lines, "listener")[1].starts_with(&warning), "{lines}");
    let (code, lines) = check(&[&receive[..], &[("KAFKA_TOPC", "spans")]].concat());
    assert_eq!(code, 1, "{lines}");
    assert_fails(&lines, "settings", &["KAFKA_TOPC", "did you mean KAFKA_TOPIC?"]);
}
