//! Our settings in librdkafka's words: each key set here, each with its reason.
//!
//! Nothing that matters is left to librdkafka's defaults. The operator's overrides come last; those
//! that would void the promise were refused when the configuration was read.

use rdkafka::ClientConfig;

use crate::{
    config::{Compression, KafkaConfig, Secret},
    limits::{
        MESSAGE_TIMEOUT, PRODUCER_QUEUE_KIB, PRODUCER_QUEUE_RECORDS, RECORD_OVERHEAD_BYTES,
        STATISTICS_INTERVAL,
    },
};

/// What every client of ours has in common.
pub(super) fn common(kafka: &KafkaConfig, client_id: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", &kafka.brokers)
        // Unique per client: brokers log it and quotas count by it.
        .set("client.id", client_id)
        // The default of 10 s would keep us away for seconds after the broker is back.
        .set("reconnect.backoff.max.ms", "1000")
        .set("reconnect.backoff.ms", "50")
        // Idle connections through load balancers die silently otherwise.
        .set("socket.keepalive.enable", "true")
        // Our own /metrics reports; brokers need not be asked for telemetry subscriptions.
        .set("enable.metrics.push", "false")
        // A topic that is missing is created by us, with our settings, or not at all.
        .set("allow.auto.create.topics", "false")
        .set("statistics.interval.ms", STATISTICS_INTERVAL.as_millis().to_string());
    settings
}

/// A producer of span records.
pub(super) fn producer(
    kafka: &KafkaConfig,
    client_id: &str,
    record_bytes_max: usize,
) -> ClientConfig {
    let mut settings = common(kafka, client_id);
    // The client's own size check is on key + value + framing of one record, uncompressed.
    let message_bytes_max = (record_bytes_max + RECORD_OVERHEAD_BYTES).max(kafka.batch_bytes);
    settings
        // The promise: acknowledged means on every in-sync replica.
        .set("acks", "all")
        .set("enable.idempotence", kafka.idempotence.to_string())
        // A record is retried until its timeout, never given up earlier.
        .set("retries", i32::MAX.to_string())
        // Ends before our reply deadline, which ends before the client's.
        .set("message.timeout.ms", MESSAGE_TIMEOUT.as_millis().to_string())
        .set("request.timeout.ms", "5000")
        .set("socket.timeout.ms", "6000")
        .set("linger.ms", (kafka.linger.as_secs_f64() * 1e3).to_string())
        .set("batch.size", kafka.batch_bytes.to_string())
        .set("batch.num.messages", "10000")
        .set("message.max.bytes", message_bytes_max.to_string())
        .set("compression.type", compression(kafka.compression))
        // Second line only: the byte budget of receive/ is the first.
        .set("queue.buffering.max.kbytes", PRODUCER_QUEUE_KIB.to_string())
        .set("queue.buffering.max.messages", PRODUCER_QUEUE_RECORDS.to_string())
        // Several partitions' requests per turn of the broker thread instead of one.
        .set("queue.buffering.backpressure.threshold", "16")
        // Every record is reported: the acknowledgement counts successes.
        .set("delivery.report.only.error", "false")
        // New partitions and moved leaders are noticed without traffic failing first.
        .set("topic.metadata.refresh.interval.ms", "30000");
    apply(&mut settings, &kafka.producer_overrides);
    settings
}

/// Applies the operator's overrides.
pub(super) fn apply(settings: &mut ClientConfig, overrides: &[(String, Secret)]) {
    for (key, secret) in overrides {
        settings.set(key, &secret.value);
    }
}

fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}
