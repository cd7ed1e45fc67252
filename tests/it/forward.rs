//! Kafka to the backend: a mock cluster on one side, a scripted backend on the other.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::Range,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use prometheus::IntGaugeVec;
use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    eventually,
    forwarding::{DEAD_LETTER_TOPIC, GROUP, PARTITIONS, Running, TOPIC, config, record},
    mock_kafka::MockKafka,
};

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
        4 => Reply::Hang,
        5 => Reply::status(Code::Internal, "once"),
        6 => Reply::status(Code::ResourceExhausted, "busy"),
        // The last: a broken connection brings empty requests with it.
        7 => Reply::Disconnect,
        _ => Reply::Accept,
    });
    let kafka = kafka_with(20);
    let mut config = config(&kafka, &backend);
    config.forward.request_timeout = SOON;
    let half = Running::start(&config, 1);
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
    let lanes = half.condition("lanes");
    assert!(lanes.starts_with("lanes: not ok") && lanes.contains("forward-0: lane 0 "), "{lanes}");
    assert!(lanes.contains("retrying for ") && lanes.contains("unavailable: out"), "{lanes}");
    up.store(true, Ordering::Relaxed);
    eventually("all is committed", || is_committed(&kafka, 200));
    assert_eq!(by_partition(&backend.accepted()), expected(200));
    eventually("the consumer is resumed", || paused() == 0);
    let idle = "forward-0: lane 0 idle; lane 1 idle; lane 2 idle";
    eventually("every lane is idle", || half.condition("lanes").ends_with(idle));
    half.stop();
    half.reconciles(&[("forwarded", 800)]);
}

/// What the backend has not accepted is not committed, and the next member of the group gets it.
#[test]
fn unaccepted_records_are_consumed_again() {
    let silent = Backend::start(|_| Reply::Hang);
    let kafka = kafka_with(5);
    let mut impatient = config(&kafka, &silent);
    impatient.forward.request_timeout = SOON;
    let first = Running::start(&impatient, 1);
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

/// An offset that the topic does not have any more is counted, and the partition is forwarded from
/// its earliest record on.
#[test]
fn offset_out_of_range_starts_at_the_earliest() {
    let backend = Backend::start(|_| Reply::Accept);
    let kafka = kafka_with(5);
    kafka.commit(GROUP, TOPIC, 1, 1000);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 5));
    half.stop();
    assert_eq!(by_partition(&backend.accepted()), expected(5));
    assert_eq!(half.telemetry.forward.offset_resets.get(), 1);
}

/// A backend slower than the time limit, its own or ours, is tried again, and its connection is not
/// blamed: that would lead to trials, and of a slow record to a dead letter.
#[test]
fn slow_backend_is_no_broken_connection() {
    let backend = Backend::start(|export| match export.index {
        0..12 => Reply::Hang,
        12..24 => Reply::GiveUp,
        _ => Reply::Accept,
    });
    let kafka = kafka_with(1);
    let mut config = config(&kafka, &backend);
    config.forward.request_timeout = SOON;
    let half = Running::start(&config, 1);
    eventually("all is committed", || is_committed(&kafka, 1));
    half.stop();
    assert!(backend.exports().iter().all(|export| !export.spans.is_empty()), "no trial");
    half.reconciles(&[("forwarded", 4)]);
    let metrics = &half.telemetry.forward;
    assert_eq!(metrics.responses.with_label_values(&["timeout"]).get(), 12);
    assert_eq!(metrics.responses.with_label_values(&["cancelled"]).get(), 12);
    assert_eq!(metrics.retries.with_label_values(&["now"]).get(), 24);
}

/// librdkafka neither repeats nor reports an asynchronous commit that the coordinator refused: what
/// the group is seen not to have is committed again, also when nothing new arrives.
#[test]
fn refused_commits_are_repeated() {
    let backend = Backend::start(|_| Reply::Accept);
    let kafka = kafka_with(10);
    kafka.refuse_commits(2);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("all is committed", || is_committed(&kafka, 10));
    assert!(half.telemetry.forward.commit_failures.get() > 0);
    half.stop();
    half.reconciles(&[("forwarded", 40)]);
}

/// Started during an outage, and with the consumer paused for it, the lag is told all the same:
/// its records as they come in, its age from the first record on; at the end of it both are 0.
#[test]
fn lag_is_told_during_an_outage() {
    let up = Arc::new(AtomicBool::new(false));
    let is_up = Arc::clone(&up);
    let backend = Backend::start(move |_| {
        let is_up = is_up.load(Ordering::Relaxed);
        if is_up { Reply::Accept } else { Reply::status(Code::Unavailable, "out") }
    });
    let kafka = kafka_with(200);
    let mut config = config(&kafka, &backend);
    config.forward.batch_bytes_max = 300;
    let half = Running::start(&config, 1);
    let metrics = &half.telemetry.forward;
    eventually("the consumer is paused", || {
        metrics.paused.with_label_values(&["forward-0"]).get() == 1
    });
    produce(&kafka, 200..250);
    let every = |lags: &IntGaugeVec, wanted: &dyn Fn(i64) -> bool| {
        (0..PARTITIONS).all(|it| wanted(lags.with_label_values(&[&it.to_string()]).get()))
    };
    eventually("what came in meanwhile is lag", || every(&metrics.lag_records, &|lag| lag == 250));
    eventually("the lag has an age", || every(&metrics.lag_seconds, &|age| age > 0));
    up.store(true, Ordering::Relaxed);
    eventually("all is committed", || is_committed(&kafka, 250));
    eventually("no lag is left", || every(&metrics.lag_records, &|lag| lag == 0));
    eventually("nor its age", || every(&metrics.lag_seconds, &|age| age == 0));
    half.stop();
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

/// A second member joins while records flow: both forward, nothing is lost or skipped, and each
/// sends the records of a partition in order for as long as it holds it.
#[test]
fn members_share_the_group() {
    // One each, to tell who sent what.
    let backends = [Backend::start(|_| Reply::Accept), Backend::start(|_| Reply::Accept)];
    let kafka = kafka_with(50);
    let first = Running::start(&config(&kafka, &backends[0]), 1);
    eventually("the first member forwards", || is_committed(&kafka, 50));
    let second = Running::start(&config(&kafka, &backends[1]), 1);
    let mut produced = 50;
    eventually("the second member forwards", || {
        produce(&kafka, produced..produced + 1);
        produced += 1;
        second.telemetry.forward.records.with_label_values(&["forwarded"]).get() > 0
    });
    eventually("all is committed", || is_committed(&kafka, produced));
    let mut reached = BTreeMap::<usize, BTreeSet<usize>>::new();
    for (half, backend) in [&first, &second].into_iter().zip(&backends) {
        // To get a partition back takes losing it and being given it, after the first time.
        let returns = half.telemetry.forward.rebalances.get().saturating_sub(1) / 2;
        for (partition, spans) in by_partition(&backend.accepted()) {
            let steps_back = spans.windows(2).filter(|pair| pair[1] <= pair[0]).count() as u64;
            assert!(steps_back <= returns, "partition {partition}: {spans:?}");
            reached.entry(partition).or_default().extend(spans);
        }
    }
    let sent = |(partition, spans): (usize, Vec<usize>)| (partition, BTreeSet::from_iter(spans));
    assert_eq!(reached, expected(produced).into_iter().map(sent).collect());
    first.stop();
    second.stop();
    for half in [&first, &second] {
        assert_eq!(half.telemetry.forward.records_pending.get(), 0);
    }
}

/// The patience of a test whose backend never answers: enough for those that answer at once.
const SOON: Duration = Duration::from_secs(2);

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
