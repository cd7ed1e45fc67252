//! What operators and other programs do to a cluster's topics and groups.

use std::{collections::BTreeMap, time::Duration};

use rdkafka::{
    Offset, TopicPartitionList,
    admin::{AdminClient, AdminOptions, NewPartitions},
    client::DefaultClientContext,
    consumer::{BaseConsumer, CommitMode, Consumer},
    producer::{BaseProducer, BaseRecord, Producer},
};

use crate::{kafka::Kafka, wait};

/// A record to be written; `None` is Kafka's null.
pub type KeyAndValue<'a> = (Option<&'a [u8]>, Option<&'a [u8]>);

impl Kafka {
    /// Writes records to a partition, in this order.
    pub fn produce(&self, topic: &str, partition: i32, records: &[KeyAndValue<'_>]) {
        let producer: BaseProducer =
            self.client().set("acks", "all").create().expect("the settings are valid");
        for (key, value) in records {
            let mut record = BaseRecord::<[u8], [u8]>::to(topic).partition(partition);
            (record.key, record.payload) = (*key, *value);
            producer.send(record).expect("the queue has room");
        }
        producer.flush(ANSWER_WITHIN).expect("the broker acknowledges");
    }

    /// Raises the number of a topic's partitions.
    pub fn add_partitions(&self, topic: &str, partition_count: usize) {
        let wanted = NewPartitions::new(topic, partition_count);
        let done = pollster::block_on(self.admin().create_partitions([&wanted], &options()));
        let done = done.unwrap_or_else(|error| panic!("adding partitions: {error}"));
        assert!(done.iter().all(Result::is_ok), "adding partitions: {done:?}");
    }

    /// Deletes a topic with its records.
    pub fn delete_topic(&self, topic: &str) {
        let done = pollster::block_on(self.admin().delete_topics(&[topic], &options()));
        let done = done.unwrap_or_else(|error| panic!("deleting {topic}: {error}"));
        assert!(done.iter().all(Result::is_ok), "deleting {topic}: {done:?}");
    }

    /// Commits `offset` for every partition in the name of a group without members.
    pub fn commit(&self, group: &str, topic: &str, partitions: i32, offset: i64) {
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            let offset = Offset::Offset(offset);
            list.add_partition_offset(topic, partition, offset).expect("offset is valid");
        }
        wait::wait_for("the group's coordinator", ANSWER_WITHIN, || {
            self.member_of(group).commit(&list, CommitMode::Sync).ok()
        });
    }

    /// What a group has committed, by partition; partitions without a commit are left out.
    pub fn committed(&self, group: &str, topic: &str) -> BTreeMap<i32, i64> {
        let consumer = self.member_of(group);
        let metadata = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).expect("it answers");
        let mut list = TopicPartitionList::new();
        for partition in metadata.topics()[0].partitions() {
            list.add_partition(topic, partition.id());
        }
        let committed = wait::wait_for("committed offsets", ANSWER_WITHIN, || {
            consumer.committed_offsets(list.clone(), ANSWER_WITHIN).ok()
        });
        let known = |offset| if let Offset::Offset(offset) = offset { Some(offset) } else { None };
        let elements = committed.elements();
        elements.iter().filter_map(|it| Some((it.partition(), known(it.offset())?))).collect()
    }

    /// The end of each partition of a topic.
    pub fn ends(&self, topic: &str) -> BTreeMap<i32, i64> {
        let consumer: BaseConsumer = self.client().create().expect("the settings are valid");
        let partitions = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN).expect("it answers");
        let partitions = partitions.topics()[0].partitions().iter();
        let end = |partition: i32| {
            wait::wait_for("the end of a partition", ANSWER_WITHIN, || {
                let (_, end) = consumer.fetch_watermarks(topic, partition, ANSWER_WITHIN).ok()?;
                Some((partition, end))
            })
        };
        partitions.map(|partition| end(partition.id())).collect()
    }

    /// Partitions of a topic that have a leader; none where there is no such topic.
    pub fn leader_count(&self, topic: &str) -> usize {
        let consumer: BaseConsumer = self.client().create().expect("the settings are valid");
        let Ok(metadata) = consumer.fetch_metadata(Some(topic), ANSWER_WITHIN) else { return 0 };
        let partitions = metadata.topics().iter().flat_map(|topic| topic.partitions());
        partitions.filter(|partition| partition.leader() > 0).count()
    }

    /// The node that keeps a group: Kafka places groups by the hash of their name.
    pub fn coordinator_of(&self, group: &str) -> i32 {
        let consumer: BaseConsumer = self.client().create().expect("the settings are valid");
        wait::wait_for("the group's coordinator", ANSWER_WITHIN, || {
            let metadata = consumer.fetch_metadata(Some(OFFSETS_TOPIC), ANSWER_WITHIN).ok()?;
            let partitions = metadata.topics().first()?.partitions();
            // Java's String.hashCode, made positive.
            let hash = group
                .bytes()
                .fold(0_i32, |hash, byte| hash.wrapping_mul(31).wrapping_add(i32::from(byte)));
            let place = (hash & i32::MAX) % i32::try_from(partitions.len()).ok()?;
            let partition = partitions.iter().find(|partition| partition.id() == place)?;
            (partition.leader() > 0).then(|| partition.leader())
        })
    }

    fn admin(&self) -> AdminClient<DefaultClientContext> {
        self.client().create().expect("the settings are valid")
    }

    fn member_of(&self, group: &str) -> BaseConsumer {
        self.client()
            .set("group.id", group)
            .set("enable.auto.commit", "false")
            .create()
            .expect("the settings are valid")
    }
}

fn options() -> AdminOptions {
    AdminOptions::new().operation_timeout(Some(ANSWER_WITHIN))
}

/// Where Kafka keeps what groups committed.
const OFFSETS_TOPIC: &str = "__consumer_offsets";
const ANSWER_WITHIN: Duration = Duration::from_secs(30);
