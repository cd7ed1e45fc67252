//! What the tests share: clients, backends and pages, the pipeline as a library
//! and as a program, a mock Kafka.

pub(crate) mod backend;
pub(crate) mod forwarding;
pub(crate) mod http;
pub(crate) mod mock_kafka;
pub(crate) mod nobody;
pub(crate) mod otlp_client;
pub(crate) mod pipeline;
pub(crate) mod program;
pub(crate) mod receiving;
pub(crate) mod settings;
pub(crate) mod spans;

use std::time::{Duration, Instant};

/// Waits until `condition` holds; fails the test, naming `what`, after a minute.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
