//! Brokers, topic, producer and consumer clients.

use std::{net::ToSocketAddrs, time::Duration};

use super::{
    kinds::{
        Brokers, Bytes, Choice, Choices, Client, Count, Overrides, Replication, Secret, Time,
        Topic, host_port,
    },
    reader::Reader,
};
use crate::{limits, otlp::TRACES};

/// Name of the broker in the compose file.
const BROKERS_DEFAULT: &str = "kafka:9092";

/// Brokers, topic, producer and consumer clients (`KAFKA_*`).
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `KAFKA_BROKERS`: comma-separated host:port.
    pub brokers: String,
    /// `KAFKA_TOPIC` and how it is created.
    pub topic: TopicConfig,
    /// `KAFKA_LINGER`: how long a producer batch waits to fill.
    pub linger: Duration,
    /// `KAFKA_BATCH_BYTES`: largest producer batch.
    pub batch_bytes: usize,
    /// `KAFKA_COMPRESSION`.
    pub compression: Compression,
    /// `KAFKA_IDEMPOTENCE`: off by default, for it keeps out duplicates and disorder of a broker's
    /// retries only, while client retries bring both; off, more batches are under way.
    pub idempotence: bool,
    /// `KAFKA_PRODUCER_CONFIG`: librdkafka overrides, refused keys already removed with an error.
    pub producer_overrides: Vec<(String, Secret)>,
    /// `KAFKA_CONSUMER_CONFIG`: librdkafka overrides for the consumer.
    pub consumer_overrides: Vec<(String, Secret)>,
}

impl KafkaConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Kafka");
        Self {
            brokers: reader.read(
                "KAFKA_BROKERS",
                BROKERS_DEFAULT.to_owned(),
                Brokers,
                "Brokers to begin with; the default is the name in the compose file",
            ),
            topic: TopicConfig::read(reader),
            linger: reader.read(
                "KAFKA_LINGER",
                limits::LINGER_DEFAULT,
                Time(limits::LINGER_RANGE),
                "How long a batch waits to fill; every reply waits for it too",
            ),
            batch_bytes: reader.read(
                "KAFKA_BATCH_BYTES",
                limits::BATCH_BYTES_DEFAULT,
                Bytes(limits::BATCH_BYTES_RANGE),
                "Largest batch before compression; not above the topic's max.message.bytes",
            ),
            compression: reader.read(
                "KAFKA_COMPRESSION",
                Compression::None,
                Choices::new(),
                "Compression of batches",
            ),
            idempotence: reader.read(
                "KAFKA_IDEMPOTENCE",
                false,
                Choices::new(),
                "Keep out the duplicates of a producer's own retries; those of clients remain",
            ),
            producer_overrides: reader.read(
                "KAFKA_PRODUCER_CONFIG",
                Vec::new(),
                Overrides(Client::Producer),
                "Further librdkafka properties of the producer, such as those of SASL_SSL",
            ),
            consumer_overrides: reader.read(
                "KAFKA_CONSUMER_CONFIG",
                Vec::new(),
                Overrides(Client::Consumer),
                "Further librdkafka properties of the consumer",
            ),
        }
    }

    /// What to do when the brokers are the default and its name does not resolve; else `None`.
    ///
    /// Asks the system's resolver, which may take seconds.
    pub fn explain_default_broker(&self) -> Option<String> {
        self.explain_unless(|host, port| (host, port).to_socket_addrs().is_ok())
    }

    fn explain_unless(&self, resolves: impl Fn(&str, u16) -> bool) -> Option<String> {
        if self.brokers != BROKERS_DEFAULT {
            return None;
        }
        let (host, port) = host_port(&self.brokers).ok()?;
        (!resolves(host, port)).then(|| {
            format!(
                "KAFKA_BROKERS has its default {BROKERS_DEFAULT}, the broker's name in \
                 docker-compose.yaml, and `{host}` does not resolve here: set KAFKA_BROKERS or \
                 --kafka-brokers to host:port of your brokers"
            )
        })
    }
}

/// The topic and its creation.
#[derive(Clone, Debug)]
pub struct TopicConfig {
    /// `KAFKA_TOPIC`.
    pub name: String,
    /// `KAFKA_TOPIC_CREATE`: create missing topics at start.
    pub create: bool,
    /// `KAFKA_TOPIC_PARTITIONS`: used at creation only.
    pub partitions: i32,
    /// `KAFKA_TOPIC_REPLICATION`: -1 takes the broker's default.
    pub replication: i32,
}

impl TopicConfig {
    fn read(reader: &mut Reader<'_>) -> Self {
        Self {
            name: reader.read(
                "KAFKA_TOPIC",
                TRACES.topic_default.to_owned(),
                Topic,
                "Topic that spans are published to and forwarded from",
            ),
            create: reader.read(
                "KAFKA_TOPIC_CREATE",
                true,
                Choices::new(),
                "Create missing topics at start; existing ones are left alone",
            ),
            partitions: reader.read(
                "KAFKA_TOPIC_PARTITIONS",
                limits::TOPIC_PARTITIONS_DEFAULT,
                Count(limits::TOPIC_PARTITIONS_RANGE),
                "Partitions of a topic that is created",
            ),
            replication: reader.read(
                "KAFKA_TOPIC_REPLICATION",
                -1,
                Replication,
                "Replication factor of a topic that is created",
            ),
        }
    }
}

/// Producer compression, done by librdkafka per batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As sent.
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

impl Choice for Compression {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("lz4", Self::Lz4), ("zstd", Self::Zstd)];
}

#[cfg(test)]
mod tests {
    use crate::config::Config;

    /// The default broker is explained exactly when it is the default and does not resolve.
    #[test]
    fn default_broker_is_explained() {
        let config = Config::default();
        let why = config.kafka.explain_unless(|_, _| false).unwrap();
        assert!(why.contains("set KAFKA_BROKERS") && why.contains("docker-compose"), "{why}");
        assert_eq!(config.kafka.explain_unless(|host, port| (host, port) == ("kafka", 9092)), None);
        let config = Config::from_pairs([("KAFKA_BROKERS", "broker.internal:9092")]).unwrap();
        assert_eq!(config.kafka.explain_unless(|_, _| false), None);
    }
}
