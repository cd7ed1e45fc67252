//! What arrived, read from a Kafka topic whose values are OTLP requests.
//!
//! Reads every partition from its beginning to where it ended when the reading began. Assigns
//! partitions itself and commits nothing: a verification must leave no trace in the cluster.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message as _;
use rdkafka::consumer::{BaseConsumer, Consumer};
use rdkafka::error::KafkaError;
use rdkafka::message::{BorrowedMessage, Message};
use rdkafka::{ClientConfig, Offset, TopicPartitionList};

use crate::arrivals::{Arrivals, Judged};

/// A topic that could not be read to its end.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicError {
    #[error("the topic does not exist")]
    Absent,
    #[error(transparent)]
    Kafka(#[from] KafkaError),
    #[error("nothing was read for {}s with {missing} partitions unfinished", SILENCE_MAX.as_secs())]
    Silent { missing: usize },
    #[error("partition {partition} offset {offset} is not an OTLP request: {source}")]
    Unreadable { partition: i32, offset: i64, source: prost::DecodeError },
}

/// Reads `topic` and records what it holds.
pub(crate) fn read(brokers: &str, topic: &str) -> Result<Arrivals, TopicError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", brokers)
        // Required by the client; nothing joins it.
        .set("group.id", "loadgen-verify")
        .set("enable.auto.commit", "false")
        .set("enable.auto.offset.store", "false")
        .create()?;
    let mut ends = assign(&consumer, topic)?;
    let mut arrivals = Arrivals::default();
    let mut last_read = Instant::now();
    while !ends.is_empty() {
        if let Some(message) = consumer.poll(POLL_MAX) {
            record(&message?, &mut arrivals)?;
            last_read = Instant::now();
        } else if last_read.elapsed() > SILENCE_MAX {
            return Err(TopicError::Silent { missing: ends.len() });
        }
        // The position counts what a message cannot show: compacted offsets, control records.
        for position in consumer.position()?.elements() {
            if let Offset::Offset(next) = position.offset()
                && ends.get(&position.partition()).is_some_and(|end| next >= *end)
            {
                ends.remove(&position.partition());
            }
        }
    }
    Ok(arrivals)
}

/// Assigns the partitions that hold anything; returns where each ends.
fn assign(consumer: &BaseConsumer, topic: &str) -> Result<BTreeMap<i32, i64>, TopicError> {
    let metadata = consumer.fetch_metadata(Some(topic), REQUEST_MAX)?;
    let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
    if partitions.is_empty() {
        return Err(TopicError::Absent);
    }
    let mut ends = BTreeMap::new();
    let mut assignment = TopicPartitionList::new();
    for partition in partitions {
        let (start, end) = consumer.fetch_watermarks(topic, partition.id(), REQUEST_MAX)?;
        if start < end {
            ends.insert(partition.id(), end);
            assignment.add_partition_offset(topic, partition.id(), Offset::Offset(start))?;
        }
    }
    consumer.assign(&assignment)?;
    Ok(ends)
}

fn record(message: &BorrowedMessage<'_>, arrivals: &mut Arrivals) -> Result<(), TopicError> {
    // A null value is a tombstone and holds no spans.
    let Some(value) = message.payload() else {
        return Ok(());
    };
    let request = ExportTraceServiceRequest::decode(value).map_err(|source| {
        TopicError::Unreadable { partition: message.partition(), offset: message.offset(), source }
    })?;
    // A record's time is a producer's or a broker's, in milliseconds: no arrival.
    arrivals.record(&Judged::new(request), None);
    Ok(())
}

const REQUEST_MAX: Duration = Duration::from_secs(10);
const POLL_MAX: Duration = Duration::from_millis(100);
const SILENCE_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use rdkafka::ClientConfig;
    use rdkafka::mocking::MockCluster;
    use rdkafka::producer::{BaseRecord, DefaultProducerContext, Producer, ThreadedProducer};

    use super::{REQUEST_MAX, TopicError, read};
    use crate::content::Profile;
    use crate::ids::{RunId, WorkerId};
    use crate::payload::{FieldOrder, GRPC_PREFIX_BYTES, Payload, Shape, Stamp};

    const TOPIC: &str = "spans";

    fn cluster_with(
        values: &[(i32, Option<&[u8]>)],
    ) -> MockCluster<'static, DefaultProducerContext> {
        let cluster = MockCluster::new(1).unwrap();
        cluster.create_topic(TOPIC, 3, 1).unwrap();
        let producer: ThreadedProducer<DefaultProducerContext> = ClientConfig::new()
            .set("bootstrap.servers", cluster.bootstrap_servers())
            .create()
            .unwrap();
        for (partition, value) in values {
            let mut record = BaseRecord::to(TOPIC).key("key").partition(*partition);
            record.payload = *value;
            producer.send::<str, [u8]>(record).map_err(|(error, _)| error).unwrap();
        }
        producer.flush(REQUEST_MAX).unwrap();
        cluster
    }

    /// Every partition is read to its end, tombstones and empty partitions included.
    #[test]
    fn a_topic_is_read_to_its_end() {
        let payload = Payload::new(Shape {
            spans_per_request: 4,
            spans_per_trace: 2,
            field_order: FieldOrder::Descending,
            ..Shape::of(RunId(1), Profile::Small)
        })
        .unwrap();
        let bodies: Vec<_> = (0..10)
            .map(|request| {
                let mut body = payload.template().to_vec();
                payload.patch(&mut body, Stamp { worker: WorkerId(1), request, unix_nanos: 1 });
                body.split_off(GRPC_PREFIX_BYTES)
            })
            .collect();
        let mut values: Vec<_> =
            (0..).zip(&bodies).map(|(number, body)| (number % 2, Some(&body[..]))).collect();
        values.push((0, None));
        let cluster = cluster_with(&values);
        let arrivals = read(&cluster.bootstrap_servers(), TOPIC).unwrap();
        assert_eq!((arrivals.distinct(), arrivals.foreign), (40, 0));
        let worker = &arrivals.workers[&(RunId(1), WorkerId(1))];
        assert_eq!((worker.duplicate, worker.reordered, worker.corrupt), (0, 0, 0));
    }

    /// A value that is no OTLP request ends the reading, and is named.
    #[test]
    fn unreadable_values_are_named() {
        let cluster = cluster_with(&[(1, Some(b"\xff\xff\xff"))]);
        let error = read(&cluster.bootstrap_servers(), TOPIC).unwrap_err();
        assert!(matches!(error, TopicError::Unreadable { partition: 1, offset: 0, .. }), "{error}");
    }
}
