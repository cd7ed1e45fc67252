//! Creates missing topics and reads the limits of existing ones.
//!
//! Called by the `metadata` thread and by `check`. A topic that exists is left alone. Rights that
//! are missing are no reason not to run: the exact command for an administrator is printed.

use rdkafka::{
    admin::{
        AdminClient, AdminOptions, NewTopic, ResourceSpecifier, TopicReplication, TopicResult,
    },
    client::DefaultClientContext,
    error::RDKafkaErrorCode,
};

use super::{KafkaError, client, settings};
use crate::{
    config::{Config, KafkaConfig},
    limits::{ADMIN_TIMEOUT, DEAD_LETTER_HEADROOM_BYTES, TOPIC_MESSAGE_BYTES_DEFAULT},
};

/// A topic as it is to be created when missing.
#[derive(Clone, Debug)]
pub struct TopicPlan {
    /// The topic's name.
    pub name: String,
    /// Partitions at creation.
    pub partitions: i32,
    /// Copies; -1 takes the broker's default.
    pub replication: i32,
    /// `max.message.bytes` to set at creation; `None` = the broker's default.
    pub message_bytes_max: Option<usize>,
    /// Largest batch we may send: an existing topic that takes less is reported.
    pub batch_bytes: usize,
}

impl TopicPlan {
    /// The settings beside the broker's defaults.
    fn settings(&self) -> Vec<(&'static str, String)> {
        let bytes = self.message_bytes_max.map(|bytes| ("max.message.bytes", bytes.to_string()));
        // With three copies, an acknowledged span survives the loss of one without notice.
        let replicas = (self.replication >= 3).then(|| ("min.insync.replicas", "2".to_owned()));
        bytes.into_iter().chain(replicas).collect()
    }
}

/// The topics that a process with this configuration needs.
pub fn topic_plans(config: &Config) -> Vec<TopicPlan> {
    let topic = &config.kafka.topic;
    let plan = |name: &str, message_bytes_max, batch_bytes| TopicPlan {
        name: name.to_owned(),
        partitions: topic.partitions,
        replication: topic.replication,
        message_bytes_max,
        batch_bytes,
    };
    let mut plans = vec![plan(&topic.name, None, config.kafka.batch_bytes)];
    if config.role.forwards() {
        // A dead letter is the whole record and its headers; less than usual would help nobody.
        let letter_bytes_max = config.publish.record_bytes_max + DEAD_LETTER_HEADROOM_BYTES;
        let bytes_max = letter_bytes_max.max(TOPIC_MESSAGE_BYTES_DEFAULT);
        plans.push(plan(&config.forward.dead_letter_topic, Some(bytes_max), bytes_max));
    }
    plans
}

/// Creates what is missing and warns of limits that are too small.
///
/// # Errors
/// No broker answered. Stops at the first silence: it would only repeat itself.
pub fn ensure_topics(kafka: &KafkaConfig, plans: &[TopicPlan]) -> Result<(), KafkaError> {
    let admin = admin(kafka)?;
    for plan in plans {
        if kafka.topic.create {
            created(kafka, plan, ask_to_create(&admin, plan, &options())?);
        }
        warn_of_small_limit(&admin, plan);
    }
    Ok(())
}

/// A short-lived administrative client.
///
/// # Errors
/// librdkafka's refusal of the settings.
pub(super) fn admin(kafka: &KafkaConfig) -> Result<AdminClient<DefaultClientContext>, KafkaError> {
    let client_id = "otel-event-pipeline-admin".to_owned();
    let mut settings = settings::common(kafka, &client_id);
    settings::apply(&mut settings, &kafka.producer_overrides);
    // Producer-only keys among the overrides are ignored by librdkafka with a log line.
    client::create(&settings, DefaultClientContext)
        .map_err(|error| KafkaError::Client { client: client_id, reason: error.to_string() })
}

/// Bounded waits.
pub(super) fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(ADMIN_TIMEOUT)).operation_timeout(Some(ADMIN_TIMEOUT))
}

/// Asks whether the topic could be created, which creates nothing.
///
/// # Errors
/// No answer; within the answer, the broker's refusal.
pub(super) fn may_create(
    admin: &AdminClient<DefaultClientContext>,
    plan: &TopicPlan,
) -> Result<Result<(), RDKafkaErrorCode>, KafkaError> {
    let answer = ask_to_create(admin, plan, &options().validate_only(true));
    answer.map(|result| result.map(drop).map_err(|(_topic, code)| code))
}

