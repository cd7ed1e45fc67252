//! Kafka to the backend: a mock cluster on one side, a scripted backend on the other.

use std::{
    cell::RefCell,
    collections::BTreeMap,
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use otel_event_pipeline::{
    config::Config, forward::ForwardHalf, health::Health, internal_telemetry::Telemetry,
    threads::Threads,
};
use prost::Message;
use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    eventually,
    mock_kafka::MockKafka,
    settings,
};

const TOPIC: &str = "otel.traces";
const DEAD_LETTER_TOPIC: &str = "otel.traces.dlq";
const GROUP: &str = "jaeger";
const PARTITIONS: i32 = 4;

/// Everything is forwarded in the order of its partition, committed to the end, and counted.
#[test]
fn forwards_in_order() {
    let backend = Backend::start(|_| Reply::Accept);
    let kafka = kafka_with(100);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 100));
    assert_eq!(by_partition(&backend.accepted()), expected(100));
    half.stop();
    half.reconciles(&[("forwarded", 400)]);
}

/// Whatever says "not now" or "not like this" is tried again until it succeeds: nothing is lost,
/// skipped, dead-lettered or sent out of order.
#[test]
fn retries_until_the_backend_takes_it() {
    let backend = Backend::start(|export| match export.index {
        0 => Reply::status(Code::Unavailable, "starting"),
        1 => Reply::status(Code::Unauthenticated, "wrong token"),
        2 => Reply::Http(503),
        3 => Reply::Http(404),
        4 => Reply::Disconnect,
        5 => Reply::Hang,
        6 => Reply::status(Code::Internal, "once"),
        7 => Reply::status(Code::ResourceExhausted, "busy"),
        _ => Reply::Accept,
    });
    let kafka = kafka_with(20);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 20));
    assert_eq!(by_partition(&backend.accepted()), expected(20));
    half.stop();
    half.reconciles(&[("forwarded", 80)]);
    let retries = &half.telemetry.forward.retries;
    assert!(retries.with_label_values(&["now"]).get() >= 3);
    assert_eq!(retries.with_label_values(&["configuration"]).get(), 2);
    assert_eq!(retries.with_label_values(&["suspect"]).get(), 1);
}

/// A long outage pauses the consumer instead of filling the memory, and its end resumes it where it
/// stood: nothing is lost, skipped or sent out of order.
#[test]
fn outage_pauses_and_resumes() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let backend = Backend::start(move |_| {
        if is_up.load(Ordering::Relaxed) {
            Reply::Accept
        } else {
            Reply::status(Code::Unavailable, "out")
        }
    });
    let kafka = kafka_with(200);
    let mut config = config(&kafka, &backend);
    config.forward.batch_bytes_max = 300;
    let half = Running::start(&config, 1);
    let metrics = &half.telemetry.forward;
    let paused = || metrics.paused.with_label_values(&["forward-0"]).get();
    eventually("the consumer is paused", || paused() == 1);
    assert!(metrics.records_pending.get() < 200, "the window is bounded");
    assert!(half.condition("backend").contains("unavailable"));
    up.store(true, Ordering::Relaxed);
    eventually("all is committed", || is_committed(&kafka, 200));
    assert_eq!(by_partition(&backend.accepted()), expected(200));
    eventually("the consumer is resumed", || paused() == 0);
    half.stop();
    half.reconciles(&[("forwarded", 800)]);
}

/// What the backend has not accepted is not committed, and the next member of the group gets it.
#[test]
fn unaccepted_records_are_consumed_again() {
    let silent = Backend::start(|_| Reply::Hang);
    let kafka = kafka_with(5);
    let first = Running::start(&config(&kafka, &silent), 1);
    eventually("the silent backend was asked", || !silent.exports().is_empty());
    first.stop();
    assert_eq!(kafka.committed(GROUP, TOPIC, PARTITIONS), [None; PARTITIONS as usize]);
    let returned = first.telemetry.forward.records.with_label_values(&["returned"]).get();
    assert!(returned > 0 && first.telemetry.forward.records_pending.get() == 0);

    let backend = Backend::start(|_| Reply::Accept);
    let second = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 5));
    assert_eq!(by_partition(&backend.accepted()), expected(5));
    second.stop();
}

/// Spans refused by partial success are counted, and the request is not sent again.
#[test]
fn partial_success_is_not_retried() {
    let backend = Backend::start(|_| Reply::Partial(3));
    let kafka = kafka_with(1);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 1));
    half.stop();
    assert_eq!(by_partition(&backend.accepted()), expected(1));
    let refused = half.telemetry.forward.spans_refused.get();
    assert_eq!(refused, 3 * backend.exports().len() as u64);
    half.reconciles(&[("forwarded", 4)]);
}

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
    let header = |name: &str| {
        let found = poison.headers.iter().find(|(key, _)| key == name);
        found.map(|(_, value)| value.as_str())
    };
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
    assert!(half.condition("dead-letter topic").contains("not ok"));
    kafka.refuse_produce(0);
    eventually("all is committed", || kafka.committed(GROUP, TOPIC, PARTITIONS)[0] == Some(3));
    assert!(half.condition("dead-letter topic").contains(": ok"));
    half.stop();
    assert_eq!(backend.accepted(), ["0-0", "0-1"]);
    half.reconciles(&[("forwarded", 2), ("dead_lettered", 1)]);
}

