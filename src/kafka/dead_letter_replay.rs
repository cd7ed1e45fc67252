//! Sends dead letters back to where they came from, for the `dlq` task.
//!
//! On the main thread of a process of its own. A letter is marked as replayed only after Kafka has
//! acknowledged its record with `acks=all`: an end in between repeats the letter, never loses it.
//!
//! The mark is a record without a value behind the letter, in the letter's own partition. It lives
//! as long as the letter does, whatever was replayed before or after, and needs no consumer group.

use crossbeam_channel::bounded;
use rdkafka::{
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord},
};

use super::{
    DeadLetterError, Letter, Origin, client,
    dead_letter::{Context, Waiting, settings},
    dead_letter_record::REPLAYED_HEADER,
};
use crate::{config::Config, limits};

/// The producer of replayed letters.
pub struct DeadLetterReplay {
    producer: BaseProducer<Context>,
    dead_letter_topic: String,
}

impl DeadLetterReplay {
    /// Creates the producer; connects in the background.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn create(config: &Config) -> Result<Self, DeadLetterError> {
        let producer =
            client::create(&settings(config), Context).map_err(DeadLetterError::Create)?;
        Ok(Self { producer, dead_letter_topic: config.forward.dead_letter_topic.clone() })
    }

    /// Sends a letter to its origin, key and value untouched, waits for the acknowledgement, and
    /// marks the letter.
    ///
    /// # Errors
    /// Kafka's refusal of either; unmarked, the letter is replayed again by the next run.
    pub fn replay(&self, letter: &Letter, origin: Origin<'_>) -> Result<(), DeadLetterError> {
        let (key, value) = (letter.key.as_deref(), Some(letter.value.as_slice()));
        self.deliver(origin, key, value, letter)?;
        let mark = Origin { topic: &self.dead_letter_topic, partition: letter.id.partition };
        self.deliver(mark, None, None, letter)
    }

    fn deliver(
        &self,
        to: Origin<'_>,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
        letter: &Letter,
    ) -> Result<(), DeadLetterError> {
        let (answers, answer) = bounded(1);
        let header = Header { key: REPLAYED_HEADER, value: Some(&letter.id.to_string()) };
        let mut record: BaseRecord<'_, [u8], [u8], Box<Waiting>> =
            BaseRecord::with_opaque_to(to.topic, Box::new(Waiting { lane: 0, answers }))
                .partition(to.partition.0)
                .headers(OwnedHeaders::new().insert(header));
        record.key = key;
        record.payload = value;
        let topic = || to.topic.to_owned();
        self.producer
            .send(record)
            .map_err(|(source, _record)| DeadLetterError::Publish { topic: topic(), source })?;
        // Ends at the message's own timeout at the latest.
        let burial = loop {
            self.producer.poll(limits::POLL_INTERVAL);
            if let Ok(burial) = answer.try_recv() {
                break burial;
            }
        };
        burial.result.map_err(|why| DeadLetterError::Refused { topic: topic(), why })
    }
}
