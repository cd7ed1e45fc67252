//! The only importer of rdkafka.

mod client_log;
mod consumer;
mod dead_letter;

pub use consumer::{
    ConsumerError, GroupConsumer, GroupEvent, NextOffset, PartitionId, Polled, Record,
};
pub use dead_letter::{Burial, DeadLetter, DeadLetterError, DeadLetters};
