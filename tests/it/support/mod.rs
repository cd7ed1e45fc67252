//! What the tests share: a scripted OTLP backend, a mock Kafka, settings.

pub(crate) mod backend;
pub(crate) mod mock_kafka;
pub(crate) mod settings;

use std::time::{Duration, Instant};

/// Waits until `condition` holds; fails the test, naming `what`, after a minute.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < deadline, "not within a minute: {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}
