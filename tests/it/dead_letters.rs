//! What the backend never takes: set aside in the dead-letter topic, and nothing else with it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    eventually,
    forwarding::{DEAD_LETTER_TOPIC, GROUP, PARTITIONS, Running, TOPIC, config, record},
    mock_kafka::{MockKafka, Stored},
    nobody::Nobody,
    program::Program,
    spans,
};

/// A record that the backend refuses and one that is no request go to the dead-letter topic, whole
/// and with their origin; a tombstone is skipped; the innocent around them are delivered in order.
#[test]
fn bad_records_are_dead_lettered() {
    let backend = Backend::start(|export| {
        if export.spans.iter().any(|span| span == "poison") {
            Reply::status(Code::InvalidArgument, "poison")
        } else {
            Reply::Accept
        }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    for index in 0..10 {
        kafka.produce(TOPIC, 0, Some(b"key"), Some(&record(&format!("0-{index}"))));
        match index {
            3 => kafka.produce(TOPIC, 0, Some(b"bad key"), Some(&record("poison"))),
            5 => kafka.produce(TOPIC, 0, None, Some(b"{\"json\": true}")),
            7 => kafka.produce(TOPIC, 0, Some(b"key"), None),
            _ => {}
        }
    }
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(13));
    half.stop();
    let names: Vec<String> = (0..10).map(|index| format!("0-{index}")).collect();
    assert_eq!(backend.accepted(), names);
    half.reconciles(&[("forwarded", 10), ("dead_lettered", 2), ("tombstone", 1)]);

    let mut letters = kafka.read(DEAD_LETTER_TOPIC, PARTITIONS, 2);
    letters.sort_by_key(|letter| letter.key.clone());
    let [json, poison] = &letters[..] else { panic!("two letters") };
    assert_eq!((&json.key, json.value.as_deref()), (&None, Some(&b"{\"json\": true}"[..])));
    assert_eq!(poison.key.as_deref(), Some(&b"bad key"[..]));
    assert_eq!(poison.value, Some(record("poison")));
    let header = |name: &str| header(poison, name);
    assert_eq!(header("otel.dlq.trace_id"), None, "the whole record");
    assert_eq!(header("otel.dlq.original.topic"), Some(TOPIC));
    assert_eq!(header("otel.dlq.original.partition"), Some("0"));
    assert_eq!(header("otel.dlq.original.offset"), Some("4"));
    assert_eq!(header("otel.dlq.reason"), Some("refused"));
    assert!(header("otel.dlq.detail").is_some_and(|detail| detail.contains("poison")));
    assert!(header("otel.dlq.time").is_some());
}

/// While the dead-letter topic refuses a letter, its lane waits: the offset does not move past the
/// record, and nothing behind it is sent.
#[test]
fn lane_waits_for_its_dead_letter() {
    let backend = Backend::start(|_| Reply::Accept);
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    kafka.produce(TOPIC, 0, None, Some(&record("0-0")));
    kafka.produce(TOPIC, 0, None, Some(b"not a request"));
    kafka.produce(TOPIC, 0, None, Some(&record("0-1")));
    kafka.flush();
    kafka.refuse_produce(1000);
    let half = Running::start(&config(&kafka, &backend), 1);
    let failures = &half.telemetry.forward.dead_letter_failures;
    eventually("the letter was refused", || failures.get() >= 3);
    eventually("the record before it is committed", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(1)
    });
    assert_eq!(backend.accepted(), ["0-0"]);
    // Each check of the topic says ok, until the next letter is refused.
    eventually("the topic is not ok", || half.condition("dead-letter topic").contains("not ok"));
    eventually("the lane says what it waits for", || {
        half.condition("lanes").contains("lane 0 dead letter not acknowledged for ")
    });
    kafka.refuse_produce(0);
    eventually("all is committed", || kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(3));
    assert!(half.condition("dead-letter topic").contains(": ok"));
    half.stop();
    assert_eq!(backend.accepted(), ["0-0", "0-1"]);
    half.reconciles(&[("forwarded", 2), ("dead_lettered", 1)]);
}

