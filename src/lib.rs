//! OpenTelemetry traces through Kafka.

pub mod config;
pub mod health;
pub mod internal_telemetry;
pub mod kafka;
pub mod limits;
pub mod threads;
