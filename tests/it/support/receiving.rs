//! A pipeline that receives, before a mock Kafka with the topic.

use super::{mock_kafka::MockKafka, pipeline::Pipeline};

pub(crate) const TOPIC: &str = "otel.traces";
pub(crate) const PARTITIONS: i32 = 4;

/// Starts both, with `settings` over what every test wants, and waits until they are ready.
pub(crate) fn start_with(settings: &[(&str, &str)]) -> (MockKafka, Pipeline) {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    let brokers = kafka.brokers();
    let mut all = vec![("KAFKA_BROKERS", brokers.as_str())];
    all.extend(settings);
    let pipeline = Pipeline::start(&all);
    (kafka, pipeline)
}
