//! OpenTelemetry traces through Kafka.

pub mod config;
pub mod forward;
pub mod health;
pub mod internal_telemetry;
pub mod kafka;
pub mod limits;
pub mod otlp;
pub mod threads;
