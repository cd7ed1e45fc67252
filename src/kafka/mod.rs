//! The only importer of rdkafka.

mod client_log;
mod consumer;
mod dead_letter;
mod group_events;

pub use consumer::{ConsumerError, GroupConsumer, NextOffset, PartitionId, Polled, Record};
pub use dead_letter::{Burial, DeadLetter, DeadLetterError, DeadLetters};
pub use group_events::{Extent, GroupEvent};