fn ask_to_create(
    admin: &AdminClient<DefaultClientContext>,
    plan: &TopicPlan,
    options: &AdminOptions,
) -> Result<TopicResult, KafkaError> {
    let settings = plan.settings();
    let mut topic =
        NewTopic::new(&plan.name, plan.partitions, TopicReplication::Fixed(plan.replication));
    for (key, value) in &settings {
        topic = topic.set(key, value);
    }
    let unanswered =
        |reason| KafkaError::Broker { question: "ask for the creation of a topic", reason };
    pollster::block_on(admin.create_topics([&topic], options))
        .map_err(|error| unanswered(error.to_string()))?
        .pop()
        .ok_or_else(|| unanswered("the answer is empty".to_owned()))
}

/// Says what became of one topic: it exists afterwards, or an administrator has to create it.
fn created(kafka: &KafkaConfig, plan: &TopicPlan, result: TopicResult) {
    match result {
        Ok(_) => {
            tracing::info!(topic = plan.name, partitions = plan.partitions, "topic created");
        }
        Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
        Err((_, error)) => {
            tracing::warn!(
                topic = plan.name,
                %error,
                "topic is not created; if it is missing, an administrator can run: {}",
                command(kafka, plan)
            );
        }
    }
}

/// What an administrator types to do the same.
pub(super) fn command(kafka: &KafkaConfig, plan: &TopicPlan) -> String {
    let mut command = format!(
        "kafka-topics.sh --bootstrap-server {} --create --if-not-exists --topic {} --partitions {}",
        kafka.brokers, plan.name, plan.partitions
    );
    if plan.replication > 0 {
        command.push_str(&format!(" --replication-factor {}", plan.replication));
    }
    for (key, value) in plan.settings() {
        command.push_str(&format!(" --config {key}={value}"));
    }
    command
}

/// The topic's own `max.message.bytes`.
///
/// # Errors
/// The broker does not tell: rights are missing, or it is too old.
pub(super) fn message_bytes_max(
    admin: &AdminClient<DefaultClientContext>,
    topic: &str,
    options: &AdminOptions,
) -> Result<usize, KafkaError> {
    let untold = |reason| KafkaError::Broker { question: "read max.message.bytes", reason };
    let resources = [ResourceSpecifier::Topic(topic)];
    let answer = pollster::block_on(admin.describe_configs(&resources, options))
        .map_err(|error| untold(error.to_string()))?;
    let resource = answer
        .into_iter()
        .next()
        .ok_or_else(|| untold("the answer is empty".to_owned()))?
        .map_err(|code| untold(code.to_string()))?;
    let value = resource.get("max.message.bytes").and_then(|entry| entry.value.as_deref());
    value
        .and_then(|value| value.parse().ok())
        .ok_or_else(|| untold("no number in the answer".to_owned()))
}

fn warn_of_small_limit(admin: &AdminClient<DefaultClientContext>, plan: &TopicPlan) {
    // Not being told (missing rights, an old broker) is no finding.
    let Ok(limit) = message_bytes_max(admin, &plan.name, &options()) else { return };
    if limit < plan.batch_bytes {
        tracing::error!(
            topic = plan.name,
            limit,
            batch_bytes = plan.batch_bytes,
            "the topic takes smaller batches than we may send: raise its max.message.bytes or \
             lower KAFKA_BATCH_BYTES and KAFKA_RECORD_BYTES_MAX below it"
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Compression, TopicConfig};

    /// The printed command names broker, topic, partitions, copies and limit.
    #[test]
    fn administrator_command() {
        let kafka = KafkaConfig {
            brokers: "broker:9092".to_owned(),
            topic: TopicConfig {
                name: "otel.traces".to_owned(),
                create: true,
                partitions: 8,
                replication: 3,
            },
            linger: std::time::Duration::from_millis(2),
            batch_bytes: 1_000_000,
            compression: Compression::None,
            idempotence: false,
            producer_overrides: Vec::new(),
            consumer_overrides: Vec::new(),
        };
        let plan = TopicPlan {
            name: "otel.traces.dlq".to_owned(),
            partitions: 8,
            replication: 3,
            message_bytes_max: Some(987_136),
            batch_bytes: 1_000_000,
        };
        assert_eq!(
            command(&kafka, &plan),
            "kafka-topics.sh --bootstrap-server broker:9092 --create --if-not-exists --topic \
             otel.traces.dlq --partitions 8 --replication-factor 3 --config \
             max.message.bytes=987136 --config min.insync.replicas=2"
        );
    }
}
