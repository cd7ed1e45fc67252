//! librdkafka's own log lines and errors, as events of ours.
//!
//! Called on whichever thread polls the client. librdkafka limits its own rate.

use rdkafka::config::RDKafkaLogLevel;

/// Passes one of librdkafka's lines on.
pub(super) fn log(client: &str, level: RDKafkaLogLevel, facility: &str, message: &str) {
    match level {
        RDKafkaLogLevel::Emerg
        | RDKafkaLogLevel::Alert
        | RDKafkaLogLevel::Critical
        | RDKafkaLogLevel::Error => tracing::error!(client, facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Warning => tracing::warn!(client, facility, "librdkafka: {message}"),
        RDKafkaLogLevel::Notice | RDKafkaLogLevel::Info => {
            tracing::info!(client, facility, "librdkafka: {message}");
        }
        RDKafkaLogLevel::Debug => tracing::debug!(client, facility, "librdkafka: {message}"),
    }
}
