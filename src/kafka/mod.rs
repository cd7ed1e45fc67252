//! The only importer of rdkafka: everything else speaks of records, acknowledgements and offsets.
//!
//! Clients are created on the unpinned main thread: librdkafka's threads inherit the affinity of
//! the thread that creates them, and a broker thread pinned beside its worker would halve both.

mod client;
mod client_log;
mod consumer;
mod dead_letter;
mod dead_letter_reader;
mod dead_letter_record;
mod dead_letter_replay;
mod delivery;
mod group_events;
mod metadata;
mod position;
mod probe;
mod produce_raw;
mod producer;
mod settings;
mod statistics;
mod topics;

pub use consumer::{ConsumerError, GroupConsumer, Polled, Record};
pub use dead_letter::{Burial, DeadLetter, DeadLetterError, DeadLetters};
pub use dead_letter_reader::{DeadLetterReader, ReadError};
pub use dead_letter_record::{Found, Letter, LetterId, Origin};
pub use dead_letter_replay::DeadLetterReplay;
pub use delivery::{Deliver, DeliveryError};
pub use group_events::{Extent, GroupEvent};
pub use metadata::{MetadataSource, MetadataWatch, TopicState, TopicWatch};
pub use position::{NextOffset, PartitionId};
pub use probe::KafkaProbe;
pub use producer::{DeliveryLoop, OpenClient, ProduceError, Producer};
pub use topics::{TopicPlan, ensure_topics, topic_plans};

use thiserror::Error;

/// A client could not be made or a question to the broker failed.
#[derive(Debug, Error)]
pub enum KafkaError {
    /// librdkafka refused the settings; nothing was connected yet.
    #[error("failed to create the kafka client {client}: {reason}")]
    Client {
        /// The client's id.
        client: String,
        /// librdkafka's words.
        reason: String,
    },
    /// The broker did not answer, or answered with an error.
    #[error("failed to {question}: {reason}")]
    Broker {
        /// What was asked.
        question: &'static str,
        /// librdkafka's words.
        reason: String,
    },
}
