//! One member of the consumer group, polled by one `forward-N` thread.
//!
//! Nothing is decided here. Rebalances are not handled inside librdkafka's callback: they are
//! queued as [`GroupEvent`]s, and the owner calls [`GroupConsumer::assign`] or
//! [`GroupConsumer::revoke`] when it has finished what is in flight. Offsets are committed only as
//! the owner says; librdkafka stores none by itself.
//!
//! Created on the unpinned main thread: librdkafka's threads inherit the creator's affinity.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message, Offset, Timestamp, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer, RebalanceProtocol},
    error::{KafkaError, KafkaResult, RDKafkaErrorCode},
};

use super::{
    NextOffset, PartitionId, client,
    dead_letter::is_replayed,
    group_events::{GroupContext, GroupEvent, release},
};
use crate::{config::Config, limits};

/// A record as it lies in librdkafka's buffer; valid only while it is being taken.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    /// Where it came from.
    pub partition: PartitionId,
    /// Its offset there; gaps are normal.
    pub offset: i64,
    /// Kafka's timestamp in Unix milliseconds.
    pub timestamp_ms: Option<i64>,
    /// The key, `None` when null.
    pub key: Option<&'a [u8]>,
    /// The value, `None` for a tombstone.
    pub value: Option<&'a [u8]>,
}

/// What one poll did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Polled {
    /// Handed one record over.
    Record,
    /// Handed nothing over; there may be events.
    Nothing,
}

/// Why a consumer does not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum ConsumerError {
    /// A setting that librdkafka refuses, or no resources.
    #[error("create the consumer {client}")]
    Create {
        /// Its `client.id`.
        client: String,
        /// librdkafka's words.
        source: KafkaError,
    },
    /// Anything that can be asked of a running consumer.
    #[error("{action}")]
    Ask {
        /// What was asked.
        action: &'static str,
        /// librdkafka's words.
        source: KafkaError,
    },
}

/// A member of the group that reads one topic.
pub struct GroupConsumer {
    consumer: BaseConsumer<GroupContext>,
    topic: String,
}

impl GroupConsumer {
    /// Creates the client for `thread` and subscribes; joining happens while it is polled.
    ///
    /// # Errors
    /// A setting that librdkafka refuses.
    pub fn create(config: &Config, thread: &str) -> Result<Self, ConsumerError> {
        let settings = settings(config, thread);
        let client = settings.get("client.id").unwrap_or(thread).to_owned();
        let create = |source| ConsumerError::Create { client: client.clone(), source };
        let topic = config.kafka.topic.name.clone();
        let context = GroupContext::new(client.clone(), topic.clone());
        let consumer: BaseConsumer<GroupContext> =
            client::create(&settings, context).map_err(create)?;
        consumer.subscribe(&[&topic]).map_err(create)?;
        Ok(Self { consumer, topic })
    }

    /// Waits up to `wait` for one record and hands it to `take`; serves events on the way.
    pub fn poll(&self, wait: Duration, take: impl FnOnce(Record<'_>)) -> Polled {
        match self.consumer.poll(wait) {
            Some(Ok(message)) => {
                take(Record {
                    partition: PartitionId(message.partition()),
                    offset: message.offset(),
                    timestamp_ms: match message.timestamp() {
                        Timestamp::NotAvailable => None,
                        Timestamp::CreateTime(ms) | Timestamp::LogAppendTime(ms) => Some(ms),
                    },
                    key: message.key(),
                    value: message.payload(),
                });
                if message.headers().is_some_and(is_replayed) {
                    let partition = PartitionId(message.partition());
                    self.consumer.context().push(GroupEvent::Replayed(partition));
                }
                Polled::Record
            }
            Some(Err(KafkaError::MessageConsumptionFatal(code))) => {
                self.consumer.context().push(GroupEvent::Fatal(code.to_string()));
                Polled::Nothing
            }
            Some(Err(KafkaError::MessageConsumption(
                RDKafkaErrorCode::InconsistentGroupProtocol,
            ))) => {
                self.consumer.context().push(GroupEvent::KeptOut);
                Polled::Nothing
            }
            Some(Err(error)) => {
                self.consumer.context().push(GroupEvent::Trouble(error.to_string()));
                Polled::Nothing
            }
            None => Polled::Nothing,
        }
    }

    /// The events since the last call, oldest first.
    pub fn take_events(&self) -> Vec<GroupEvent> {
        self.consumer.context().take()
    }

    /// Takes given partitions on: fetching starts at their committed offsets.
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn assign(&self, partitions: &[PartitionId]) -> Result<(), ConsumerError> {
        let list = self.list(partitions);
        match self.consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => self.consumer.incremental_assign(&list),
            RebalanceProtocol::Eager | RebalanceProtocol::None => self.consumer.assign(&list),
        }
        .map_err(|source| ConsumerError::Ask { action: "assign partitions", source })
    }

