//! librdkafka's mock cluster, with what the tests put in and look up.

use std::time::Duration;

use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, CommitMode, Consumer},
    message::{BorrowedMessage, Headers},
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
    types::{RDKafkaApiKey, RDKafkaRespErr},
};

/// The id of the first broker, and of the only one where a test does not ask for more.
const BROKER: i32 = 1;

/// A cluster on free ports; it must stay on the thread that made it.
pub(crate) struct MockKafka {
    cluster: MockCluster<'static, DefaultProducerContext>,
    producer: BaseProducer,
}

/// A record as read back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    /// Where it lies.
    pub(crate) partition: i32,
    /// Its key.
    pub(crate) key: Option<Vec<u8>>,
    /// Its value.
    pub(crate) value: Option<Vec<u8>>,
    /// Its headers, in order.
    pub(crate) headers: Vec<(String, String)>,
}

impl MockKafka {
    /// A cluster of one broker with these topics, each of `partitions`.
    pub(crate) fn start(topics: &[&str], partitions: i32) -> Self {
        Self::start_brokers(1, topics, partitions)
    }

    /// The same with so many brokers, whose ids count from 1.
    pub(crate) fn start_brokers(brokers: i32, topics: &[&str], partitions: i32) -> Self {
        let cluster = MockCluster::new(brokers).unwrap();
        for topic in topics {
            cluster.create_topic(topic, partitions, 1).unwrap();
        }
        let producer = client(&cluster.bootstrap_servers()).create().unwrap();
        Self { cluster, producer }
    }

    /// Its bootstrap servers.
    pub(crate) fn brokers(&self) -> String {
        self.cluster.bootstrap_servers()
    }

    /// Queues a record; [`MockKafka::flush`] waits for it.
    pub(crate) fn produce(
        &self,
        topic: &str,
        partition: i32,
        key: Option<&[u8]>,
        value: Option<&[u8]>,
    ) {
        let mut record: BaseRecord<'_, [u8], [u8]> = BaseRecord::to(topic).partition(partition);
        record.key = key;
        record.payload = value;
        self.producer.send(record).map_err(|(error, _)| error).unwrap();
    }

    /// Waits until everything produced is stored.
    pub(crate) fn flush(&self) {
        self.producer.flush(Duration::from_secs(10)).unwrap();
    }

    /// The committed offset of each partition, `None` where there is none.
    pub(crate) fn committed(&self, group: &str, topic: &str, partitions: i32) -> Vec<Option<i64>> {
        let consumer: BaseConsumer =
            client(&self.brokers()).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_range(topic, 0, partitions - 1);
        let list = consumer.committed_offsets(list, Duration::from_secs(10)).unwrap();
        let offset = |offset| match offset {
            Offset::Offset(offset) => Some(offset),
            _ => None,
        };
        list.elements().iter().map(|element| offset(element.offset())).collect()
    }

    /// The names of all topics.
    pub(crate) fn topics(&self) -> Vec<String> {
        let metadata = self.producer.client().fetch_metadata(None, Duration::from_secs(10));
        metadata.unwrap().topics().iter().map(|topic| topic.name().to_owned()).collect()
    }

    /// Commits an offset for a group that has no members.
    pub(crate) fn commit(&self, group: &str, topic: &str, partition: i32, offset: i64) {
        let consumer: BaseConsumer =
            client(&self.brokers()).set("group.id", group).create().unwrap();
        let mut list = TopicPartitionList::new();
        list.add_partition_offset(topic, partition, Offset::Offset(offset)).unwrap();
        consumer.commit(&list, CommitMode::Sync).unwrap();
    }

    /// Stops answering and listening, as a broker that has died.
    pub(crate) fn down(&self) {
        self.cluster.broker_down(BROKER).unwrap();
    }

    /// Comes back on the same port.
    pub(crate) fn up(&self) {
        self.cluster.broker_up(BROKER).unwrap();
    }

    /// Answers from now on take this long.
    pub(crate) fn delay(&self, round_trip: Duration) {
        self.delay_broker(BROKER, round_trip);
    }

    /// One broker's answers from now on take this long.
    pub(crate) fn delay_broker(&self, broker: i32, round_trip: Duration) {
        self.cluster.broker_round_trip_time(broker, round_trip).unwrap();
    }

    /// Makes a broker the leader of a partition.
    pub(crate) fn lead(&self, topic: &str, partition: i32, broker: i32) {
        self.cluster.partition_leader(topic, partition, Some(broker)).unwrap();
    }

    /// Refuses the next `count` produce requests for good; 0 takes that back.
    pub(crate) fn refuse_produce(&self, count: usize) {
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_MSG_SIZE_TOO_LARGE;
        self.fail(RDKafkaApiKey::Produce, refusal, count);
    }

    /// Answers the next `count` requests of one kind with this error; 0 takes that back.
    pub(crate) fn fail(&self, request: RDKafkaApiKey, error: RDKafkaRespErr, count: usize) {
        self.cluster.clear_request_errors(request);
        self.cluster.request_errors(request, &vec![error; count]);
    }

    /// Refuses the next `count` offset commits for good.
    pub(crate) fn refuse_commits(&self, count: usize) {
        let refusal = RDKafkaRespErr::RD_KAFKA_RESP_ERR_OFFSET_METADATA_TOO_LARGE;
        self.cluster.request_errors(RDKafkaApiKey::OffsetCommit, &vec![refusal; count]);
    }

    /// Every record of a topic.
    pub(crate) fn records(&self, topic: &str, partitions: i32) -> Vec<Stored> {
        let consumer: BaseConsumer = client(&self.brokers()).create().unwrap();
        let count: i64 = (0..partitions)
            .map(|partition| {
                let wait = Duration::from_secs(10);
                consumer.fetch_watermarks(topic, partition, wait).unwrap().1
            })
            .sum();
        self.read(topic, partitions, count as usize)
    }

    /// Reads `count` records of a topic from the start.
    pub(crate) fn read(&self, topic: &str, partitions: i32, count: usize) -> Vec<Stored> {
        let consumer: BaseConsumer =
            client(&self.brokers()).set("group.id", "reader").create().unwrap();
        let mut list = TopicPartitionList::new();
        for partition in 0..partitions {
            list.add_partition_offset(topic, partition, Offset::Beginning).unwrap();
        }
        consumer.assign(&list).unwrap();
        let mut records = Vec::new();
        super::eventually("the records are there", || {
            if let Some(Ok(message)) = consumer.poll(Duration::from_millis(50)) {
                records.push(stored(&message));
            }
            records.len() >= count
        });
        records
    }
}

fn stored(message: &BorrowedMessage<'_>) -> Stored {
    let text = |value: Option<&[u8]>| String::from_utf8(value.unwrap().to_vec()).unwrap();
    let headers = message.headers().map(|headers| {
        headers.iter().map(|header| (header.key.to_owned(), text(header.value))).collect()
    });
    Stored {
        partition: message.partition(),
        key: message.key().map(Vec::from),
        value: message.payload().map(Vec::from),
        headers: headers.unwrap_or_default(),
    }
}

fn client(brokers: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", brokers).set("fetch.wait.max.ms", "10");
    config.set_log_level(RDKafkaLogLevel::Error);
    config
}
