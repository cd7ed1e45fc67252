//! Watches the topic: how many partitions it has, whether each has a leader, and since when.
//!
//! Owned by the `metadata` thread, the only one that waits for the broker's answers. Everybody else
//! reads [`TopicWatch`], which never blocks.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
    thread,
    time::Instant,
};

use rdkafka::{ClientContext, client::Client, metadata::MetadataPartition};

use super::{KafkaError, TopicPlan, ensure_topics};
use crate::{
    config::KafkaConfig,
    health::{Condition, Heartbeat},
    limits::{
        METADATA_AGE_MAX, METADATA_INTERVAL, METADATA_TIMEOUT, POLL_INTERVAL, TOPIC_CREATE_INTERVAL,
    },
};

/// What the broker says of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TopicState {
    /// Number of partitions; 0 = the topic does not exist.
    pub partition_count: u32,
    /// Partitions without a leader.
    pub leaderless: u32,
    /// Copies of the least replicated partition.
    pub replicas: u32,
}

/// A client that can be asked about a topic.
pub trait MetadataSource: Send + Sync {
    /// Asks the broker, waiting up to [`METADATA_TIMEOUT`].
    ///
    /// # Errors
    /// No broker answered in time.
    fn topic_state(&self, topic: &str) -> Result<TopicState, KafkaError>;
}

/// What the span path knows of its topic.
#[derive(Default)]
pub struct TopicWatch {
    partition_count: AtomicU32,
    usable: AtomicBool,
}

impl TopicWatch {
    /// Partitions every producer knows of; 0 until the broker has answered.
    pub fn partition_count(&self) -> u32 {
        self.partition_count.load(Ordering::Relaxed)
    }

    /// True while metadata is fresh: requests are refused at once otherwise.
    pub fn usable(&self) -> bool {
        self.usable.load(Ordering::Relaxed)
    }

    /// A watch that already knows its topic, for tests of what reads it.
    pub fn fixed(partition_count: u32) -> Self {
        Self {
            partition_count: AtomicU32::new(partition_count),
            usable: AtomicBool::new(partition_count > 0),
        }
    }
}

/// The loop of the `metadata` thread.
pub struct MetadataWatch {
    /// The topic and the dead-letter topic as they are to be created.
    pub plans: Vec<TopicPlan>,
    /// Brokers and overrides for the short-lived administrative client.
    pub kafka: KafkaConfig,
    /// Clients to ask, so that each learns of new partitions; the smallest answer counts.
    pub sources: Vec<Arc<dyn MetadataSource>>,
    /// Where the answer is published.
    pub watch: Arc<TopicWatch>,
    /// "The broker answers and every partition has a leader".
    pub broker: Arc<Condition>,
    /// Sign of life.
    pub heartbeat: Heartbeat,
    /// Ends the loop.
    pub stop: Arc<AtomicBool>,
}

impl MetadataWatch {
    /// Asks once per [`METADATA_INTERVAL`] until stopped; creates topics while they are missing.
    pub fn run(self) {
        let mut fresh: Option<Instant> = None;
        let mut ensured: Option<Instant> = None;
        let mut outage: Option<Instant> = None;
        let mut silence_told = false;
        while !self.stop.load(Ordering::Acquire) {
            self.heartbeat.beat();
            match self.ask() {
                Ok(state) if state.partition_count > 0 => {
                    fresh = Some(Instant::now());
                    self.publish(state, &mut outage);
                }
                Ok(_) => {
                    self.broker.set(false, format!("topic {} does not exist", self.topic()));
                }
                Err(error) => self.unreachable(&error, fresh, &mut outage),
            }
            // Once at the start, and again while the topic is not usable: it may have been deleted.
            let due = match ensured {
                None => true,
                Some(at) => !self.broker.holds() && at.elapsed() > TOPIC_CREATE_INTERVAL,
            };
            if due {
                match ensure_topics(&self.kafka, &self.plans) {
                    Ok(()) => (ensured, silence_told) = (Some(Instant::now()), false),
                    Err(error) => tell_silence(&error, &mut silence_told),
                }
            }
            self.pause();
        }
        self.heartbeat.retire();
    }

