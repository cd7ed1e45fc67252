//! OpenTelemetry traces through Kafka: received over OTLP, split by trace id without decoding,
//! published to Kafka, and forwarded from there to any OTLP backend.
//!
//! The program is a thin shell around [`process::Process`]; a test or a demo can hold the same
//! pipeline in its own process.
//!
#![doc = include_str!("../docs/ARCHITECTURE.md")]

// In the order the data meets them.
pub mod receive;

pub mod publish;

pub mod otlp;

pub mod kafka;

pub mod forward;

// Beside the data.
pub mod admin;
pub mod health;
pub mod internal_telemetry;

#[cfg(test)]
mod corpus;

// Before and after it.
pub mod check;
pub mod cli;
pub mod config;
pub mod dlq;
pub mod healthcheck;
pub mod limits;
pub mod logging;
pub mod process;
pub mod threads;
