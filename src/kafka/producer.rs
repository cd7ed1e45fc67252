//! One librdkafka producer: a publish worker hands records in, a delivery thread takes reports out.
//!
//! The two halves share the client and nothing else. Neither blocks the other.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    config::FromClientConfigAndContext,
    error::RDKafkaErrorCode,
    producer::{BaseProducer, Producer as _, PurgeConfig},
};
use thiserror::Error;

use super::{
    Deliver, DeliveryError, KafkaError, MetadataSource, TopicState, delivery::ProducerEvents,
    metadata::fetch_topic, produce_raw::TopicHandle, settings,
};
use crate::{
    config::Config,
    health::{Condition, Heartbeat},
    internal_telemetry::Telemetry,
    limits::{DELIVERY_STALL_MAX, POLL_INTERVAL},
};

/// Why a record was not taken; nothing was enqueued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum ProduceError {
    /// librdkafka's queue is full: wait for deliveries and try again.
    #[error("the producer queue is full")]
    QueueFull,
    /// The record cannot be delivered.
    #[error("the producer refused the record: {}", .0.as_str())]
    Refused(DeliveryError),
}

/// Hands records to librdkafka.
pub struct Producer<A: Deliver> {
    topic: TopicHandle<A>,
    enqueued: AtomicU64,
}

impl<A: Deliver> Producer<A> {
    /// Creates producer number `index`; connects in the background.
    ///
    /// To be called on an unpinned thread: librdkafka's threads inherit the caller's affinity.
    ///
    /// # Errors
    /// librdkafka's refusal of the settings.
    pub fn create(
        config: &Config,
        index: usize,
        telemetry: &Arc<Telemetry>,
    ) -> Result<Arc<Self>, KafkaError> {
        let client = format!("otel-event-pipeline-publish-{index}");
        let settings = settings::producer(config, &client);
        let events = ProducerEvents::new(Arc::clone(telemetry));
        let topic = BaseProducer::from_config_and_context(&settings, events)
            .and_then(|producer| TopicHandle::open(Arc::new(producer), &config.kafka.topic.name))
            .map_err(|error| KafkaError::Client { client, reason: error.to_string() })?;
        Ok(Arc::new(Self { topic, enqueued: AtomicU64::new(0) }))
    }

    /// Enqueues one record; `acknowledgement` hears of its delivery exactly once.
    ///
    /// # Errors
    /// Nothing was enqueued, and `acknowledgement` hears nothing.
    pub fn produce(
        &self,
        partition: u32,
        key: Option<&[u8]>,
        value: &[u8],
        acknowledgement: Arc<A>,
    ) -> Result<(), ProduceError> {
        match self.topic.produce(partition as i32, key, value, acknowledgement) {
            Ok(()) => {
                self.enqueued.fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
            Err(RDKafkaErrorCode::QueueFull) => Err(ProduceError::QueueFull),
            Err(code) => Err(ProduceError::Refused(code.into())),
        }
    }

    /// Records enqueued and not yet reported, and how many were acknowledged so far.
    fn outstanding(&self) -> (u64, u64) {
        let (reported, delivered) = self.topic.producer().client().context().reports();
        (self.enqueued.load(Ordering::Relaxed).saturating_sub(reported), delivered)
    }

    /// Waits until every record is reported, or purges what is left at `deadline`.
    ///
    /// Purged records are reported as [`DeliveryError::Purged`]. The delivery loop must be running.
    pub fn drain(&self, deadline: Instant) {
        while self.outstanding().0 > 0 {
            if Instant::now() >= deadline {
                self.topic.producer().purge(PurgeConfig::default().queue().inflight());
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }
}

impl<A: Deliver> MetadataSource for Producer<A> {
    fn topic_state(&self, topic: &str) -> Result<TopicState, KafkaError> {
        fetch_topic(self.topic.producer().client(), topic)
    }
}

/// The loop of a `delivery-N` thread.
pub struct DeliveryLoop<A: Deliver> {
    /// The producer whose reports it takes.
    pub producer: Arc<Producer<A>>,
    /// Ends the loop once nothing is outstanding.
    pub stop: Arc<AtomicBool>,
    /// Sign of life.
    pub heartbeat: Heartbeat,
    /// "No produce is stalled".
    pub flowing: Arc<Condition>,
}

impl<A: Deliver> DeliveryLoop<A> {
    /// Polls until stopped and drained.
    pub fn run(self) {
        let mut delivered_before = 0;
        let mut progress = Instant::now();
        self.flowing.set(true, "no record is waiting");
        loop {
            self.producer.topic.producer().poll(POLL_INTERVAL);
            self.heartbeat.beat();
            let (outstanding, delivered) = self.producer.outstanding();
            if outstanding == 0 || delivered != delivered_before {
                progress = Instant::now();
                delivered_before = delivered;
            }
            let flows = progress.elapsed() < DELIVERY_STALL_MAX;
            if flows != self.flowing.holds() {
                self.flowing.set(flows, format!("{outstanding} records wait for the broker"));
            }
            if outstanding == 0 && self.stop.load(Ordering::Acquire) {
                self.heartbeat.retire();
                return;
            }
        }
    }
}
