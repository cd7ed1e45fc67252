//! The `dlq` task against the real Kafka, as an operator uses it.

use std::{process::Command, time::Duration};

use crate::{
    outcomes::undecodable,
    support::{
        otlp,
        scene::Scene,
        sink::{Sink, Temper},
        wait,
    },
};

const WITHIN: Duration = Duration::from_secs(60);
const PARTITION: i32 = 0;

/// A letter is listed, shown and replayed to where it came from; its cause not being gone, it comes
/// back as a new letter. A second run replays that one alone, and what is consumed is counted.
#[test]
fn letters_are_listed_shown_and_replayed() {
    let scene = Scene::new("letters");
    scene.kafka().create_topic(&scene.topic, 1);
    let sink = Sink::start(Temper::default());
    let forward = scene.pipeline(&[("ROLE", "forward"), ("JAEGER_ENDPOINT", &sink.endpoint())]);
    let poison = undecodable(&otlp::trace(otlp::unique_trace_id(), 1, 10)[0]);
    scene.kafka().produce(&scene.topic, PARTITION, &[(Some(b"key"), Some(&poison))]);
    let await_letters = |count: f64| {
        wait::wait_for("dead letters", WITHIN, || {
            (forward.metric("forward_dead_letters_total") == count).then_some(())
        });
    };
    await_letters(1.0);
    assert_eq!(dlq(&scene, "list").lines().count(), 2, "titles and one letter");
    let page = dlq(&scene, "show");
    assert!(page.contains("key: key") && page.contains("refused"), "{page}");

    for round in 1..=2_i32 {
        let answer = dlq(&scene, "replay");
        let passed_over = round - 1;
        assert!(answer.contains(&format!("1 replayed, {passed_over} passed over")), "{answer}");
        await_letters(f64::from(round + 1));
        assert_eq!(forward.metric("forward_records_replayed_total"), f64::from(round));
    }
    let records = scene.kafka().read_topic(&scene.topic);
    assert_eq!(records.len(), 3);
    assert!(records.iter().all(|record| record.value == poison));
    assert!(records.iter().all(|record| record.key.as_deref() == Some(b"key")));
    assert!(records[1..].iter().all(|record| record.headers.contains_key("otel.dlq.replayed")));
}

/// Runs the task to its good end, and gives its answer.
fn dlq(scene: &Scene, action: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_otel-event-pipeline"))
        .args(["dlq", action])
        .env_clear()
        .env("KAFKA_BROKERS", scene.kafka().brokers())
        .env("KAFKA_TOPIC", &scene.topic)
        .output()
        .expect("the program is built with this test");
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout).expect("it writes text")
}
