//! OpenTelemetry traces through Kafka.

pub mod admin;
pub mod config;
pub mod health;
pub mod healthcheck;
pub mod internal_telemetry;
pub mod kafka;
pub mod limits;
pub mod logging;
pub mod otlp;
pub mod publish;
pub mod receive;
pub mod threads;
