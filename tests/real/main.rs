//! The pipeline against the real Apache Kafka and the real Jaeger. Run it with `make test-real`.
//!
//! One binary, so that librdkafka is linked once and the parts are started once. Nothing here is
//! skipped: without Java, Maven or Go these tests fail and say which one is missing.

/// The Collector in its default settings and the pipeline, in the same scenes.
mod beside;
/// What is sent arrives in Kafka and in Jaeger, field for field.
mod delivery;
/// Nothing acknowledged is lost when the pipeline or the broker ends under load.
mod endings;
/// Records that are no requests, between good ones.
mod framing;
/// A consumer group that changes under load, and a topic that changes under it.
mod groups;
/// The Collector writes what we read, reads what we write, and takes what we forward.
mod interop;
/// Dead letters as an operator finds and replays them.
mod letters;
/// Attributes nested as deep as they may be.
mod nesting;
/// A backend that is away for long.
mod outage;
/// What the real backends answer when something is wrong.
mod outcomes;
/// The HTTP pages of a working pipeline.
mod pages;
/// Several processes share the work: by consumer group, and by role.
mod processes;
/// The support's own promises: what it starts works, and survives what tests do to it.
mod smoke;
/// Starts and stops the real parts.
mod support;
/// The topics at start: created when missing, left alone when there.
mod topics;
