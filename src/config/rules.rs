//! What must hold between settings that are each fine alone. Pure.

use super::{
    error::ConfigError,
    kinds::{Kind, Secret, Topic, is_topic, show_bytes, show_duration},
    load::Config,
};
use crate::limits::{BATCH_FRAMING_BYTES, BUDGET_SHARES_PER_CONNECTION};

/// Two settings, whether they fit together, and why they do not.
struct Rule {
    names: &'static [&'static str],
    holds: bool,
    why: String,
}

/// Every rule that `config` breaks, naming both settings and their values.
pub(super) fn broken(config: &Config) -> impl Iterator<Item = ConfigError> {
    let rules = sizes(config).into_iter().chain(times(config)).chain(names(config));
    rules
        .filter(|rule| !rule.holds)
        .map(|rule| ConfigError::Contradiction { names: rule.names, why: rule.why })
}

fn sizes(config: &Config) -> [Rule; 3] {
    let (receive, publish) = (&config.receive, &config.publish);
    let (request, budget) = (receive.request_bytes_max, receive.bytes_in_flight_max);
    let (record, batch) = (publish.record_bytes_max, config.kafka.batch_bytes);
    let forward_batch = config.forward.batch_bytes_max;
    [
        Rule {
            names: &["OTLP_REQUEST_BYTES_MAX", "OTLP_BYTES_IN_FLIGHT_MAX"],
            holds: request <= budget / BUDGET_SHARES_PER_CONNECTION,
            why: format!(
                "a request of {} is more than a quarter of the {} in flight: allowed are requests \
                 up to {}, or at least {} in flight",
                show_bytes(request),
                show_bytes(budget),
                show_bytes(budget / BUDGET_SHARES_PER_CONNECTION),
                show_bytes(request * BUDGET_SHARES_PER_CONNECTION),
            ),
        },
        Rule {
            names: &["KAFKA_RECORD_BYTES_MAX", "KAFKA_BATCH_BYTES"],
            holds: record + BATCH_FRAMING_BYTES <= batch,
            why: format!(
                "a record of {} does not fit a batch of {}, whose framing takes \
                 {BATCH_FRAMING_BYTES}B more: allowed are records up to {}",
                show_bytes(record),
                show_bytes(batch),
                show_bytes(batch - BATCH_FRAMING_BYTES),
            ),
        },
        Rule {
            names: &["FORWARD_BATCH_BYTES", "KAFKA_RECORD_BYTES_MAX"],
            holds: record < forward_batch,
            why: format!(
                "a record of {} does not fit a request of {} to the backend: allowed are requests \
                 above {0}, or records below {1}",
                show_bytes(record),
                show_bytes(forward_batch),
            ),
        },
    ]
}

fn times(config: &Config) -> [Rule; 2] {
    let (drain, deadline) = (config.shutdown.drain_delay, config.shutdown.deadline);
    let (min, max) = (config.forward.retry_backoff_min, config.forward.retry_backoff_max);
    [
        Rule {
            names: &["DRAIN_DELAY", "SHUTDOWN_DEADLINE"],
            holds: drain < deadline,
            why: format!(
                "a delay of {} leaves nothing of the deadline of {}: allowed is a shorter delay, \
                 or a longer deadline",
                show_duration(drain),
                show_duration(deadline),
            ),
        },
        Rule {
            names: &["FORWARD_RETRY_BACKOFF_MIN", "FORWARD_RETRY_BACKOFF_MAX"],
            holds: min <= max,
            why: format!(
                "the first wait of {} is longer than the longest of {}: allowed is at most that",
                show_duration(min),
                show_duration(max),
            ),
        },
    ]
}

fn names(config: &Config) -> [Rule; 4] {
    let (grpc, http) = (config.receive.grpc_port, config.admin.http_port);
    let (topic, dead_letters) = (&config.kafka.topic.name, &config.forward.dead_letter_topic);
    let producer = security_protocol(&config.kafka.producer_overrides);
    let consumer = security_protocol(&config.kafka.consumer_overrides);
    [
        Rule {
            names: &["GRPC_PORT", "HTTP_PORT"],
            holds: grpc != http || grpc == 0 || !config.role.receives(),
            why: format!("both are {grpc}: allowed are two ports, or 0"),
        },
        Rule {
            names: &["KAFKA_TOPIC", "KAFKA_DLQ_TOPIC"],
            holds: topic != dead_letters,
            why: format!(
                "both are `{topic}`, so that a dead letter would be forwarded again for ever: \
                 allowed are two topics"
            ),
        },
        Rule {
            names: &["KAFKA_TOPIC", "KAFKA_DLQ_TOPIC"],
            // The default grows with the topic's name and is no more checked than any default.
            holds: is_topic(dead_letters),
            why: format!("`{dead_letters}` is no topic's name: allowed are {}", Topic.allowed()),
        },
        Rule {
            names: &["KAFKA_PRODUCER_CONFIG", "KAFKA_CONSUMER_CONFIG"],
            holds: producer == consumer || !config.role.forwards(),
            why: format!(
                "security.protocol is {producer} for the producer and {consumer} for the \
                 consumer: allowed is the same in both, for they share KAFKA_BROKERS"
            ),
        },
    ]
}

fn security_protocol(overrides: &[(String, Secret)]) -> String {
    let given = overrides.iter().find(|(key, _)| key == "security.protocol");
    given.map_or_else(|| "plaintext".to_owned(), |(_, given)| given.value.to_ascii_lowercase())
}
