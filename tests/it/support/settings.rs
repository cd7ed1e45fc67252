//! Settings fit for a test: defaults, but quick to batch, to time out and to try again.

use std::{net::Ipv4Addr, time::Duration};

use otel_event_pipeline::{
    config::{
        AdminConfig, Compression, Config, ForwardConfig, KafkaConfig, LogConfig, LogFormat,
        Partitioner, Pinning, PublishConfig, ReceiveConfig, RecordMode, Role, Secret,
        ShutdownConfig, ThreadsConfig, TopicConfig,
    },
    limits,
};

/// Settings for these brokers and this backend (`http://host:port`).
pub(crate) fn config(brokers: &str, endpoint: &str) -> Config {
    let loopback = Ipv4Addr::LOCALHOST.into();
    let override_of = |key: &str, value: &str| {
        (key.to_owned(), Secret { value: value.to_owned(), masked: false })
    };
    Config {
        role: Role::Forward,
        instance: None,
        receive: ReceiveConfig {
            listen_address: loopback,
            grpc_port: 0,
            request_bytes_max: limits::REQUEST_BYTES_DEFAULT,
            bytes_in_flight_max: limits::BYTES_IN_FLIGHT_DEFAULT,
            reply_deadline: limits::REPLY_DEADLINE_DEFAULT,
            connections_max: limits::CONNECTIONS_DEFAULT,
            streams_max: limits::STREAMS_DEFAULT,
        },
        publish: PublishConfig {
            record_mode: RecordMode::Trace,
            record_bytes_max: limits::RECORD_BYTES_DEFAULT,
            partitioner: Partitioner::Murmur2,
        },
        kafka: KafkaConfig {
            brokers: brokers.to_owned(),
            topic: TopicConfig {
                name: "otel.traces".to_owned(),
                create: false,
                partitions: limits::TOPIC_PARTITIONS_DEFAULT,
                replication: 1,
            },
            linger: limits::LINGER_DEFAULT,
            batch_bytes: limits::BATCH_BYTES_DEFAULT,
            compression: Compression::None,
            idempotence: false,
            producer_overrides: Vec::new(),
            consumer_overrides: vec![
                // The mock cluster waits its whole fetch time even when records come ...
                override_of("fetch.wait.max.ms", "10"),
                // ... and delays a second join by the session timeout.
                override_of("session.timeout.ms", "3000"),
                override_of("heartbeat.interval.ms", "500"),
            ],
        },
        forward: ForwardConfig {
            endpoint: endpoint.to_owned(),
            group: "jaeger".to_owned(),
            dead_letter_topic: "otel.traces.dlq".to_owned(),
            batch_bytes_max: limits::FORWARD_BATCH_BYTES_DEFAULT,
            batch_age_max: Duration::from_millis(20),
            requests_in_flight: 3,
            request_timeout: Duration::from_millis(500),
            retry_backoff_min: Duration::from_millis(5),
            retry_backoff_max: Duration::from_millis(50),
        },
        admin: AdminConfig { listen_address: loopback, http_port: 0 },
        threads: ThreadsConfig {
            receive: None,
            publish: None,
            forward: None,
            pinning: Pinning::Off,
        },
        log: LogConfig { level: tracing::Level::INFO, format: LogFormat::Text },
        shutdown: ShutdownConfig {
            drain_delay: Duration::ZERO,
            deadline: limits::SHUTDOWN_DEADLINE_DEFAULT,
        },
    }
}
