//! Our settings in librdkafka's words: each key set here, each with its reason.
//!
//! Nothing that matters is left to librdkafka's defaults. The operator's overrides come last; those
//! that would void the promise were refused when the configuration was read.

use rdkafka::ClientConfig;

use crate::{
    config::{Compression, Config, KafkaConfig, Secret},
    limits::{
        KIB, MESSAGE_TIMEOUT, PRODUCER_QUEUE_KIB, PRODUCER_QUEUE_RECORDS, RECORD_OVERHEAD_BYTES,
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
pub(super) fn producer(config: &Config, client_id: &str) -> ClientConfig {
    let kafka = &config.kafka;
    let mut settings = common(kafka, client_id);
    // The client's own size check is on key + value + framing of one record, uncompressed.
    let message_bytes_max =
        (config.publish.record_bytes_max + RECORD_OVERHEAD_BYTES).max(kafka.batch_bytes);
    let (queue_kib, queue_records) = queue_bounds(config.receive.bytes_in_flight_max);
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
        .set("queue.buffering.max.kbytes", queue_kib.to_string())
        .set("queue.buffering.max.messages", queue_records.to_string())
        // Several partitions' requests per turn of the broker thread instead of one; the
        // idempotent producer takes one only.
        .set("queue.buffering.backpressure.threshold", if kafka.idempotence { "1" } else { "16" })
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

/// KiB and records that one producer may queue: never what stops a request that the budget has let
/// in, also when all of the budget is in one producer and every record is as small as can be.
fn queue_bounds(bytes_in_flight_max: usize) -> (usize, usize) {
    let kib = PRODUCER_QUEUE_KIB.max(2 * bytes_in_flight_max.div_ceil(KIB));
    let records = PRODUCER_QUEUE_RECORDS.max(bytes_in_flight_max.div_ceil(RECORD_OVERHEAD_BYTES));
    (kib, records)
}

fn compression(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "none",
        Compression::Lz4 => "lz4",
        Compression::Zstd => "zstd",
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::{config::FromClientConfig, producer::BaseProducer};

    use super::*;
    use crate::limits::{BYTES_IN_FLIGHT_DEFAULT, BYTES_IN_FLIGHT_RANGE};

    /// Whatever budget is configured, librdkafka's queue is larger, and librdkafka takes the bound.
    #[test]
    fn queue_exceeds_every_budget() {
        for budget in [BYTES_IN_FLIGHT_DEFAULT, *BYTES_IN_FLIGHT_RANGE.end()] {
            let mut config = Config::default();
            config.receive.bytes_in_flight_max = budget;
            let settings = producer(&config, "test");
            let bound = |key| settings.get(key).unwrap().parse::<usize>().unwrap();
            assert!(bound("queue.buffering.max.kbytes") * KIB > budget);
            assert!(bound("queue.buffering.max.messages") * RECORD_OVERHEAD_BYTES >= budget);
            assert!(BaseProducer::from_config(&settings).is_ok());
        }
    }
}
