//! What is in a span goes to Kafka and the backend, and nowhere else: no log line, no metric.

use std::collections::BTreeSet;

use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    eventually,
    mock_kafka::MockKafka,
    otlp_client::{EXPORT, framed},
    program::Program,
    spans::{attribute, message, nested, request, span},
};

const TOPIC: &str = "otel.traces";
const DEAD_LETTER_TOPIC: &str = "otel.traces.dlq";
/// Stands in every text of a span.
const MARK: &str = "m4rked";

/// A good span with the mark wherever a span has text.
fn marked(number: u8) -> Span {
    let mut span = span(number, number);
    span.name = format!("{MARK} name");
    span.trace_state = format!("{MARK}=1");
    span.attributes.push(attribute(&format!("{MARK}.key"), MARK));
    span
}

/// A request with the mark in its resource and scope too.
fn marked_request(spans: Vec<Span>) -> Vec<u8> {
    let mut request = message(spans);
    let resource = &mut request.resource_spans[0];
    resource.schema_url = format!("https://{MARK}");
    resource.scope_spans[0].scope.as_mut().unwrap().name = MARK.to_owned();
    resource.resource.as_mut().unwrap().attributes.push(attribute("service.name", MARK));
    request.encode_to_vec()
}

/// Requests that go wrong in every way that the receiver tells apart, each holding the mark.
fn hostile_bodies() -> Vec<Vec<u8>> {
    let good = marked_request(vec![marked(1)]);
    let mut no_id = marked(2);
    no_id.trace_id = MARK.into();
    let mut deep = marked(3);
    deep.attributes.push(nested(80));
    vec![
        framed(0, &good),
        framed(0, &good[..good.len() - 3]),
        framed(0, MARK.as_bytes()),
        // Flagged as compressed, and not.
        framed(1, &good),
        framed(7, &good),
        framed(0, &marked_request(vec![no_id, marked(4)])),
        framed(0, &marked_request(vec![deep])),
    ]
}

fn assert_no_mark(program: &Program) {
    for path in ["/metrics", "/readyz?verbose", "/latency", "/"] {
        let (_, page) = program.page(path);
        assert!(!page.contains(MARK), "{path}: {page}");
    }
    assert!(!program.log().contains(MARK), "{}", program.log());
}

/// The series of `/metrics`, without their values.
fn series(program: &Program) -> BTreeSet<String> {
    let (_, page) = program.page("/metrics");
    let samples = page.lines().filter(|line| !line.starts_with('#'));
    samples.filter_map(|line| line.rsplit_once(' ')).map(|(name, _)| name.to_owned()).collect()
}

fn start(kafka: &MockKafka, variables: &[(&str, &str)]) -> Program {
    let brokers = kafka.brokers();
    let common = [("KAFKA_BROKERS", brokers.as_str()), ("LOG_LEVEL", "trace")];
    Program::start(&[&common, variables].concat())
}

/// Whatever is wrong with a request, no word of it gets into a log line or on a page, and none
/// becomes a series: the set of series is what it was before.
#[test]
fn receiving_tells_no_content_and_adds_no_series() {
    let kafka = MockKafka::start(&[TOPIC], 1);
    // One producer: two would have their first statistics at different times.
    let program = start(&kafka, &[("ROLE", "receive"), ("PUBLISH_THREADS", "1")]);
    let client = program.client();
    assert_eq!(client.export(&request(vec![span(0, 0)])).code(), Code::Ok);
    // Some come with librdkafka's first statistics only.
    eventually("librdkafka's figures are there", || {
        series(&program).iter().any(|name| name.contains("kafka_client_round_trip"))
    });
    let before = series(&program);
    for body in hostile_bodies() {
        client.call(EXPORT, &[("grpc-encoding", MARK), ("user-agent", MARK), (MARK, MARK)], body);
    }
    for body in hostile_bodies() {
        client.call(EXPORT, &[], body);
    }
    client.call(&format!("/{MARK}/{MARK}"), &[], framed(0, MARK.as_bytes()));
    let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
    kafka.fail(RDKafkaApiKey::Produce, refusal, 1);
    client.export(&marked_request(vec![marked(5)]));
    program.page(&format!("/{MARK}"));
    assert_no_mark(&program);
    assert_eq!(series(&program), before);
}

/// A record that is no request, and one that the backend refuses, become dead letters of which the
/// log tells without their content, and none becomes a series.
#[test]
fn forwarding_tells_no_content_and_adds_no_series() {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], 1);
    let backend = Backend::start(|_| Reply::status(Code::InvalidArgument, "refused"));
    let produce = |good: &[u8], key: &[u8]| {
        for value in [good, &good[..good.len() - 3], key] {
            kafka.produce(TOPIC, 0, Some(key), Some(value));
        }
        kafka.flush();
    };
    produce(&request(vec![span(0, 0)]), b"plain");
    let endpoint = backend.endpoint();
    let variables = [
        ("ROLE", "forward"),
        ("FORWARD_THREADS", "1"),
        ("JAEGER_ENDPOINT", endpoint.as_str()),
        ("FORWARD_BATCH_AGE", "20ms"),
    ];
    let program = start(&kafka, &variables);
    assert_eq!(kafka.read(DEAD_LETTER_TOPIC, 1, 3).len(), 3);
    // It comes with the first statistics after a record, and last of them.
    eventually("the lag is told", || {
        series(&program).iter().any(|name| name.contains("forward_lag_seconds"))
    });
    let before = series(&program);
    produce(&marked_request(vec![marked(1)]), MARK.as_bytes());
    assert_eq!(kafka.read(DEAD_LETTER_TOPIC, 1, 6).len(), 6);
    assert!(program.log().contains("dead"), "{}", program.log());
    assert_no_mark(&program);
    let mut added = series(&program);
    // A client's own come with its first statistics, whenever that is.
    added.retain(|name| !before.contains(name) && !name.contains("_kafka_client_"));
    assert_eq!(added, BTreeSet::new());
}
