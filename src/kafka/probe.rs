//! What can be asked of Kafka before the pipeline runs, for the `check` task.
//!
//! Owned by the main thread of a process of its own. Asks and changes nothing: creation is only
//! validated, the group is not joined. Every wait is bounded by [`ADMIN_TIMEOUT`].

use std::{
    fmt,
    sync::{Mutex, PoisonError},
};

use rdkafka::{
    ClientContext, Offset, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, DefaultConsumerContext},
    error::{KafkaError as ClientError, KafkaResult, RDKafkaErrorCode},
    metadata::Metadata,
    producer::{BaseProducer, DeliveryResult, Producer, ProducerContext},
};

use super::{
    KafkaError, TopicPlan, TopicState, client, consumer,
    metadata::topic_state,
    settings, topic_plans,
    topics::{admin, command, may_create, message_bytes_max, options},
};
use crate::{
    check::Finding,
    config::Config,
    limits::{ADMIN_TIMEOUT, POLL_INTERVAL},
};

/// A cluster that has answered once.
pub struct KafkaProbe<'a> {
    config: &'a Config,
    client: BaseProducer<Reasons>,
    broker_ids: Vec<i32>,
}

impl<'a> KafkaProbe<'a> {
    /// Connects and asks for metadata.
    ///
    /// # Errors
    /// What keeps the brokers from answering, and the fix.
    pub fn connect(config: &'a Config) -> Result<Self, Finding> {
        let mut settings = settings::common(&config.kafka, "otel-event-pipeline-check");
        settings::apply(&mut settings, &config.kafka.producer_overrides);
        let client: BaseProducer<_> = client::create(&settings, Reasons::default())
            .map_err(|error| fail_to_connect(config, &error.to_string(), None))?;
        match client.client().fetch_metadata(Some(&config.kafka.topic.name), ADMIN_TIMEOUT) {
            Ok(metadata) => {
                let broker_ids = metadata.brokers().iter().map(|broker| broker.id()).collect();
                Ok(Self { config, client, broker_ids })
            }
            Err(error) => {
                // The reasons wait in the client's queue.
                client.poll(POLL_INTERVAL);
                let reason = client.client().context().last();
                let code = reason.as_ref().and_then(|(code, _)| *code);
                let text = reason.map_or_else(|| error.to_string(), |(_, text)| text);
                Err(fail_to_connect(config, &text, code))
            }
        }
    }

    /// That the cluster answers.
    pub fn broker(&self) -> Finding {
        let count = self.broker_ids.len();
        let brokers = if count == 1 { "broker" } else { "brokers" };
        let text = format!("{} answers, {count} {brokers}", self.config.kafka.brokers);
        Finding::ok("broker", text)
    }

    /// Every topic of the role: its partitions and limit, or the right to create it.
    pub fn topics(&self) -> Vec<Finding> {
        topic_plans(self.config).iter().flat_map(|plan| self.topic(plan)).collect()
    }

    fn topic(&self, plan: &TopicPlan) -> Vec<Finding> {
        let name = &plan.name;
        let metadata = match self.metadata(name) {
            Ok(metadata) => metadata,
            Err(error) => return vec![Finding::fail("topic", later(name, &error))],
        };
        let topic = metadata.topics().first();
        let error = topic.and_then(|topic| topic.error()).map(RDKafkaErrorCode::from);
        let state = topic_state(topic.map_or(&[], |topic| topic.partitions()));
        match error {
            None if state.partition_count > 0 => {
                // The role `forward` sends nothing to the topic it reads.
                let sent = self.config.role.receives() || *name != self.config.kafka.topic.name;
                let limit = sent.then(|| self.limit(plan));
                [partitions(plan, state)].into_iter().chain(limit).collect()
            }
            None | Some(RDKafkaErrorCode::UnknownTopicOrPartition) => self.missing(plan),
            Some(code @ RDKafkaErrorCode::TopicAuthorizationFailed) => {
                let fix = "allow this user Describe, Read and Write on it";
                vec![Finding::fail("topic", format!("{name}: {code}; {fix}"))]
            }
            Some(code) => vec![Finding::fail("topic", later(name, &code))],
        }
    }

    fn metadata(&self, topic: &str) -> KafkaResult<Metadata> {
        self.client.client().fetch_metadata(Some(topic), ADMIN_TIMEOUT)
    }

    fn missing(&self, plan: &TopicPlan) -> Vec<Finding> {
        let (name, kafka) = (&plan.name, &self.config.kafka);
        let missing = |why: &str| {
            let command = command(kafka, plan);
            Finding::fail("topic", format!("{name} does not exist{why}; create it: {command}"))
        };
        if !kafka.topic.create {
            return vec![missing(" and KAFKA_TOPIC_CREATE is false")];
        }
        match admin(kafka).and_then(|admin| may_create(&admin, plan)) {
            Ok(Ok(())) => {
                let text = format!("{name} does not exist yet, and is created at start");
                vec![Finding::ok("topic", text)]
            }
            Ok(Err(code)) => vec![missing(&format!(" and cannot be created by us ({code})"))],
            Err(error) => vec![missing(""), untold(name, &error)],
        }
    }

