//! Writes records that cannot be forwarded to the dead-letter topic.
//!
//! One producer for the process, made on the main thread and shared by the `forward-N` threads.
//! Each letter is answered on the channel given with it once Kafka has acknowledged it with
//! `acks=all`, or has not. Whoever waits for an answer polls. Rare, so the convenient API is used.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crossbeam_channel::Sender;
use rdkafka::{
    ClientConfig, ClientContext,
    config::RDKafkaLogLevel,
    error::KafkaError,
    message::{BorrowedHeaders, Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, DeliveryResult, Producer, ProducerContext},
};

use super::{
    KafkaError as TopicError, MetadataSource, Record, TopicState, client, client_log,
    dead_letter_record::REPLAYED_HEADER, metadata::fetch_topic, produce_raw::each_header,
};
use crate::{config::Config, limits, otlp::TraceId};

/// True for what `dlq replay` sent.
pub(super) fn is_replayed(headers: &BorrowedHeaders) -> bool {
    let mut found = false;
    each_header(headers, |name, _| found |= name == REPLAYED_HEADER.as_bytes());
    found
}

/// A record, and why it is not forwarded.
///
/// Key and value go over as they are, the rest into headers, all text, which asyncapi.yaml
/// describes. Partition and offset are the record's, also when only one of its traces is set aside.
#[derive(Clone, Copy, Debug)]
pub struct DeadLetter<'a> {
    /// The record, key and value as they were; of a record taken apart, the part's value.
    pub record: Record<'a>,
    /// The trace, when it alone is set aside of a record of several.
    pub trace: Option<TraceId>,
    /// One word of a closed set.
    pub reason: &'a str,
    /// The backend's words, or ours.
    pub detail: &'a str,
}

/// What became of a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Burial {
    /// The lane that waits for it.
    pub lane: usize,
    /// Acknowledged, or librdkafka's words.
    pub result: Result<(), String>,
}

/// Why dead letters cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum DeadLetterError {
    /// A setting that librdkafka refuses, or no resources.
    #[error("create the producer of dead letters")]
    Create(#[source] KafkaError),
    /// The letter was not taken over.
    #[error("write to {topic}")]
    Publish {
        /// The dead-letter topic.
        topic: String,
        /// librdkafka's words.
        source: KafkaError,
    },
    /// Kafka did not acknowledge it.
    #[error("write to {topic}: {why}")]
    Refused {
        /// Where it was to go.
        topic: String,
        /// librdkafka's words.
        why: String,
    },
    /// No metadata.
    #[error("find {topic}")]
    Metadata {
        /// The dead-letter topic.
        topic: String,
        /// librdkafka's words.
        source: KafkaError,
    },
    /// The topic is missing.
    #[error("{0} does not exist")]
    Missing(String),
}

/// The producer of dead letters.
pub struct DeadLetters {
    producer: BaseProducer<Context>,
    topic: String,
    original_topic: String,
}

