//! What Kafka can do to a record, one fault at a time, and what the client then hears.

use std::{thread, time::Duration};

use rdkafka::types::{RDKafkaApiKey, RDKafkaRespErr};
use tonic::Code;

use crate::support::{
    eventually,
    mock_kafka::MockKafka,
    otlp_client::Reply,
    pipeline::Pipeline,
    program::Program,
    spans::{request, trace},
};

const TOPIC: &str = "otel.traces";
const PARTITIONS: i32 = 4;

/// Where a record's own time is to end a request, also on a busy machine: librdkafka looks once a
/// second, and the default leaves no more than that.
const LATE_DEADLINE: (&str, &str) = ("OTLP_REPLY_DEADLINE", "20s");

fn start(kafka: &MockKafka, settings: &[(&str, &str)]) -> Pipeline {
    let brokers = kafka.brokers();
    Pipeline::start(&[&[("KAFKA_BROKERS", brokers.as_str())], settings].concat())
}

fn export(pipeline: &Pipeline) -> Reply {
    pipeline.client().export(&request(trace(1, 2)))
}

/// UNAVAILABLE with RetryInfo: nothing was acknowledged, and the client sends it again.
fn assert_retryable(reply: &Reply, why: &str) {
    assert_eq!(reply.code(), Code::Unavailable, "{why}: {:?}", reply.status);
    assert!(reply.retry_delay().is_some(), "{why}: {:?}", reply.status);
    assert!(reply.status.message().contains(why), "{why}: {:?}", reply.status);
}

fn errors(pipeline: &Pipeline, label: &str) -> f64 {
    let sample = format!("otel_pipeline_kafka_delivery_errors_total{{error=\"{label}\"}}");
    pipeline.metric(&sample)
}

