//! Gets, starts and stops the real parts: Kafka, Jaeger, the Collector, telemetrygen and our own
//! binary.
//!
//! Everything listens on loopback at ports of its own and keeps its files in one folder under the
//! system's temporary folder. Nothing outlives the test binary, however that ends: see [`reaper`].
//! Failures are panics that carry the tail of the failed program's log.

pub(crate) mod collector;
pub(crate) mod http;
pub(crate) mod jaeger;
pub(crate) mod kafka;
pub(crate) mod load;
pub(crate) mod otlp;
pub(crate) mod parts;
pub(crate) mod pipeline;
pub(crate) mod placed_span;
pub(crate) mod port;
pub(crate) mod process;
pub(crate) mod promtool;
pub(crate) mod reaper;
pub(crate) mod scene;
pub(crate) mod sink;
pub(crate) mod tap;
pub(crate) mod telemetrygen;
pub(crate) mod topics;
pub(crate) mod wait;