impl DeadLetters {
    /// Creates the producer; the topic is not looked at.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn create(config: &Config) -> Result<Self, DeadLetterError> {
        let producer =
            client::create(&settings(config), Context).map_err(DeadLetterError::Create)?;
        Ok(Self {
            producer,
            topic: config.forward.dead_letter_topic.clone(),
            original_topic: config.kafka.topic.name.clone(),
        })
    }

    /// Hands a letter over; `answers` hears of it once, under the name of `lane`.
    ///
    /// # Errors
    /// The letter was not taken over, and `answers` will not hear of it.
    pub fn publish(
        &self,
        letter: &DeadLetter<'_>,
        lane: usize,
        answers: &Sender<Burial>,
    ) -> Result<(), DeadLetterError> {
        let waiting = Box::new(Waiting { lane, answers: answers.clone() });
        let mut record: BaseRecord<'_, [u8], [u8], Box<Waiting>> =
            BaseRecord::with_opaque_to(&self.topic, waiting).headers(self.headers(letter));
        record.key = letter.record.key;
        record.payload = letter.record.value;
        self.producer.send(record).map_err(|(source, _record)| DeadLetterError::Publish {
            topic: self.topic.clone(),
            source,
        })
    }

    /// Serves delivery reports; answers go out from in here.
    pub fn poll(&self) {
        self.producer.poll(Duration::ZERO);
    }

    /// Whether the topic is there, as far as metadata tells.
    ///
    /// # Errors
    /// It is missing, or no broker answered within `wait`.
    pub fn check(&self, wait: Duration) -> Result<(), DeadLetterError> {
        let metadata =
            self.producer.client().fetch_metadata(Some(&self.topic), wait).map_err(|source| {
                DeadLetterError::Metadata { topic: self.topic.clone(), source }
            })?;
        let there = metadata.topics().iter().any(|topic| !topic.partitions().is_empty());
        if there { Ok(()) } else { Err(DeadLetterError::Missing(self.topic.clone())) }
    }

    fn headers(&self, letter: &DeadLetter<'_>) -> OwnedHeaders {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let record = &letter.record;
        let mut fields = vec![
            ("otel.dlq.original.topic", self.original_topic.clone()),
            ("otel.dlq.original.partition", record.partition.0.to_string()),
            ("otel.dlq.original.offset", record.offset.to_string()),
            ("otel.dlq.reason", letter.reason.to_owned()),
            ("otel.dlq.detail", letter.detail.to_owned()),
            ("otel.dlq.time", now.as_millis().to_string()),
        ];
        fields.extend(letter.trace.map(|trace| ("otel.dlq.trace_id", trace.to_string())));
        fields
            .extend(record.timestamp_ms.map(|ms| ("otel.dlq.original.timestamp", ms.to_string())));
        fields
            .iter()
            .fold(OwnedHeaders::new_with_capacity(fields.len()), |headers, (key, value)| {
                headers.insert(Header { key, value: Some(value) })
            })
    }
}

impl MetadataSource for DeadLetters {
    fn topic_state(&self, topic: &str) -> Result<TopicState, TopicError> {
        fetch_topic(self.producer.client(), topic)
    }
}

/// Who is told about a letter.
pub(super) struct Waiting {
    pub(super) lane: usize,
    pub(super) answers: Sender<Burial>,
}

pub(super) struct Context;

impl ClientContext for Context {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        client_log::log("dead-letter", level, facility, message);
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(%error, reason, "producer of dead letters reports an error");
    }
}

impl ProducerContext for Context {
    type DeliveryOpaque = Box<Waiting>;

    fn delivery(&self, report: &DeliveryResult<'_>, waiting: Box<Waiting>) {
        let result = match report {
            Ok(_) => Ok(()),
            Err((error, _message)) => Err(error.to_string()),
        };
        // A lane waits for one letter at a time, so there is room; without a receiver the thread
        // has ended, and nothing was committed.
        waiting.answers.try_send(Burial { lane: waiting.lane, result }).ok();
    }
}

/// The producer's settings: each with its reason, the operator's overrides last.
pub(super) fn settings(config: &Config) -> ClientConfig {
    let mut settings = ClientConfig::new();
    let mut set = |key: &str, value: String| {
        settings.set(key, value);
    };
    set("bootstrap.servers", config.kafka.brokers.clone());
    set("client.id", format!("{}-dead-letter", config.forward.group));
    // The offset moves past a record on the strength of this acknowledgement alone.
    set("acks", "all".to_owned());
    set("message.timeout.ms", limits::MESSAGE_TIMEOUT.as_millis().to_string());
    set("message.max.bytes", limits::DEAD_LETTER_BYTES_MAX.to_string());
    // A lane waits for each letter; together, several could exceed the topic's limit for a batch.
    set("linger.ms", "0".to_owned());
    set("batch.num.messages", "1".to_owned());
    set("reconnect.backoff.max.ms", "1000".to_owned());
    set("enable.metrics.push", "false".to_owned());
    for (key, secret) in &config.kafka.producer_overrides {
        set(key, secret.value.clone());
    }
    settings.set_log_level(RDKafkaLogLevel::Info);
    settings
}
