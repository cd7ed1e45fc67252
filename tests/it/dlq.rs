//! The `dlq` task as an operator types it, against the letters of a forward half.

use std::process::{Command, Output};

use tonic::Code;

use crate::support::{
    backend::{Backend, Reply},
    eventually,
    forwarding::{DEAD_LETTER_TOPIC, GROUP, PARTITIONS, Running, TOPIC, config, record},
    mock_kafka::{MockKafka, Stored},
    spans,
};

/// Bytes that are no request.
const FOREIGN: &[u8] = b"{\"json\": true}";

/// A cluster whose dead-letter topic holds a refused record of partition 2 and a foreign one of
/// partition 1.
fn with_letters() -> MockKafka {
    let backend = Backend::start(|export| {
        let is_refused = export.spans.iter().any(|span| span.starts_with("span"));
        if is_refused { Reply::status(Code::InvalidArgument, "no") } else { Reply::Accept }
    });
    let kafka = MockKafka::start(&[TOPIC, DEAD_LETTER_TOPIC], PARTITIONS);
    kafka.produce(TOPIC, 1, None, Some(FOREIGN));
    kafka.produce(TOPIC, 2, None, Some(&record("innocent")));
    kafka.produce(TOPIC, 2, Some(b"the key"), Some(&refused()));
    kafka.flush();
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("both are set aside", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS) == [None, Some(1), Some(2), None]
    });
    half.stop();
    kafka
}

fn refused() -> Vec<u8> {
    spans::request(spans::trace(4, 3))
}

/// Runs `dlq` with these arguments; the answer of a run that ends well.
fn dlq(kafka: &MockKafka, arguments: &[&str]) -> String {
    let output = run(&kafka.brokers(), arguments);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(output.stderr.is_empty(), "{output:?}");
    String::from_utf8(output.stdout).unwrap()
}

fn run(brokers: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otel-event-pipeline"));
    let variables = [
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_TOPIC", TOPIC),
        ("KAFKA_CONSUMER_CONFIG", "fetch.wait.max.ms=10"),
    ];
    command.arg("dlq").args(arguments).env_clear().envs(variables).output().unwrap()
}

/// The lines of a list behind its titles.
fn listed(kafka: &MockKafka, filters: &[&str]) -> Vec<String> {
    let answer = dlq(kafka, &[&["list"], filters].concat());
    let mut lines = answer.lines().map(str::to_owned);
    assert!(lines.next().unwrap().starts_with("LETTER"), "{answer}");
    lines.collect()
}

/// `list` has a line for each letter with what is known of it, and filters choose among them.
#[test]
fn list_shows_what_was_set_aside() {
    let kafka = with_letters();
    assert_eq!(listed(&kafka, &[]).len(), 2);
    let [line] = &listed(&kafka, &["--reason", "refused"])[..] else { panic!("one line") };
    let words: Vec<&str> = line.split_whitespace().collect();
    let bytes = refused().len().to_string();
    assert_eq!(words[2..], ["refused", "3", &bytes, "no", "otel.traces/2/1"]);
    let (partition, offset) = words[0].split_once('/').unwrap();
    let moment = words[1];
    let found = listed(&kafka, &["--partition", partition, "--offset", offset]);
    assert_eq!(found, std::slice::from_ref(line));
    assert!(listed(&kafka, &["--reason", "refused", "--since", moment]).contains(line));
    assert!(!listed(&kafka, &["--reason", "refused", "--until", moment]).contains(line));
    assert_eq!(listed(&kafka, &["--since", "1h"]).len(), 2);
    assert_eq!(listed(&kafka, &["--until", "1h"]), Vec::<String>::new());
    assert_eq!(listed(&kafka, &["--limit", "1"]).len(), 1);
}

/// `show` names service, scope, spans and ids, and gives what is not OTLP as it is.
#[test]
fn show_decodes_for_people() {
    let kafka = with_letters();
    let page = dlq(&kafka, &["show", "--reason", "refused"]);
    for part in [
        "key: the key",
        "otel.dlq.detail: \"invalid_argument: no\"",
        "service.name: \"it\"",
        "scope: \"it\"",
        "span: \"span 2 of trace 4\"",
        &format!("trace id: {}", "05".repeat(16)),
        "start: 2023-11-14T22:13:20.000Z",
        "http.request.method: \"GET\"",
    ] {
        assert!(page.contains(part), "{part} is not in:\n{page}");
    }
    let page = dlq(&kafka, &["show", "--reason", "misframed"]);
    assert!(page.contains("not OTLP") && page.contains("json"), "{page}");
}

/// `replay` brings a letter back to where it came from, byte for byte and under its key; a dry run
/// and a second run send nothing. Whoever consumes it counts it as replayed.
#[test]
fn replay_sends_back_once() {
    let kafka = with_letters();
    let before = kafka.records(TOPIC, PARTITIONS).len();
    let chosen = ["replay", "--reason", "refused"];
    let answer = dlq(&kafka, &[&chosen[..], &["--dry-run"]].concat());
    assert!(answer.contains("1 would be replayed, 0 passed over"), "{answer}");
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), before);

    let answer = dlq(&kafka, &chosen);
    assert!(answer.contains("1 replayed, 0 passed over"), "{answer}");
    let letter = answer.split_whitespace().next().unwrap().to_owned();
    let records = kafka.records(TOPIC, PARTITIONS);
    assert_eq!(records.len(), before + 1);
    let replayed = Stored {
        partition: 2,
        key: Some(b"the key".to_vec()),
        value: Some(refused()),
        headers: vec![("otel.dlq.replayed".to_owned(), letter)],
    };
    assert!(records.contains(&replayed), "{records:?}");

    let answer = dlq(&kafka, &["replay", "--rate", "1000"]);
    assert!(answer.contains("1 replayed, 1 passed over"), "only the other one: {answer}");
    let answer = dlq(&kafka, &["replay"]);
    assert!(answer.contains("0 replayed, 2 passed over"), "{answer}");
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), before + 2);
    assert!(listed(&kafka, &[]).iter().all(|line| line.contains(" yes ")));

    let backend = Backend::start(|_| Reply::Accept);
    let half = Running::start(&config(&kafka, &backend), 1);
    eventually("what was sent back is consumed", || {
        kafka.committed(GROUP, TOPIC, PARTITIONS) == [None, Some(2), Some(3), None]
    });
    half.stop();
    let replayed = &half.telemetry.forward.records_replayed;
    let of = |partition| replayed.with_label_values(&[partition]).get();
    assert_eq!(["0", "1", "2", "3"].map(of), [0, 1, 1, 0]);
}

/// Without the topic, the task ends with 1 and says so; a filter that is none ends with 2.
#[test]
fn what_is_wrong_is_said() {
    let kafka = MockKafka::start(&[TOPIC], 1);
    kafka.down();
    let output = run(&kafka.brokers(), &["list"]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains(DEAD_LETTER_TOPIC), "{output:?}");
    let output = run(&kafka.brokers(), &["list", "--since", "yesterday"]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    assert!(String::from_utf8_lossy(&output.stderr).contains("2026-01-31"), "{output:?}");
}
