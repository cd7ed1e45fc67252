//! Records that are no requests, between good ones: what becomes of each.

use std::time::Duration;

use prost::Message;

use crate::support::{
    kafka::Record,
    otlp,
    placed_span::{self, Spans},
    scene::Scene,
    wait,
};

const LETTERS_WITHIN: Duration = Duration::from_secs(60);
const PARTITION: i32 = 0;
const JSON: &[u8] = br#"{"resourceSpans": []}"#;

/// Whatever lies between good records, they arrive in Jaeger field for field. What is no request
/// lies whole in the dead-letter topic, with where it came from; an empty value and a tombstone
/// hold nothing and are passed over.
#[test]
fn bad_records_are_dead_lettered() {
    let scene = Scene::new("framing");
    scene.kafka().create_topic(&scene.topic, 1);
    let mut sent = Spans::new();
    let good = || {
        let spans = otlp::trace(otlp::unique_trace_id(), 3, 10);
        otlp::request(&scene.service, spans)
    };
    let cut = good().encode_to_vec();
    let between: [Option<&[u8]>; 8] = [
        Some(&cut[..1]),
        Some(&cut[..2]),
        Some(&cut[..3]),
        Some(&cut[..cut.len() / 2]),
        Some(&cut[..cut.len() - 1]),
        Some(JSON),
        Some(&[]),
        None,
    ];
    for value in between {
        let request = good();
        let records = [
            (Some(b"good".as_slice()), Some(&*request.encode_to_vec())),
            (Some(b"between".as_slice()), value),
        ];
        scene.kafka().produce(&scene.topic, PARTITION, &records);
        placed_span::collect(request.resource_spans, &mut sent);
    }
    let last = good();
    scene.kafka().produce(&scene.topic, PARTITION, &[(None, Some(&last.encode_to_vec()))]);
    placed_span::collect(last.resource_spans, &mut sent);

    let forward = scene.pipeline(&[("ROLE", "forward")]);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    wait::wait_for("every record to be done with", LETTERS_WITHIN, || {
        let committed = scene.kafka().committed(&scene.group, &scene.topic);
        (committed.get(&PARTITION) == Some(&17)).then_some(())
    });
    assert_eq!(forward.metric("forward_dead_letters_total"), 6.0);
    let mut letters = scene.kafka().read_topic(&format!("{}.dlq", scene.topic));
    letters.sort_by_key(offset);
    // A good record before each.
    assert_eq!(letters.iter().map(offset).collect::<Vec<_>>(), [1, 3, 5, 7, 9, 11]);
    for (letter, value) in letters.iter().zip(between) {
        assert_eq!(letter.key.as_deref(), Some(b"between".as_slice()));
        assert_eq!(Some(letter.value.as_slice()), value);
        let header = |name: &str| letter.headers[&format!("otel.dlq.{name}")].as_str();
        assert_eq!(header("original.topic"), scene.topic);
        assert_eq!(header("original.partition"), PARTITION.to_string());
        assert_eq!(header("reason"), "misframed");
    }
}

fn offset(letter: &Record) -> i64 {
    letter.headers["otel.dlq.original.offset"].parse().expect("an offset is a number")
}