    fn topic(&self) -> &str {
        &self.plans[0].name
    }

    /// The least favourable of all clients' answers.
    fn ask(&self) -> Result<TopicState, KafkaError> {
        let mut worst: Option<TopicState> = None;
        for source in &self.sources {
            let state = source.topic_state(self.topic())?;
            worst = Some(worst.map_or(state, |worst| TopicState {
                partition_count: worst.partition_count.min(state.partition_count),
                leaderless: worst.leaderless.max(state.leaderless),
                replicas: worst.replicas.min(state.replicas),
            }));
        }
        worst.ok_or_else(|| KafkaError::Broker {
            question: "read topic metadata",
            reason: "no client to ask".to_owned(),
        })
    }

    fn publish(&self, state: TopicState, outage: &mut Option<Instant>) {
        let before = self.watch.partition_count.swap(state.partition_count, Ordering::Relaxed);
        self.watch.usable.store(true, Ordering::Relaxed);
        if before != state.partition_count {
            tracing::info!(
                topic = self.topic(),
                partitions = state.partition_count,
                before,
                replicas = state.replicas,
                "topic is there"
            );
            if state.replicas == 1 {
                tracing::warn!(
                    topic = self.topic(),
                    "topic has one copy: acks=all waits for one broker only, and its disk is the \
                     only place a span is"
                );
            }
        }
        if let Some(since) = outage.take() {
            tracing::info!(seconds = since.elapsed().as_secs(), "kafka answers again");
        }
        let why = format!("{} partitions, {} leaderless", state.partition_count, state.leaderless);
        self.broker.set(state.leaderless == 0, why);
    }

    fn unreachable(
        &self,
        error: &KafkaError,
        fresh: Option<Instant>,
        outage: &mut Option<Instant>,
    ) {
        if outage.is_none() {
            *outage = Some(Instant::now());
            tracing::warn!(
                %error,
                brokers = self.kafka.brokers,
                "kafka does not answer; see docs/OPERATIONS.md#kafka-unreachable"
            );
        }
        if fresh.is_none_or(|at| at.elapsed() > METADATA_AGE_MAX) {
            self.watch.usable.store(false, Ordering::Relaxed);
            self.broker.set(false, format!("kafka at {} does not answer", self.kafka.brokers));
        }
    }

    fn pause(&self) {
        let until = Instant::now() + METADATA_INTERVAL;
        while Instant::now() < until && !self.stop.load(Ordering::Acquire) {
            thread::sleep(POLL_INTERVAL);
        }
    }
}

/// Once per silence: it is asked again every few seconds.
fn tell_silence(error: &KafkaError, told: &mut bool) {
    if !std::mem::replace(told, true) {
        tracing::warn!(%error, "topics are not checked: kafka gave no answer; trying on");
    }
}

/// Asks one client about one topic.
pub(super) fn fetch_topic<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
) -> Result<TopicState, KafkaError> {
    let metadata = client.fetch_metadata(Some(topic), METADATA_TIMEOUT).map_err(|error| {
        KafkaError::Broker { question: "read topic metadata", reason: error.to_string() }
    })?;
    Ok(topic_state(metadata.topics().first().map_or(&[], |topic| topic.partitions())))
}

/// What the partitions say of their topic.
pub(super) fn topic_state(partitions: &[MetadataPartition]) -> TopicState {
    TopicState {
        partition_count: partitions.len() as u32,
        leaderless: partitions.iter().filter(|partition| partition.leader() < 0).count() as u32,
        replicas: partitions.iter().map(|p| p.replicas().len() as u32).min().unwrap_or(0),
    }
}