    /// Whether the topic takes the largest batch that may be sent to it.
    fn limit(&self, plan: &TopicPlan) -> Finding {
        let (name, needed) = (&plan.name, plan.batch_bytes);
        // Every broker knows; without one named, librdkafka waits for the controller.
        let options = options().broker_id(self.broker_ids.first().copied());
        let limit =
            admin(&self.config.kafka).and_then(|admin| message_bytes_max(&admin, name, &options));
        match limit {
            Ok(limit) if limit < needed => Finding::fail(
                "topic",
                format!(
                    "{name} takes batches of {limit} B and {needed} B may be sent: raise its \
                     max.message.bytes, or lower KAFKA_BATCH_BYTES and KAFKA_RECORD_BYTES_MAX"
                ),
            ),
            Ok(limit) => {
                Finding::ok("topic", format!("{name} takes batches of {limit} B, we send {needed}"))
            }
            Err(error) => untold(name, &error),
        }
    }

    /// Whether the consumer group's offsets may be read, without joining it.
    pub fn group(&self) -> Finding {
        let group = &self.config.forward.group;
        match self.committed() {
            Ok((committed, partitions)) => Finding::ok(
                "group",
                format!(
                    "{group} answers, offsets committed in {committed} of {partitions} partitions"
                ),
            ),
            Err(error) => Finding::fail(
                "group",
                format!(
                    "{group}: {error}; allow this user Read on the group, and compare \
                     KAFKA_CONSUMER_CONFIG with KAFKA_PRODUCER_CONFIG"
                ),
            ),
        }
    }

    /// Partitions with a committed offset, and all partitions.
    fn committed(&self) -> KafkaResult<(usize, usize)> {
        let topic = &self.config.kafka.topic.name;
        let metadata = self.metadata(topic)?;
        let mut list = TopicPartitionList::new();
        let partitions = metadata.topics().first().map_or(&[][..], |topic| topic.partitions());
        for partition in partitions {
            list.add_partition(topic, partition.id());
        }
        if partitions.is_empty() {
            // The coordinator answers for partitions that are still to be.
            list.add_partition(topic, 0);
        }
        let settings = consumer::settings(self.config, "check");
        let consumer: BaseConsumer = client::create(&settings, DefaultConsumerContext)?;
        let answered = consumer.committed_offsets(list, ADMIN_TIMEOUT)?;
        let mut committed = 0;
        for element in answered.elements() {
            element.error()?;
            committed += usize::from(matches!(element.offset(), Offset::Offset(_)));
        }
        Ok((committed, partitions.len()))
    }
}

/// What an existing topic is like.
fn partitions(plan: &TopicPlan, state: TopicState) -> Finding {
    let (name, TopicState { partition_count, leaderless, replicas }) = (&plan.name, state);
    if leaderless > 0 {
        let text = format!(
            "{name} has {leaderless} of {partition_count} partitions without a leader: start the \
             brokers that hold them"
        );
        return Finding::fail("topic", text);
    }
    if replicas == 1 {
        let text = format!(
            "{name} has {partition_count} partitions of one copy: acknowledged spans are on one \
             disk; for more, create it with --replication-factor 3"
        );
        return Finding::warn("topic", text);
    }
    Finding::ok("topic", format!("{name} has {partition_count} partitions of {replicas} copies"))
}

fn untold(topic: &str, error: &KafkaError) -> Finding {
    Finding::warn("rights", format!("{topic}: {error}; without this, it is seen at run time only"))
}

/// A state of the cluster that may pass.
fn later(topic: &str, why: &dyn fmt::Display) -> String {
    format!("{topic}: {why}; see whether the brokers are well, and check again")
}

fn fail_to_connect(config: &Config, reason: &str, code: Option<RDKafkaErrorCode>) -> Finding {
    let fix = match code {
        Some(RDKafkaErrorCode::Resolve) => "correct the host in KAFKA_BROKERS",
        Some(RDKafkaErrorCode::Authentication | RDKafkaErrorCode::SaslAuthenticationFailed) => {
            "correct sasl.* in KAFKA_PRODUCER_CONFIG"
        }
        Some(RDKafkaErrorCode::SSL) => "correct ssl.* in KAFKA_PRODUCER_CONFIG",
        _ => "start Kafka, or set KAFKA_BROKERS and KAFKA_PRODUCER_CONFIG",
    };
    let brokers = &config.kafka.brokers;
    Finding::fail("broker", format!("{brokers} does not answer: {reason}; {fix}"))
}

/// Remembers why librdkafka does not connect: the answer itself only says that it did not.
#[derive(Default)]
struct Reasons {
    last: Mutex<Option<Reason>>,
}

type Reason = (Option<RDKafkaErrorCode>, String);

impl Reasons {
    fn last(&self) -> Option<Reason> {
        self.last.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl ClientContext for Reasons {
    /// The findings say it all.
    fn log(&self, _level: RDKafkaLogLevel, _facility: &str, _message: &str) {}

    fn error(&self, error: ClientError, reason: &str) {
        let code = error.rdkafka_error_code();
        if code != Some(RDKafkaErrorCode::AllBrokersDown) {
            let reason = (code, reason.to_owned());
            *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(reason);
        }
    }
}

impl ProducerContext for Reasons {
    type DeliveryOpaque = ();

    /// Nothing is produced.
    fn delivery(&self, _result: &DeliveryResult<'_>, _opaque: ()) {}
}
