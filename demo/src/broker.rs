//! The broker: librdkafka's own mock cluster in this process, unless the visitor has a Kafka.
//!
//! It speaks Kafka over loopback, with consumer groups and commits, so the pipeline takes the way
//! it takes in production. It keeps 5 MiB per partition, in memory: nothing for production.
//! It must stay on the thread that made it, which is the main thread.

use rdkafka::{error::KafkaError, mocking::MockCluster, producer::DefaultProducerContext};

/// The topic's name is the pipeline's default; so is its number of partitions.
const TOPIC: &str = "otel.traces";
const PARTITIONS: i32 = 8;

/// Where records lie between the two halves of the pipeline.
pub(crate) enum Broker {
    /// In this process.
    InMemory(MockCluster<'static, DefaultProducerContext>),
    /// Outside, the visitor's own or one for this run: `host:port`, or several.
    Outside(String),
}

impl Broker {
    /// Takes the brokers that are named, or starts one.
    pub(crate) fn start(outside: Option<&str>) -> Result<Self, KafkaError> {
        if let Some(brokers) = outside {
            return Ok(Self::Outside(brokers.to_owned()));
        }
        let cluster = MockCluster::new(1)?;
        cluster.create_topic(TOPIC, PARTITIONS, 1)?;
        cluster.create_topic(&format!("{TOPIC}.dlq"), 1, 1)?;
        Ok(Self::InMemory(cluster))
    }

    /// The settings of the pipeline that lead here.
    pub(crate) fn settings(&self) -> Vec<(&'static str, String)> {
        match self {
            Self::InMemory(cluster) => vec![
                ("KAFKA_BROKERS", cluster.bootstrap_servers()),
                // The mock cluster knows no such request: its topics are made above.
                ("KAFKA_TOPIC_CREATE", "false".to_owned()),
                // It waits this long even when records come, and they wait with it.
                ("KAFKA_CONSUMER_CONFIG", "fetch.wait.max.ms=10".to_owned()),
                // The warning that there is one copy only is the banner's.
                ("LOG_LEVEL", "error".to_owned()),
            ],
            Self::Outside(brokers) => {
                vec![("KAFKA_BROKERS", brokers.clone()), ("LOG_LEVEL", "warn".to_owned())]
            }
        }
    }

    /// What the visitor should know about it.
    pub(crate) fn describe(&self) -> String {
        match self {
            Self::InMemory(_) => "in-memory broker, not for production".to_owned(),
            Self::Outside(brokers) => brokers.clone(),
        }
    }
}
