//! Gets, starts and stops the real parts: Kafka, Jaeger, the Collector, telemetrygen and our own
//! binary.
//!
//! What starts, watches and ends programs is the crate `testbed`, which benchmarks use too; here is
//! what these tests need besides.

pub(crate) use testbed::{http, kafka, parts, pipeline, port, process, reaper, wait};

pub(crate) mod collector;
pub(crate) mod jaeger;
pub(crate) mod load;
pub(crate) mod otlp;
pub(crate) mod placed_span;
pub(crate) mod promtool;
pub(crate) mod scene;
pub(crate) mod sink;
pub(crate) mod tap;
pub(crate) mod telemetrygen;