/// A batch over the backend's limit is halved until it fits; nothing is dead-lettered.
#[test]
fn too_large_batches_are_halved() {
    let backend = Backend::start(|export| {
        if export.message_bytes > 200 {
            let words = "grpc: received message larger than max (9999 vs. 200)";
            Reply::status(Code::ResourceExhausted, words)
        } else {
            Reply::Accept
        }
    });
    let kafka = kafka_with(40);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 40));
    assert_eq!(by_partition(&backend.accepted()), expected(40));
    half.stop();
    half.reconciles(&[("forwarded", 160)]);
    assert!(half.telemetry.forward.bisections.get() > 0);
}

/// A second member joins while records flow: both forward, nothing is lost or skipped.
#[test]
fn members_share_the_group() {
    let backend = Backend::start(|_| Reply::Accept);
    let kafka = kafka_with(50);
    let first = Running::start(&config(&kafka, &backend), 1);
    eventually("the first member forwards", || is_committed(&kafka, 50));
    let second = Running::start(&config(&kafka, &backend), 1);
    let mut produced = 50;
    eventually("the second member forwards", || {
        produce(&kafka, produced..produced + 1);
        produced += 1;
        second.telemetry.forward.records.with_label_values(&["forwarded"]).get() > 0
    });
    eventually("all is committed", || is_committed(&kafka, produced));
    first.stop();
    second.stop();
    let mut accepted = by_partition(&backend.accepted());
    for spans in accepted.values_mut() {
        spans.sort_unstable();
        spans.dedup();
    }
    assert_eq!(accepted, expected(produced));
    for half in [&first, &second] {
        assert_eq!(half.telemetry.forward.records_pending.get(), 0);
    }
}

/// A forward half on its threads; [`Running::stop`] ends it in order.
struct Running {
    telemetry: Arc<Telemetry>,
    health: Health,
    stop: Arc<AtomicBool>,
    threads: RefCell<Threads>,
}

impl Running {
    fn start(config: &Config, threads: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let health = Health::new();
        let half = ForwardHalf::prepare(config, threads, &telemetry, &health).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Threads::new();
        for (index, forward) in half.loops.into_iter().enumerate() {
            let stop = Arc::clone(&stop);
            let body = move || forward.run(&stop).unwrap();
            threads.spawn(format!("forward-{index}"), None, body).unwrap();
        }
        threads.spawn("send".to_owned(), None, || half.backend.run()).unwrap();
        Self { telemetry, health, stop, threads: RefCell::new(threads) }
    }

    fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let late = self.threads.borrow_mut().join("", Instant::now() + Duration::from_secs(20));
        assert_eq!(late, Vec::<String>::new());
        assert!(self.threads.borrow().failures().is_empty(), "a thread panicked");
    }

    /// A condition as an operator reads it.
    fn condition(&self, name: &str) -> String {
        let described = self.health.conditions().into_iter().map(|it| it.describe());
        described.into_iter().find(|it| it.starts_with(name)).unwrap()
    }

    /// Checks the counts by outcome, and that they add up to what was consumed.
    fn reconciles(&self, outcomes: &[(&str, u64)]) {
        let metrics = &self.telemetry.forward;
        for outcome in ["forwarded", "dead_lettered", "tombstone", "returned"] {
            let expected = outcomes.iter().find(|(name, _)| *name == outcome);
            let counted = metrics.records.with_label_values(&[outcome]).get();
            assert_eq!(counted, expected.map_or(0, |(_, count)| *count), "{outcome}");
        }
        let all: u64 = outcomes.iter().map(|(_, count)| count).sum();
        assert_eq!((metrics.records_consumed.get(), metrics.records_pending.get()), (all, 0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.borrow_mut().join("", Instant::now() + Duration::from_secs(20));
    }
}

/// A cluster whose topic holds `count` records in each partition.
fn kafka_with(count: usize) -> MockKafka {
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    produce(&kafka, 0..count);
    kafka
}

fn produce(kafka: &MockKafka, indices: Range<usize>) {
    for index in indices {
        for partition in 0..PARTITIONS {
            let value = record(&format!("{partition}-{index}"));
            kafka.produce(TOPIC, partition, Some(b"key"), Some(&value));
        }
    }
    kafka.flush();
}

/// A request with one span of this name.
fn record(span: &str) -> Vec<u8> {
    let span = Span { name: span.to_owned(), ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

fn is_committed(kafka: &MockKafka, count: usize) -> bool {
    let end = Some(count as i64);
    kafka.committed(GROUP, TOPIC, PARTITIONS).iter().all(|offset| *offset == end)
}

/// Spans as `(partition, index)`, grouped, in their order.
fn by_partition(spans: &[String]) -> BTreeMap<usize, Vec<usize>> {
    let mut grouped = BTreeMap::<usize, Vec<usize>>::new();
    for span in spans {
        let (partition, index) = span.split_once('-').unwrap();
        grouped.entry(partition.parse().unwrap()).or_default().push(index.parse().unwrap());
    }
    grouped
}

fn expected(count: usize) -> BTreeMap<usize, Vec<usize>> {
    (0..PARTITIONS as usize).map(|partition| (partition, (0..count).collect())).collect()
}

fn config(kafka: &MockKafka, backend: &Backend) -> Config {
    let mut config = settings::config(&kafka.brokers(), &backend.endpoint());
    config.kafka.topic.name = TOPIC.to_owned();
    config.forward.group = GROUP.to_owned();
    config.forward.dead_letter_topic = DEAD_LETTER_TOPIC.to_owned();
    config
}