/// Of a record of several traces only the guilty one is set aside, under the record's key and with
/// its name; the others are delivered in order, and the offset moves when all are done.
#[test]
fn only_the_guilty_trace_is_dead_lettered() {
    let backend = Backend::start(|export| {
        if export.spans.iter().any(|span| span.ends_with("of trace 2")) {
            Reply::status(Code::InvalidArgument, "poison")
        } else {
            Reply::Accept
        }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    let many = (0..5).flat_map(|trace| spans::trace(trace, 2)).collect();
    kafka.produce(TOPIC, 1, None, Some(&record("before")));
    kafka.produce(TOPIC, 1, Some(b"key"), Some(&spans::request(many)));
    kafka.produce(TOPIC, 1, None, Some(&record("behind")));
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || kafka.committed(GROUP, TOPIC, PARTITIONS)[1] == Some(3));
    half.stop();

    let mut expected = vec!["before".to_owned()];
    for trace in [0, 1, 3, 4] {
        expected.extend((0..2).map(|span| format!("span {span} of trace {trace}")));
    }
    expected.push("behind".to_owned());
    assert_eq!(backend.accepted(), expected);
    half.reconciles(&[("forwarded", 2), ("divided", 1)]);
    let letters = &half.telemetry.forward.dead_letters;
    assert_eq!(letters.with_label_values(&["refused"]).get(), 1);
    let [letter] = &kafka.records(DEAD_LETTER_TOPIC, PARTITIONS)[..] else { panic!("one letter") };
    assert_eq!(letter.key.as_deref(), Some(&b"key"[..]));
    let value = ExportTraceServiceRequest::decode(letter.value.as_deref().unwrap()).unwrap();
    assert_eq!(value, spans::message(spans::trace(2, 2)));
    assert_eq!(header(letter, "otel.dlq.trace_id"), Some("03".repeat(16).as_str()));
    assert_eq!(header(letter, "otel.dlq.original.offset"), Some("1"));
}

/// A record that is alone larger than what the backend takes is set aside with that reason, and its
/// neighbours are delivered in order.
#[test]
fn record_over_the_backends_limit_is_dead_lettered() {
    let large = "large".repeat(100);
    let backend = Backend::start(|export| match export.message_bytes {
        401.. => Reply::status(Code::ResourceExhausted, "received message larger than max"),
        _ => Reply::Accept,
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    for name in ["before", &large, "behind"] {
        kafka.produce(TOPIC, 0, None, Some(&record(name)));
    }
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(3));
    half.stop();
    assert_eq!(backend.accepted(), ["before", "behind"]);
    half.reconciles(&[("forwarded", 2), ("dead_lettered", 1)]);
    let [letter] = &kafka.records(DEAD_LETTER_TOPIC, PARTITIONS)[..] else { panic!("one letter") };
    assert_eq!(letter.value, Some(record(&large)));
    assert_eq!(header(letter, "otel.dlq.reason"), Some("too_large"));
}

/// A record that breaks the connection whenever it comes is found among the others and set aside;
/// the others are delivered in order.
#[test]
fn record_that_crashes_the_backend_is_dead_lettered() {
    let backend = Backend::start(|export| {
        let is_deadly = export.spans.iter().any(|span| span == "deadly");
        if is_deadly { Reply::Disconnect } else { Reply::Accept }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    for index in 0..20 {
        for partition in 0..PARTITIONS {
            let name = format!("{partition}-{index}");
            let is_deadly = (partition, index) == (2, 7);
            let value = record(if is_deadly { "deadly" } else { &name });
            kafka.produce(TOPIC, partition, None, Some(&value));
        }
    }
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS) == [Some(20); PARTITIONS as usize]
    });
    half.stop();
    half.reconciles(&[("forwarded", 79), ("dead_lettered", 1)]);
    let [letter] = &kafka.records(DEAD_LETTER_TOPIC, PARTITIONS)[..] else { panic!("one letter") };
    assert_eq!(letter.value, Some(record("deadly")));
    assert_eq!(header(letter, "otel.dlq.reason"), Some("backend_crash"));
    assert_eq!(header(letter, "otel.dlq.original.offset"), Some("7"));
    let mut accepted = backend.accepted();
    accepted.retain(|span| span.starts_with("2-"));
    let innocent = (0..20).filter(|index| *index != 7).map(|index| format!("2-{index}"));
    assert_eq!(accepted, innocent.collect::<Vec<_>>());
}

/// A backend that drops two of three requests, whatever is in them, has nothing dead-lettered
/// however long that lasts, and everything is delivered afterwards.
#[test]
fn flapping_backend_dead_letters_nothing() {
    let steady = Arc::new(AtomicBool::new(false));
    let is_steady = Arc::clone(&steady);
    let backend = Backend::start(move |export| {
        let accepts = is_steady.load(Ordering::Relaxed) || export.index.is_multiple_of(3);
        if accepts { Reply::Accept } else { Reply::Disconnect }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    for partition in 0..PARTITIONS {
        kafka.produce(TOPIC, partition, None, Some(&record("innocent")));
    }
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("many requests were dropped", || backend.exports().len() > 60);
    steady.store(true, Ordering::Relaxed);
    eventually("all is committed", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS) == [Some(1); PARTITIONS as usize]
    });
    half.stop();
    half.reconciles(&[("forwarded", 4)]);
}

/// The program stops dead-lettering at the hundredth letter without a success between, says so in
/// its log and on its page, and forwards what is left once the backend accepts.
#[test]
fn storm_stops_at_a_hundred_letters() {
    let well = Arc::new(AtomicBool::new(false));
    let is_well = Arc::clone(&well);
    let backend = Backend::start(move |_| {
        let is_well = is_well.load(Ordering::Relaxed);
        if is_well { Reply::Accept } else { Reply::status(Code::Internal, "disk full") }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    for index in 0..150 {
        kafka.produce(TOPIC, 0, None, Some(&record(&format!("0-{index}"))));
    }
    kafka.flush();
    let (brokers, endpoint) = (kafka.brokers(), backend.endpoint());
    let program = Program::start(&[
        ("ROLE", "forward"),
        ("KAFKA_BROKERS", &brokers),
        ("KAFKA_TOPIC", TOPIC),
        ("KAFKA_CONSUMER_GROUP", GROUP),
        ("KAFKA_CONSUMER_CONFIG", "fetch.wait.max.ms=10"),
        ("JAEGER_ENDPOINT", &endpoint),
        ("FORWARD_RETRY_BACKOFF_MIN", "1ms"),
        ("FORWARD_RETRY_BACKOFF_MAX", "2ms"),
    ]);
    let letters = || program.metric("otel_pipeline_forward_dead_letters_total{reason=\"refused\"}");
    let page = || program.page("/readyz?verbose").1;
    eventually("it says that it stopped", || page().contains("dead-lettering stopped"));
    assert_eq!(letters(), 100.0);
    let (tried, storm) = (backend.exports().len(), "dead-lettering stopped: look at the backend");
    eventually("it is tried further", || backend.exports().len() > tried + 100);
    assert_eq!(letters(), 100.0);
    assert!(program.log().contains(storm), "{}", program.log());
    well.store(true, Ordering::Relaxed);
    eventually("the rest is committed", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(150)
    });
    let rest: Vec<String> = (100..150).map(|index| format!("0-{index}")).collect();
    assert_eq!(backend.accepted(), rest);
    assert_eq!(kafka.records(DEAD_LETTER_TOPIC, PARTITIONS).len(), 100);
}

/// A backend that cannot be reached has nothing dead-lettered, however often it is tried.
#[test]
fn unreachable_backend_dead_letters_nothing() {
    let nobody = Nobody::new();
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    kafka.produce(TOPIC, 0, None, Some(&record("innocent")));
    kafka.flush();
    let mut config = config(&kafka, &Backend::start(|_| Reply::Accept));
    config.forward.endpoint = format!("http://{}", nobody.address());
    let half = Running::start(&config, 1);
    let retries = &half.telemetry.forward.retries;
    eventually("it is tried", || retries.with_label_values(&["now"]).get() >= 10);
    half.stop();
    assert_eq!(retries.with_label_values(&["crash"]).get(), 0);
    half.reconciles(&[("returned", 1)]);
}

/// A header's value, if the letter has it.
fn header<'a>(letter: &'a Stored, name: &str) -> Option<&'a str> {
    let found = letter.headers.iter().find(|(key, _)| key == name);
    found.map(|(_, value)| value.as_str())
}
