//! The sections of [`Config`]: one struct per part of the process, one field per setting.
//!
//! Fields are typed and already within bounds; `limits.rs` holds the bounds and defaults.

use std::{fmt, net::IpAddr, time::Duration};

use crate::otlp::RecordMode;

/// Every setting of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which halves of the pipeline this process runs.
    pub role: Role,
    /// Name of this instance, stable over restarts: enables static group membership.
    pub instance: Option<String>,
    /// OTLP listener and admission.
    pub receive: ReceiveConfig,
    /// How requests become records.
    pub publish: PublishConfig,
    /// Brokers, topic and client settings shared by both halves.
    pub kafka: KafkaConfig,
    /// Backend and the consumer side.
    pub forward: ForwardConfig,
    /// HTTP pages.
    pub admin: AdminConfig,
    /// Thread counts and pinning.
    pub threads: ThreadsConfig,
    /// Log level and format.
    pub log: LogConfig,
    /// Deadlines of an orderly end.
    pub shutdown: ShutdownConfig,
}

/// Which halves of the pipeline run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receive and forward in one process.
    All,
    /// OTLP to Kafka only.
    Receive,
    /// Kafka to the backend only.
    Forward,
}

impl Role {
    /// True when this process takes OTLP in.
    pub fn receives(self) -> bool {
        matches!(self, Self::All | Self::Receive)
    }

    /// True when this process forwards to the backend.
    pub fn forwards(self) -> bool {
        matches!(self, Self::All | Self::Forward)
    }
}

/// OTLP listener and admission (`LISTEN_ADDRESS`, `GRPC_PORT`, `OTLP_*`).
#[derive(Clone, Debug)]
pub struct ReceiveConfig {
    /// `LISTEN_ADDRESS`: address of the OTLP listener.
    pub listen_address: IpAddr,
    /// `GRPC_PORT`: 0 lets the system choose.
    pub grpc_port: u16,
    /// `OTLP_REQUEST_BYTES_MAX`: largest request, compressed or not.
    pub request_bytes_max: usize,
    /// `OTLP_BYTES_IN_FLIGHT_MAX`: budget for everything between arrival and reply.
    pub bytes_in_flight_max: usize,
    /// `OTLP_REPLY_DEADLINE`: no reply is later than this.
    pub reply_deadline: Duration,
    /// `OTLP_CONNECTIONS_MAX`: further connections are closed at accept.
    pub connections_max: usize,
    /// `OTLP_STREAMS_MAX`: concurrent streams per connection.
    pub streams_max: u32,
}

/// How requests become records (`KAFKA_RECORD_MODE`, `KAFKA_RECORD_BYTES_MAX`, `KAFKA_PARTITIONER`).
#[derive(Clone, Debug)]
pub struct PublishConfig {
    /// `KAFKA_RECORD_MODE`.
    pub record_mode: RecordMode,
    /// `KAFKA_RECORD_BYTES_MAX`: key and value of one record.
    pub record_bytes_max: usize,
    /// `KAFKA_PARTITIONER`.
    pub partitioner: Partitioner,
}

/// How a trace id becomes a partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Partitioner {
    /// As Kafka's Java client places the hexadecimal key.
    Murmur2,
    /// As the OpenTelemetry Collector places the hexadecimal key.
    Fnv1a,
}

/// Brokers, topic, producer and consumer clients (`KAFKA_*`).
#[derive(Clone, Debug)]
pub struct KafkaConfig {
    /// `KAFKA_BROKERS`: comma-separated host:port.
    pub brokers: String,
    /// `KAFKA_TOPIC` and how it is created.
    pub topic: TopicConfig,
    /// `KAFKA_LINGER`: how long a producer batch waits to fill.
    pub linger: Duration,
    /// `KAFKA_BATCH_BYTES`: largest producer batch.
    pub batch_bytes: usize,
    /// `KAFKA_COMPRESSION`.
    pub compression: Compression,
    /// `KAFKA_IDEMPOTENCE`.
    pub idempotence: bool,
    /// `KAFKA_PRODUCER_CONFIG`: librdkafka overrides, refused keys already removed with an error.
    pub producer_overrides: Vec<(String, Secret)>,
    /// `KAFKA_CONSUMER_CONFIG`: librdkafka overrides for the consumer.
    pub consumer_overrides: Vec<(String, Secret)>,
}

