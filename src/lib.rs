//! OpenTelemetry traces through Kafka.

pub mod admin;
pub mod config;
pub mod health;
pub mod internal_telemetry;
pub mod limits;
pub mod threads;