    /// Gives taken partitions back; only then does the rebalance go on.
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn revoke(&self, partitions: &[PartitionId]) -> Result<(), ConsumerError> {
        release(&self.consumer, &self.list(partitions))
            .map_err(|source| ConsumerError::Ask { action: "give partitions back", source })
    }

    /// Stops fetching every assigned partition; prefetched records are thrown away.
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn pause(&self) -> Result<(), ConsumerError> {
        self.consumer
            .assignment()
            .and_then(|assignment| self.consumer.pause(&assignment))
            .map_err(|source| ConsumerError::Ask { action: "pause", source })
    }

    /// Fetches every assigned partition again, from after the last record handed over.
    ///
    /// # Errors
    /// librdkafka's refusal.
    pub fn resume(&self) -> Result<(), ConsumerError> {
        self.consumer
            .assignment()
            .and_then(|assignment| self.consumer.resume(&assignment))
            .map_err(|source| ConsumerError::Ask { action: "resume", source })
    }

    /// Throws what is prefetched of a partition away and fetches it from `next`.
    ///
    /// # Errors
    /// librdkafka's refusal, or no answer within `wait`.
    pub fn seek(
        &self,
        partition: PartitionId,
        next: NextOffset,
        wait: Duration,
    ) -> Result<(), ConsumerError> {
        let list = self.offsets(&[(partition, next)]);
        list.and_then(|list| self.consumer.seek_partitions(list, wait))
            .and_then(|list| list.elements().iter().try_for_each(|element| element.error()))
            .map_err(|source| ConsumerError::Ask { action: "seek", source })
    }

    /// Asks the brokers where the partitions end. librdkafka itself learns that from what it
    /// fetches, and so not of a partition that is paused, or whose fetching has stopped.
    ///
    /// # Errors
    /// librdkafka's refusal, or no answer within `wait`.
    pub fn ends(
        &self,
        partitions: &[PartitionId],
        wait: Duration,
    ) -> Result<Vec<(PartitionId, NextOffset)>, ConsumerError> {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        let asked = partitions.iter().try_for_each(|partition| {
            list.add_partition_offset(&self.topic, partition.0, Offset::End)
        });
        let answer = asked
            .and_then(|()| self.consumer.offsets_for_times(list, wait))
            .map_err(|source| ConsumerError::Ask { action: "find the ends", source })?;
        let end = |offset| if let Offset::Offset(end) = offset { Some(end) } else { None };
        let elements = answer.elements();
        let ends = elements.iter().filter_map(|element| {
            Some((PartitionId(element.partition()), NextOffset(end(element.offset())?)))
        });
        Ok(ends.collect())
    }

    /// Sends offsets to the coordinator without waiting.
    ///
    /// librdkafka reports a refusal through `offset_commit_cb`, which rdkafka 0.39 does not set,
    /// and does not repeat the commit: the owner compares what it handed over with
    /// [`super::Extent::committed`]. [`GroupEvent::CommitFailed`] comes once rdkafka passes it on.
    ///
    /// # Errors
    /// What can be refused on the spot.
    pub fn commit_later(&self, next: &[(PartitionId, NextOffset)]) -> Result<(), ConsumerError> {
        self.commit(next, CommitMode::Async)
    }

    /// Sends offsets to the coordinator and waits for its answer.
    ///
    /// # Errors
    /// The coordinator's refusal, or none to be found.
    pub fn commit_now(&self, next: &[(PartitionId, NextOffset)]) -> Result<(), ConsumerError> {
        self.commit(next, CommitMode::Sync)
    }

    fn commit(
        &self,
        next: &[(PartitionId, NextOffset)],
        mode: CommitMode,
    ) -> Result<(), ConsumerError> {
        self.offsets(next)
            .and_then(|list| self.consumer.commit(&list, mode))
            .map_err(|source| ConsumerError::Ask { action: "commit offsets", source })
    }

    fn list(&self, partitions: &[PartitionId]) -> TopicPartitionList {
        let mut list = TopicPartitionList::with_capacity(partitions.len());
        for partition in partitions {
            list.add_partition(&self.topic, partition.0);
        }
        list
    }

    fn offsets(&self, next: &[(PartitionId, NextOffset)]) -> KafkaResult<TopicPartitionList> {
        let mut list = TopicPartitionList::with_capacity(next.len());
        for (partition, next) in next {
            list.add_partition_offset(&self.topic, partition.0, Offset::Offset(next.0))?;
        }
        Ok(list)
    }
}

impl Drop for GroupConsumer {
    /// Leaves the group. rdkafka polls until that is done, which can take as long as the brokers
    /// are away: nobody else may wait for this thread without a deadline.
    fn drop(&mut self) {
        self.consumer.context().close();
    }
}