/// An error that ends a record is answered UNAVAILABLE with RetryInfo, named and counted; once the
/// cause is gone, the same request is acknowledged.
#[test]
fn final_errors_are_named_and_retryable() {
    use RDKafkaRespErr as Error;
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let pipeline = start(&kafka, &[]);
    for (error, label) in [
        (Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too_large"),
        (Error::RD_KAFKA_RESP_ERR_TOPIC_AUTHORIZATION_FAILED, "not_authorized"),
        (Error::RD_KAFKA_RESP_ERR_INVALID_RECORD, "other"),
    ] {
        kafka.fail(RDKafkaApiKey::Produce, error, 1);
        assert_retryable(&export(&pipeline), label);
        assert_eq!(errors(&pipeline, label), 1.0, "{label}");
        // Missing rights are remembered until librdkafka reads the topic's metadata again.
        eventually("the request is acknowledged", || {
            let reply = export(&pipeline);
            assert!(reply.code() == Code::Ok || reply.status.message().contains(label));
            reply.code() == Code::Ok
        });
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 3);
}

/// Errors that are waited out otherwise are named by their own labels when the operator has
/// librdkafka give a record up at the first one.
#[test]
fn errors_without_retries_are_named() {
    use RDKafkaRespErr as Error;
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let pipeline = start(&kafka, &[("KAFKA_PRODUCER_CONFIG", "retries=0")]);
    for (error, label, count) in [
        (Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS, "not_enough_replicas", 1.0),
        (Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS_AFTER_APPEND, "not_enough_replicas", 2.0),
        (Error::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE, "too_large", 1.0),
        (Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT, "timed_out", 1.0),
    ] {
        kafka.fail(RDKafkaApiKey::Produce, error, 1);
        assert_retryable(&export(&pipeline), label);
        assert_eq!(errors(&pipeline, label), count, "{error:?}");
        assert_eq!(export(&pipeline).code(), Code::Ok, "{error:?}");
    }
}

/// A topic that never was, with its creation left to others: not ready and in words, refused with
/// RetryInfo and counted, and created by nobody.
#[test]
fn a_missing_topic_is_refused() {
    let kafka = MockKafka::start(&[], PARTITIONS);
    let brokers = kafka.brokers();
    let settings = [("KAFKA_BROKERS", brokers.as_str()), ("KAFKA_TOPIC_CREATE", "false")];
    let pipeline = Pipeline::start_unready(&settings);
    pipeline.await_page("/readyz?verbose", |status, text| {
        status == 503 && text.contains("topic otel.traces does not exist")
    });
    assert_retryable(&export(&pipeline), "kafka cannot be written to");
    let refused = "otel_pipeline_receive_refusals_total{reason=\"broker_unreachable\"}";
    assert_eq!(pipeline.metric(refused), 1.0);
    assert_eq!(kafka.topics(), Vec::<String>::new());
}

/// The partition that Kafka holds the records of a trace in.
fn partition_of(kafka: &MockKafka, number: u8) -> i32 {
    let key = format!("{:02x}", number + 1).repeat(16);
    let records = kafka.records(TOPIC, 2);
    records.iter().find(|it| it.key.as_deref() == Some(key.as_bytes())).unwrap().partition
}

/// A partition whose leader is silent delays the requests with spans for it, and no others: what
/// goes to the healthy leader is acknowledged while they wait, through the same producer.
#[test]
fn a_silent_leader_harms_its_partitions_only() {
    const TRACES: u8 = 8;
    let kafka = MockKafka::start_brokers(2, &[TOPIC], 2);
    (0..2).for_each(|partition| kafka.lead(TOPIC, partition, partition + 1));
    let pipeline = start(&kafka, &[("PUBLISH_THREADS", "1"), LATE_DEADLINE]);
    let all = (0..TRACES).flat_map(|number| trace(number, 1)).collect();
    assert_eq!(pipeline.client().export(&request(all)).code(), Code::Ok);
    let (silent, healthy): (Vec<u8>, Vec<u8>) =
        (0..TRACES).partition(|number| partition_of(&kafka, *number) == 1);
    assert!(!silent.is_empty() && !healthy.is_empty());
    kafka.delay_broker(2, Duration::from_secs(120));
    let acknowledged = "otel_pipeline_receive_requests_total{outcome=\"acknowledged\"}";
    let failed = "otel_pipeline_receive_requests_total{outcome=\"failed\"}";
    thread::scope(|scope| {
        let both = [trace(silent[0], 1), trace(healthy[0], 1)].concat();
        let client = pipeline.client();
        let waiting = scope.spawn(move || client.export(&request(both)));
        eventually("the request waits", || {
            pipeline.metric("otel_pipeline_receive_requests_in_flight") == 1.0
        });
        for number in &healthy {
            let reply = pipeline.client().export(&request(trace(*number, 1)));
            assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
        }
        assert_eq!(pipeline.metric(acknowledged), 1.0 + healthy.len() as f64);
        assert_eq!(pipeline.metric(failed), 0.0, "the other still waits");
        assert_retryable(&waiting.join().unwrap(), "kafka did not acknowledge every record");
    });
    kafka.delay_broker(2, Duration::ZERO);
    eventually("the silent leader's spans are acknowledged", || {
        pipeline.client().export(&request(trace(silent[0], 1))).code() == Code::Ok
    });
}

/// An error that passes is waited out: the client hears OK, and the record is there once.
#[test]
fn passing_errors_are_waited_out() {
    use RDKafkaRespErr as Error;
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let pipeline = start(&kafka, &[]);
    let passing = [
        Error::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS,
        Error::RD_KAFKA_RESP_ERR_NOT_LEADER_FOR_PARTITION,
        Error::RD_KAFKA_RESP_ERR_LEADER_NOT_AVAILABLE,
        Error::RD_KAFKA_RESP_ERR_REQUEST_TIMED_OUT,
        Error::RD_KAFKA_RESP_ERR_UNKNOWN_TOPIC_OR_PART,
        Error::RD_KAFKA_RESP_ERR_KAFKA_STORAGE_ERROR,
    ];
    for error in passing {
        kafka.fail(RDKafkaApiKey::Produce, error, 2);
        let reply = export(&pipeline);
        assert_eq!(reply.code(), Code::Ok, "{error:?}: {:?}", reply.status);
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), passing.len());
}

/// Too few replicas for as long as a record lives: it is given up, and never acknowledged.
#[test]
fn too_few_replicas_for_ever_is_no_ok() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let pipeline = start(&kafka, &[LATE_DEADLINE]);
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_NOT_ENOUGH_REPLICAS;
    kafka.fail(RDKafkaApiKey::Produce, error, 10_000);
    // librdkafka tries until the record's time is over, and then tells of that.
    assert_retryable(&export(&pipeline), "kafka did not acknowledge every record: timed_out");
    assert_eq!(errors(&pipeline, "timed_out"), 1.0);
    kafka.fail(RDKafkaApiKey::Produce, error, 0);
    assert_eq!(export(&pipeline).code(), Code::Ok);
}

/// The idempotent producer starts, and acknowledges.
#[test]
fn idempotent_producer_acknowledges() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let pipeline = start(&kafka, &[("KAFKA_IDEMPOTENCE", "true")]);
    let reply = export(&pipeline);
    assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 1);
}

