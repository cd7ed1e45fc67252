//! OpenTelemetry traces through Kafka.

pub mod config;
pub mod health;
pub mod healthcheck;
pub mod internal_telemetry;
pub mod limits;
pub mod logging;
pub mod threads;
