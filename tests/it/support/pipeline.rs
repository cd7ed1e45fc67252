//! The pipeline as a library, on ports of its own, ended with the test.

use std::{
    net::SocketAddr,
    time::{Duration, Instant},
};

use otel_event_pipeline::{
    config::Config,
    process::{Ending, Process},
};

use super::{http, otlp_client::OtlpClient};

/// A pipeline under test.
pub(crate) struct Pipeline {
    process: Option<Process>,
    grpc: Option<SocketAddr>,
    http: SocketAddr,
}

impl Pipeline {
    /// Starts it with `settings` over what every test wants, and waits until it is ready.
    pub(crate) fn start(settings: &[(&str, &str)]) -> Self {
        let pipeline = Self::start_unready(settings);
        pipeline.await_ready();
        pipeline
    }

    /// Starts it without waiting.
    pub(crate) fn start_unready(settings: &[(&str, &str)]) -> Self {
        let defaults = [
            ("GRPC_PORT", "0"),
            ("HTTP_PORT", "0"),
            ("ROLE", "receive"),
            ("SHUTDOWN_DEADLINE", "20s"),
        ];
        let pairs = defaults.iter().chain(settings).map(|(name, value)| (*name, *value));
        let process = Process::start(Config::from_pairs(pairs).unwrap()).unwrap();
        let (grpc, http) = (process.grpc_address(), process.http_address());
        Self { process: Some(process), grpc, http }
    }

    /// Waits until `/readyz` says so.
    pub(crate) fn await_ready(&self) {
        self.await_page("/readyz?verbose", |status, _| status == 200);
    }

    /// Waits until a page is as wanted, and gives its text.
    pub(crate) fn await_page(&self, path: &str, wanted: impl Fn(u16, &str) -> bool) -> String {
        let deadline = Instant::now() + Duration::from_secs(60);
        loop {
            let (status, text) = self.page(path);
            if wanted(status, &text) {
                return text;
            }
            assert!(Instant::now() < deadline, "{path} stays {status}: {text}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// One page: status and text.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        http::get(self.http, path)
    }

    /// One sample of `/metrics`, 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let (_, text) = self.page("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Where the OTLP port is.
    pub(crate) fn otlp_address(&self) -> SocketAddr {
        self.grpc.expect("the role receives")
    }

    /// A connection to the OTLP port.
    pub(crate) fn client(&self) -> OtlpClient {
        OtlpClient::connect(self.otlp_address())
    }
}

impl Drop for Pipeline {
    fn drop(&mut self) {
        if let Some(process) = self.process.take() {
            let ending = process.stop();
            assert!(std::thread::panicking() || ending == Ending::Orderly, "{ending:?}");
        }
    }
}
