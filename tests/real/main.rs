//! The pipeline against the real Apache Kafka and the real Jaeger. Run it with `make test-real`.
//!
//! One binary, so that librdkafka is linked once and the parts are started once. Nothing here is
//! skipped: without Java, Maven or Go these tests fail and say which one is missing.

/// The support's own promises: what it starts works, and survives what tests do to it.
mod smoke;
/// Starts and stops the real parts.
mod support;