/// A fatal error of the client costs the requests in flight a retry, and nothing else: a new client
/// takes the place of the broken one, and what was refused is acknowledged when it comes again.
#[test]
fn fatal_error_starts_the_producer_anew() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let settings = [("KAFKA_IDEMPOTENCE", "true"), ("PUBLISH_THREADS", "1")];
    let pipeline = start(&kafka, &settings);
    assert_eq!(export(&pipeline).code(), Code::Ok);
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OUT_OF_ORDER_SEQUENCE_NUMBER;
    kafka.fail(RDKafkaApiKey::Produce, error, 1);
    assert_retryable(&export(&pipeline), "kafka did not acknowledge every record");
    kafka.fail(RDKafkaApiKey::Produce, error, 0);
    eventually("the request is acknowledged", || {
        let reply = export(&pipeline);
        assert!(reply.code() == Code::Ok || reply.retry_delay().is_some(), "{:?}", reply.status);
        reply.code() == Code::Ok
    });
    assert_eq!(pipeline.metric("otel_pipeline_kafka_producer_restarts_total"), 1.0);
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 2);
}

/// A fatal error that comes back with every new client, such as a missing right, is told by
/// `/readyz`; with its cause it goes away, without a restart of the process.
#[test]
fn lasting_fatal_error_is_not_ready() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let error = RDKafkaRespErr::RD_KAFKA_RESP_ERR_CLUSTER_AUTHORIZATION_FAILED;
    kafka.fail(RDKafkaApiKey::InitProducerId, error, 1_000);
    let brokers = kafka.brokers();
    let settings = [("KAFKA_BROKERS", brokers.as_str()), ("KAFKA_IDEMPOTENCE", "true")];
    let pipeline = Pipeline::start_unready(&settings);
    pipeline.await_page("/readyz?verbose", |status, text| {
        status == 503 && text.contains("beyond repair")
    });
    kafka.fail(RDKafkaApiKey::InitProducerId, error, 0);
    pipeline.await_ready();
    eventually("the request is acknowledged", || export(&pipeline).code() == Code::Ok);
}

/// Without an answer from a broker at the start the process lives, is not ready, and refuses with
/// RetryInfo; once there is one it serves, without a restart.
#[test]
fn no_broker_at_start() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    kafka.delay(Duration::from_secs(120));
    let brokers = kafka.brokers();
    let pipeline = Pipeline::start_unready(&[("KAFKA_BROKERS", brokers.as_str())]);
    assert_retryable(&export(&pipeline), "kafka cannot be written to");
    assert_eq!((pipeline.page("/healthz").0, pipeline.page("/readyz").0), (200, 503));
    kafka.delay(Duration::ZERO);
    pipeline.await_ready();
    assert_eq!(export(&pipeline).code(), Code::Ok);
}

/// A broker that does not answer CreateTopics is warned of once per silence, not with every try.
#[test]
fn silence_about_topics_is_told_once() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    kafka.delay(Duration::from_secs(120));
    let brokers = kafka.brokers();
    let variables = [("ROLE", "receive"), ("KAFKA_BROKERS", brokers.as_str())];
    let program = Program::start_unready(&variables);
    let told = |text: &str| program.log().matches(text).count();
    eventually("the silence is told", || told("topics are not checked") == 1);
    kafka.delay(Duration::ZERO);
    eventually("the program is ready", || program.page("/readyz").0 == 200);
    assert_eq!(told("topics are not checked"), 1, "{}", program.log());
}

/// The program ends with the exit code of a panic, and says whose it was.
fn assert_ended_by(thread: &str, mut program: Program) {
    assert_eq!(program.exit_code(), Some(5));
    let log = program.log();
    assert!(log.contains("thread panicked") && log.contains(thread), "{log}");
}

/// A thread that cannot go on ends the whole process with its own exit code, and says which one.
/// These two can be brought to it from outside; every kind is tried in `src/process/stop.rs`.
#[test]
fn a_panicking_thread_ends_the_program() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let fenced = RDKafkaRespErr::RD_KAFKA_RESP_ERR_FENCED_INSTANCE_ID;
    kafka.fail(RDKafkaApiKey::JoinGroup, fenced, 1_000);
    let brokers = kafka.brokers();
    let expelled = [
        ("ROLE", "forward"),
        ("INSTANCE", "one"),
        ("FORWARD_THREADS", "1"),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("JAEGER_ENDPOINT", "127.0.0.1:9"),
        ("SHUTDOWN_DEADLINE", "10s"),
    ];
    assert_ended_by("forward-0", Program::start_unready(&expelled));

    // Enough for the ports, too few for a runtime.
    let without_runtime = [
        ("ROLE", "receive"),
        ("RECEIVE_THREADS", "1"),
        ("PUBLISH_THREADS", "1"),
        ("KAFKA_BROKERS", "127.0.0.1:9"),
        ("SHUTDOWN_DEADLINE", "10s"),
    ];
    assert_ended_by("receive-0", Program::start_unready_with_descriptors(6, &without_runtime));
}
