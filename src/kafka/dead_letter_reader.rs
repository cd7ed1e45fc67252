//! Reads the dead-letter topic from one end to the other, for the `dlq` task.
//!
//! On the main thread of a process of its own. Joins no group and commits nothing: whoever else
//! reads the topic is not disturbed.

use std::{ops::ControlFlow, time::Instant};

use rdkafka::{
    ClientConfig, ClientContext, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext},
    error::KafkaError,
    message::BorrowedMessage,
};

use super::{Found, Letter, LetterId, PartitionId, client, client_log, produce_raw::each_header};
use crate::{config::Config, limits};

/// Why the dead-letter topic cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A setting that librdkafka refuses, or no resources.
    #[error("create the reader of dead letters: {0}")]
    Create(#[source] KafkaError),
    /// librdkafka's refusal, or no answer.
    #[error("read {topic}: {source}")]
    Ask {
        /// The dead-letter topic.
        topic: String,
        /// librdkafka's words.
        source: KafkaError,
    },
    /// There is no such topic.
    #[error("{0} does not exist")]
    Missing(String),
    /// Records that should be there do not come.
    #[error("no answer from the brokers while reading partition {partition} of {topic}")]
    Silent {
        /// The dead-letter topic.
        topic: String,
        /// Where it stopped.
        partition: i32,
    },
}

/// A reader of the dead-letter topic.
pub struct DeadLetterReader {
    consumer: BaseConsumer<Context>,
    topic: String,
}

impl DeadLetterReader {
    /// Creates the client; connects in the background.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn create(config: &Config) -> Result<Self, ReadError> {
        let consumer = client::create(&settings(config), Context).map_err(ReadError::Create)?;
        Ok(Self { consumer, topic: config.forward.dead_letter_topic.clone() })
    }

    /// The topic's partitions, in order.
    ///
    /// # Errors
    /// It does not exist, or no broker says so in time.
    pub fn partitions(&self) -> Result<Vec<PartitionId>, ReadError> {
        let metadata = self.consumer.fetch_metadata(Some(&self.topic), limits::ADMIN_TIMEOUT);
        let metadata = metadata.map_err(|source| self.failed(source))?;
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        let mut ids: Vec<PartitionId> = partitions.map(|it| PartitionId(it.id())).collect();
        ids.sort_unstable();
        if ids.is_empty() { Err(ReadError::Missing(self.topic.clone())) } else { Ok(ids) }
    }

    /// Shows `visit` every record that the partition holds now, oldest first, until it breaks off;
    /// tells whether it did.
    ///
    /// # Errors
    /// Those of reading, and whatever `visit` answers.
    pub fn read<E: From<ReadError>>(
        &self,
        partition: PartitionId,
        mut visit: impl FnMut(Found) -> Result<ControlFlow<()>, E>,
    ) -> Result<ControlFlow<()>, E> {
        let (start, end) = self
            .consumer
            .fetch_watermarks(&self.topic, partition.0, limits::ADMIN_TIMEOUT)
            .map_err(|source| self.failed(source))?;
        if start == end {
            return Ok(ControlFlow::Continue(()));
        }
        self.begin(partition, start)?;
        let mut heard = Instant::now();
        while heard.elapsed() < limits::ADMIN_TIMEOUT {
            match self.consumer.poll(limits::POLL_INTERVAL) {
                Some(Ok(message)) if message.offset() < end => {
                    if visit(found(&message))?.is_break() {
                        return Ok(ControlFlow::Break(()));
                    }
                    if message.offset() + 1 == end {
                        return Ok(ControlFlow::Continue(()));
                    }
                    heard = Instant::now();
                }
                Some(Ok(_) | Err(KafkaError::PartitionEOF(_))) => {
                    return Ok(ControlFlow::Continue(()));
                }
                // librdkafka overcomes it by itself, or the silence lasts.
                Some(Err(_)) | None => {}
            }
        }
        let (topic, partition) = (self.topic.clone(), partition.0);
        Err(ReadError::Silent { topic, partition }.into())
    }

    fn begin(&self, partition: PartitionId, start: i64) -> Result<(), ReadError> {
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(&self.topic, partition.0, Offset::Offset(start))
            .and_then(|()| self.consumer.assign(&list))
            .map_err(|source| self.failed(source))
    }

    fn failed(&self, source: KafkaError) -> ReadError {
        ReadError::Ask { topic: self.topic.clone(), source }
    }
}

fn found(message: &BorrowedMessage<'_>) -> Found {
    let mut record = Letter {
        id: LetterId { partition: PartitionId(message.partition()), offset: message.offset() },
        timestamp_ms: message.timestamp().to_millis(),
        headers: Vec::new(),
        key: message.key().map(Vec::from),
        value: message.payload().map(Vec::from).unwrap_or_default(),
    };
    if let Some(headers) = message.headers() {
        each_header(headers, |name, value| record.add_header(name, value));
    }
    Found::new(record, message.payload().is_some())
}

struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::log("dead-letter-reader", level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "reader of dead letters reports an error");
    }
}

impl ConsumerContext for Context {}

/// The reader's settings: each with its reason, the operator's overrides last.
fn settings(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &config.kafka.brokers)
        .set("client.id", format!("{}-dlq", config.forward.group))
        // librdkafka assigns nothing without a group's name; the group is not joined.
        .set("group.id", &config.forward.group)
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        // The end of a partition may be a gap.
        .set("enable.partition.eof", "true")
        .set("fetch.wait.max.ms", "50")
        .set("reconnect.backoff.max.ms", "1000")
        .set("enable.metrics.push", "false");
    for (key, secret) in &config.kafka.consumer_overrides {
        settings.set(key, &secret.value);
    }
    settings.set_log_level(RDKafkaLogLevel::Warning);
    settings
}
