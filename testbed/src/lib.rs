//! Starts, watches and ends the real programs that tests and benchmarks run: Kafka, the pipeline,
//! and whatever else is a process.
//!
//! Everything listens on loopback at ports of its own and keeps its files in one folder under the
//! system's temporary folder. Nothing outlives the program that started it, however that ends: see
//! [`reaper`]. Failures are panics that carry the tail of the failed program's log, because whoever
//! uses this is a test, or a harness that cannot go on.
//!
//! Never here: what a test expects, what a benchmark measures.

pub mod http;
pub mod kafka;
pub mod parts;
pub mod pipeline;
pub mod port;
pub mod process;
pub mod raw_http2;
pub mod reaper;
pub mod sample;
pub mod topics;
pub mod wait;
