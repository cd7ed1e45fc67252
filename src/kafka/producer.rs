//! One librdkafka producer: a publish worker hands records in, a delivery thread takes reports out.
//!
//! The two halves share the client and nothing else. Neither blocks the other. A client with a
//! fatal error takes no record ever again: the delivery thread puts a new one in its place.

use std::{
    sync::{
        Arc, PoisonError, RwLock,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    error::{KafkaResult, RDKafkaErrorCode},
    producer::{BaseProducer, Producer as _, PurgeConfig},
};
use thiserror::Error;

use super::{
    Deliver, DeliveryError, KafkaError, MetadataSource, TopicState, client,
    delivery::{ProducerEvents, Reports},
    metadata::fetch_topic,
    produce_raw::TopicHandle,
    settings,
};
use crate::{
    config::Config,
    health::{Condition, Heartbeat},
    internal_telemetry::Telemetry,
    limits::{DELIVERY_STALL_MAX, POLL_INTERVAL, PRODUCER_RESTART_INTERVAL},
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
    /// Written only to replace a client that is beyond repair; nobody waits while holding it.
    topic: RwLock<Arc<TopicHandle<A>>>,
    settings: ClientConfig,
    topic_name: String,
    telemetry: Arc<Telemetry>,
    enqueued: AtomicU64,
    /// Of every client that this producer has had.
    reports: Arc<Reports>,
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
        let client_id = format!("otel-event-pipeline-publish-{index}");
        let settings = settings::producer(config, &client_id);
        let topic_name = config.kafka.topic.name.clone();
        let reports = Arc::new(Reports::default());
        let topic = open(&settings, &topic_name, telemetry, &reports)
            .map_err(|error| KafkaError::Client { client: client_id, reason: error.to_string() })?;
        Ok(Arc::new(Self {
            topic: RwLock::new(Arc::new(topic)),
            settings,
            topic_name,
            telemetry: Arc::clone(telemetry),
            enqueued: AtomicU64::new(0),
            reports,
        }))
    }

    /// The client of the moment, to be asked for once per request: it costs a lock, a record none.
    pub fn open_client(&self) -> OpenClient<'_, A> {
        OpenClient { topic: self.topic(), enqueued: &self.enqueued }
    }

    /// Records enqueued and not yet reported, and how many were acknowledged so far.
    fn outstanding(&self) -> (u64, u64) {
        let (reported, delivered) = self.reports.so_far();
        (self.enqueued.load(Ordering::Relaxed).saturating_sub(reported), delivered)
    }

    /// Waits until every record is reported, or purges what is left at `deadline`.
    ///
    /// Purged records are reported as [`DeliveryError::Purged`]. The delivery loop must be running.
    pub fn drain(&self, deadline: Instant) {
        while self.outstanding().0 > 0 {
            if Instant::now() >= deadline {
                self.topic().producer().purge(PurgeConfig::default().queue().inflight());
                return;
            }
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// The client of the moment.
    fn topic(&self) -> Arc<TopicHandle<A>> {
        Arc::clone(&self.topic.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Puts a new client in the place of `broken`, which has had a fatal error.
    ///
    /// What the old client still holds is reported as purged here, on the delivery thread: those
    /// requests are answered UNAVAILABLE and come again. Nothing was acknowledged for them.
    fn replace(&self, broken: &TopicHandle<A>, reason: &str) {
        match open(&self.settings, &self.topic_name, &self.telemetry, &self.reports) {
            Ok(topic) => {
                let topic = Arc::new(topic);
                *self.topic.write().unwrap_or_else(PoisonError::into_inner) = topic;
            }
            // The system lacks threads or memory: tried again after the same interval.
            Err(error) => return tracing::error!(%error, reason, "producer cannot start anew"),
        }
        self.telemetry.kafka.producer_restarts.inc();
        tracing::error!(reason, "kafka producer was beyond repair and is started anew");
        let old = broken.producer();
        old.purge(PurgeConfig::default().queue().inflight());
        let deadline = Instant::now() + PURGE_REPORTED_WITHIN;
        while old.in_flight_count() > 0 && Instant::now() < deadline {
            old.poll(PURGE_POLL);
        }
    }
}

/// A client for the records of one request. One that is beyond repair meanwhile refuses them.
pub struct OpenClient<'a, A: Deliver> {
    topic: Arc<TopicHandle<A>>,
    enqueued: &'a AtomicU64,
}

impl<A: Deliver> OpenClient<'_, A> {
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
}

/// A new client, ready to take records of the topic.
fn open<A: Deliver>(
    settings: &ClientConfig,
    topic: &str,
    telemetry: &Arc<Telemetry>,
    reports: &Arc<Reports>,
) -> KafkaResult<TopicHandle<A>> {
    let events = ProducerEvents::new(Arc::clone(telemetry), Arc::clone(reports));
    let producer = Arc::new(client::create::<_, BaseProducer<_>>(settings, events)?);
    TopicHandle::open(producer, topic)
}

impl<A: Deliver> MetadataSource for Producer<A> {
    fn topic_state(&self, topic: &str) -> Result<TopicState, KafkaError> {
        fetch_topic(self.topic().producer().client(), topic)
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
        let mut replaced: Option<Instant> = None;
        self.flowing.set(true, "no record is waiting");
        loop {
            let topic = self.producer.topic();
            topic.producer().poll(POLL_INTERVAL);
            self.heartbeat.beat();
            let fatal = topic.producer().client().fatal_error();
            if let Some((_, reason)) = &fatal
                && replaced.is_none_or(|at| at.elapsed() > PRODUCER_RESTART_INTERVAL)
            {
                self.producer.replace(&topic, reason);
                replaced = Some(Instant::now());
            }
            let (outstanding, delivered) = self.producer.outstanding();
            if outstanding == 0 || delivered != delivered_before {
                progress = Instant::now();
                delivered_before = delivered;
            }
            let flows = fatal.is_none() && progress.elapsed() < DELIVERY_STALL_MAX;
            if flows != self.flowing.holds() {
                let waiting = format!("{outstanding} records wait for the broker");
                let broken = |(_, reason)| format!("the producer is beyond repair: {reason}");
                self.flowing.set(flows, fatal.map_or(waiting, broken));
            }
            if outstanding == 0 && self.stop.load(Ordering::Acquire) {
                self.heartbeat.retire();
                return;
            }
        }
    }
}

/// Purged records are reported at once; a client that does not is let go all the same.
const PURGE_REPORTED_WITHIN: Duration = Duration::from_secs(1);

const PURGE_POLL: Duration = Duration::from_millis(10);

#[cfg(test)]
mod tests {
    use std::thread;

    use crossbeam_channel::{Sender, bounded};

    use super::*;
    use crate::health::Health;

    struct Told(Sender<Result<(), DeliveryError>>);

    impl Deliver for Told {
        fn delivered(self: Arc<Self>, outcome: Result<(), DeliveryError>) {
            self.0.send(outcome).unwrap();
        }
    }

    /// What a broker has not acknowledged when the time is over is reported as purged, once per
    /// record: `receive/status` makes UNAVAILABLE with RetryInfo of it.
    #[test]
    fn drain_purges_what_is_left() {
        const RECORDS: usize = 3;
        let mut config = Config::default();
        config.kafka.brokers = "127.0.0.1:9".to_owned();
        let telemetry = Arc::new(Telemetry::new());
        let producer = Producer::create(&config, 0, &telemetry).unwrap();
        let (told, outcomes) = bounded(RECORDS);
        for _ in 0..RECORDS {
            let record = Arc::new(Told(told.clone()));
            producer.open_client().produce(0, None, b"value", record).unwrap();
        }
        let health = Health::new();
        let delivery = DeliveryLoop {
            producer: Arc::clone(&producer),
            stop: Arc::new(AtomicBool::new(true)),
            heartbeat: health.heartbeat("delivery-0"),
            flowing: health.condition("deliveries", true),
        };
        assert!(outcomes.is_empty(), "nothing is reported before");
        thread::scope(|scope| {
            scope.spawn(|| delivery.run());
            producer.drain(Instant::now());
        });
        let outcomes: Vec<_> = outcomes.try_iter().collect();
        assert_eq!(outcomes, [Err(DeliveryError::Purged); RECORDS]);
        let errors = &telemetry.kafka.delivery_errors;
        assert_eq!(errors.with_label_values(&["purged"]).get(), RECORDS as u64);
    }
}
