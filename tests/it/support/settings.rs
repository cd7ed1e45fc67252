//! Settings fit for a test of the forward half: quick to batch and to try again.

use otel_event_pipeline::config::Config;

/// Settings for these brokers and this backend (`http://host:port`).
pub(crate) fn config(brokers: &str, endpoint: &str) -> Config {
    // The mock cluster waits its whole fetch time even when records come, and delays a second join
    // by the session timeout.
    let consumer = "fetch.wait.max.ms=10,session.timeout.ms=3000,heartbeat.interval.ms=500";
    Config::from_pairs([
        ("ROLE", "forward"),
        ("GRPC_PORT", "0"),
        ("HTTP_PORT", "0"),
        ("PINNING", "off"),
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_TOPIC_CREATE", "false"),
        ("KAFKA_CONSUMER_GROUP", "jaeger"),
        ("KAFKA_CONSUMER_CONFIG", consumer),
        ("JAEGER_ENDPOINT", endpoint),
        ("FORWARD_BATCH_AGE", "20ms"),
        ("FORWARD_REQUESTS_IN_FLIGHT", "3"),
        ("FORWARD_RETRY_BACKOFF_MIN", "5ms"),
        ("FORWARD_RETRY_BACKOFF_MAX", "50ms"),
    ])
    .unwrap()
}