/// The consumer's settings: each with its reason, the operator's overrides last.
pub(super) fn settings(config: &Config, thread: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    let mut set = |key: &str, value: String| {
        settings.set(key, value);
    };
    set("bootstrap.servers", config.kafka.brokers.clone());
    set("group.id", config.forward.group.clone());
    // Brokers log and throttle by it, and cooperative groups have mixed members of one id up.
    let instance = config.instance.clone().unwrap_or_else(|| std::process::id().to_string());
    set("client.id", format!("{}-{instance}-{thread}", config.forward.group));
    if let Some(instance) = &config.instance {
        // A restart within the session timeout takes its partitions back without a rebalance.
        set("group.instance.id", format!("{instance}-{thread}"));
    }
    // KIP-848 groups stall in this version of librdkafka.
    set("group.protocol", "classic".to_owned());
    // Partitions that stay are not interrupted by those that move.
    set("partition.assignment.strategy", "cooperative-sticky".to_owned());
    // The promise: only what the backend or the dead-letter topic has is committed, by us.
    set("enable.auto.commit", "false".to_owned());
    set("enable.auto.offset.store", "false".to_owned());
    // A new group forwards what the topic holds.
    set("auto.offset.reset", "earliest".to_owned());
    // A partition that hit its queue limit is fetched again soon, not after the default second.
    set("fetch.queue.backoff.ms", "10".to_owned());
    // Fewer, fuller fetches; a trickle still arrives within the wait.
    set("fetch.min.bytes", (64 * limits::KIB).to_string());
    set("fetch.wait.max.ms", "50".to_owned());
    // Memory: the sum of prefetched records of this client, and the size of one fetch.
    set("queued.max.messages.kbytes", limits::CONSUMER_QUEUE_KIB.to_string());
    set("fetch.max.bytes", (limits::CONSUMER_QUEUE_KIB * limits::KIB).to_string());
    // A lost broker is tried again within a second, a hung one is given up before the loop's
    // heartbeat looks stuck. Not sooner: the coordinator answers nothing else while members join.
    set("reconnect.backoff.max.ms", "1000".to_owned());
    set("socket.timeout.ms", "20000".to_owned());
    // Added partitions are noticed and forwarded soon, not after the default five minutes.
    set("topic.metadata.refresh.interval.ms", "30000".to_owned());
    // Ends of partitions (lag, watchdog) and the state of the group come from the statistics.
    let statistics_ms = limits::CONSUMER_STATISTICS_INTERVAL.as_millis();
    set("statistics.interval.ms", statistics_ms.to_string());
    // The broker would ask for librdkafka's telemetry otherwise.
    set("enable.metrics.push", "false".to_owned());
    for (key, secret) in &config.kafka.consumer_overrides {
        set(key, secret.value.clone());
    }
    settings.set_log_level(RDKafkaLogLevel::Info);
    settings
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use rdkafka::{
        mocking::MockCluster,
        producer::{BaseProducer, BaseRecord, Producer},
    };

    use super::*;
    use crate::kafka::{dead_letter_record::REPLAYED_HEADER, produce_raw::tests::foreign_headers};

    const DEADLINE: Duration = Duration::from_secs(60);

    /// Members of any version must share an assignor and a protocol, or the later one stays out;
    /// the operator cannot change them by accident.
    #[test]
    fn protocol_is_pinned() {
        let settings = settings(&Config::default(), "forward-0");
        assert_eq!(settings.get("partition.assignment.strategy"), Some("cooperative-sticky"));
        assert_eq!(settings.get("group.protocol"), Some("classic"));
    }

    /// Headers whose names are not UTF-8 do no harm, and a replayed record is known among them.
    #[test]
    fn foreign_headers_do_no_harm() {
        let cluster = MockCluster::new(1).unwrap();
        let mut config = Config::default();
        config.kafka.brokers = cluster.bootstrap_servers();
        cluster.create_topic(&config.kafka.topic.name, 1, 1).unwrap();
        let producer: BaseProducer = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .create()
            .unwrap();
        for name in ["otel.dlq.replay", REPLAYED_HEADER] {
            let record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(&config.kafka.topic.name)
                .partition(0)
                .payload(b"".as_slice())
                .headers(foreign_headers(name));
            producer.send(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(DEADLINE).unwrap();

        let consumer = GroupConsumer::create(&config, "forward-0").unwrap();
        let (mut records, mut replayed) = (0, Vec::new());
        let deadline = Instant::now() + DEADLINE;
        while records < 2 {
            assert!(Instant::now() < deadline, "{records} of 2 records");
            consumer.poll(Duration::from_millis(100), |_| records += 1);
            for event in consumer.take_events() {
                match event {
                    GroupEvent::Assigned(partitions) => consumer.assign(&partitions).unwrap(),
                    GroupEvent::Replayed(partition) => replayed.push((partition, records)),
                    _ => {}
                }
            }
        }
        assert_eq!(replayed, [(PartitionId(0), 2)], "the second record, and no other");
    }
}
