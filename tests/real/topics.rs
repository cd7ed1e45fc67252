//! The topics at start: created when missing, left alone when there.

use std::time::Duration;

use rdkafka::{
    admin::{AdminClient, AdminOptions, ResourceSpecifier},
    client::DefaultClientContext,
    consumer::{BaseConsumer, Consumer},
};

use crate::support::{kafka::Kafka, scene::Scene, wait};

const WAIT: Duration = Duration::from_secs(20);

/// Partitions and copies of a topic; `None` when it does not exist.
fn shape(kafka: &Kafka, topic: &str) -> Option<(usize, usize)> {
    let client: BaseConsumer = kafka.client().create().expect("settings are valid");
    let metadata = client.fetch_metadata(Some(topic), WAIT).expect("the broker answers");
    let partitions = metadata.topics()[0].partitions();
    partitions.first().map(|first| (partitions.len(), first.replicas().len()))
}

/// `max.message.bytes` of a topic.
fn message_bytes_max(kafka: &Kafka, topic: &str) -> usize {
    let admin: AdminClient<DefaultClientContext> =
        kafka.client().create().expect("settings are valid");
    let options = AdminOptions::new().request_timeout(Some(WAIT));
    let resources = [ResourceSpecifier::Topic(topic)];
    let described = admin.describe_configs(&resources, &options);
    let described = pollster::block_on(described).expect("the broker answers");
    let resource = described[0].as_ref().expect("the topic exists");
    let value = resource.get("max.message.bytes").and_then(|entry| entry.value.clone());
    value.expect("every topic has the setting").parse().expect("it is a number")
}

/// A missing topic and its dead-letter topic are created with the settings' partitions, and the
/// dead-letter topic takes a whole record with its headers.
#[test]
fn missing_topics_are_created() {
    let scene = Scene::new("created");
    let _pipeline = scene.pipeline(&[("KAFKA_TOPIC_PARTITIONS", "3")]);
    let dead_letters = format!("{}.dlq", scene.topic);
    assert_eq!(shape(scene.kafka(), &scene.topic), Some((3, 1)));
    // Created second, and not what readiness waits for.
    let created = wait::poll(WAIT, || shape(scene.kafka(), &dead_letters));
    assert_eq!(created, Some((3, 1)));
    assert!(message_bytes_max(scene.kafka(), &dead_letters) >= (900 + 64) * 1024);
}

/// A topic that exists keeps its partitions, whatever the settings say.
#[test]
fn existing_topics_are_left_alone() {
    let scene = Scene::new("kept");
    scene.kafka().create_topic(&scene.topic, 5);
    let _pipeline = scene.pipeline(&[("KAFKA_TOPIC_PARTITIONS", "3")]);
    assert_eq!(shape(scene.kafka(), &scene.topic), Some((5, 1)));
}