/// The topic and its creation.
#[derive(Clone, Debug)]
pub struct TopicConfig {
    /// `KAFKA_TOPIC`.
    pub name: String,
    /// `KAFKA_TOPIC_CREATE`: create missing topics at start.
    pub create: bool,
    /// `KAFKA_TOPIC_PARTITIONS`: used at creation only.
    pub partitions: i32,
    /// `KAFKA_TOPIC_REPLICATION`: -1 takes the broker's default.
    pub replication: i32,
}

/// Producer compression, done by librdkafka per batch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// As sent.
    None,
    /// LZ4 frames.
    Lz4,
    /// Zstandard.
    Zstd,
}

/// A value that `--print-config` and `Debug` mask when it is a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The value as given to librdkafka.
    pub value: String,
    /// True when it must not be shown.
    pub masked: bool,
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.masked { "***" } else { &self.value })
    }
}

/// Backend, batches and retries (`JAEGER_ENDPOINT`, `KAFKA_CONSUMER_GROUP`, `FORWARD_*`).
#[derive(Clone, Debug)]
pub struct ForwardConfig {
    /// `JAEGER_ENDPOINT` as a URI: `http://host:port` or `https://host:port`.
    pub endpoint: String,
    /// `KAFKA_CONSUMER_GROUP`.
    pub group: String,
    /// `KAFKA_DLQ_TOPIC`: `<topic>.dlq` unless set.
    pub dead_letter_topic: String,
    /// `FORWARD_BATCH_BYTES`: a batch closes before it would exceed this.
    pub batch_bytes_max: usize,
    /// `FORWARD_BATCH_AGE`: a batch closes this long after its first record.
    pub batch_age_max: Duration,
    /// `FORWARD_REQUESTS_IN_FLIGHT`: lanes per forward thread.
    pub requests_in_flight: usize,
    /// `FORWARD_REQUEST_TIMEOUT`: deadline of one backend call.
    pub request_timeout: Duration,
    /// `FORWARD_RETRY_BACKOFF_MIN`: first wait of a retry.
    pub retry_backoff_min: Duration,
    /// `FORWARD_RETRY_BACKOFF_MAX`: longest wait of a retry.
    pub retry_backoff_max: Duration,
}

/// HTTP pages (`HTTP_PORT`; same `LISTEN_ADDRESS`).
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// `LISTEN_ADDRESS`.
    pub listen_address: IpAddr,
    /// `HTTP_PORT`: 0 lets the system choose.
    pub http_port: u16,
}

/// Thread counts and pinning; `None` = chosen from cores and quota (`*_THREADS=auto`).
#[derive(Clone, Debug)]
pub struct ThreadsConfig {
    /// `RECEIVE_THREADS`.
    pub receive: Option<usize>,
    /// `PUBLISH_THREADS`.
    pub publish: Option<usize>,
    /// `FORWARD_THREADS`.
    pub forward: Option<usize>,
    /// `PINNING`.
    pub pinning: Pinning,
}

/// Whether publish threads are pinned to cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Pin when there are enough allowed cores and no CPU quota.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

/// `LOG_LEVEL`, `LOG_FORMAT`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Least severe level shown.
    pub level: tracing::Level,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

/// `DRAIN_DELAY`, `SHUTDOWN_DEADLINE`.
#[derive(Clone, Debug)]
pub struct ShutdownConfig {
    /// Time between "not ready" and the first refusal, for load balancers to notice.
    pub drain_delay: Duration,
    /// The process has ended this long after the signal.
    pub deadline: Duration,
}
