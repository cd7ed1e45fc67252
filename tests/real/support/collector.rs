//! The OpenTelemetry Collector: the other side of every topic and the other backend that users run.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use super::{parts, port, process::Process, reaper, wait};

/// A running Collector; it ends when dropped.
pub(crate) struct Collector {
    process: Process,
    otlp_port: u16,
}

/// How its Kafka exporter writes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Publishing {
    /// Split by trace id and keyed with it, or whole requests without a key.
    pub(crate) by_trace_id: bool,
    /// `none`, `gzip`, `snappy`, `lz4` or `zstd`.
    pub(crate) compression: &'static str,
}

impl Collector {
    /// OTLP in, Kafka out.
    pub(crate) fn publish(brokers: &str, topic: &str, how: Publishing) -> Self {
        let by_trace_id = how.by_trace_id.to_string();
        let settings = [
            ("BROKERS", brokers),
            ("TOPIC", topic),
            ("BY_TRACE_ID", &by_trace_id),
            ("COMPRESSION", how.compression),
        ];
        Self::start("collector", "publish.yaml", &settings)
    }

    /// The same by Jaeger, which is a Collector too.
    pub(crate) fn publish_as_jaeger(brokers: &str, topic: &str) -> Self {
        Self::start("jaeger", "publish.yaml", &[("BROKERS", brokers), ("TOPIC", topic)])
    }

    /// Kafka in, OTLP out to `endpoint`.
    pub(crate) fn consume(brokers: &str, topic: &str, group: &str, endpoint: &str) -> Self {
        let settings =
            [("BROKERS", brokers), ("TOPIC", topic), ("GROUP", group), ("BACKEND", endpoint)];
        Self::start("collector", "consume.yaml", &settings)
    }

    /// Kafka in, OTLP out to `endpoint`, as it does by default; see beside.yaml.
    pub(crate) fn by_default(
        brokers: &str,
        topic: &str,
        group: &str,
        endpoint: &str,
        retries_last: &str,
    ) -> Self {
        let settings = [
            ("BROKERS", brokers),
            ("TOPIC", topic),
            ("GROUP", group),
            ("BACKEND", endpoint),
            ("RETRIES_LAST", retries_last),
        ];
        Self::start("collector", "beside.yaml", &settings)
    }

    /// Ends it at once.
    pub(crate) fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// OTLP in, OTLP out to `endpoint`.
    pub(crate) fn relay(endpoint: &str) -> Self {
        Self::start("collector", "relay.yaml", &[("BACKEND", endpoint)])
    }

    /// OTLP in for metrics alone.
    pub(crate) fn metrics_only(endpoint: &str) -> Self {
        Self::start("collector", "metrics_only.yaml", &[("BACKEND", endpoint)])
    }

    /// `http://host:port` of its OTLP receiver, in the roles that have one.
    pub(crate) fn otlp_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_port)
    }

    /// Starts the program `part` with one of the configurations that lie beside its pins.
    fn start(part: &str, config: &str, settings: &[(&str, &str)]) -> Self {
        let program = parts::folder(part).join(part);
        let config = format!("{}/tests/real/parts/{part}/{config}", env!("CARGO_MANIFEST_DIR"));
        for _ in 0..START_ATTEMPTS {
            let mut collector = Self::run(&program, &config, settings);
            if collector.await_ready() {
                return collector;
            }
        }
        panic!("the Collector found no free port in {START_ATTEMPTS} attempts");
    }

    fn run(program: &Path, config: &str, settings: &[(&str, &str)]) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = reaper::folder().join("collectors");
        fs::create_dir_all(&folder).expect("the folder of this run is writable");
        let otlp_port = port::free();
        let mut command = Command::new(program);
        command
            .arg("--config")
            .arg(format!("file:{config}"))
            .env("OTLP_PORT", otlp_port.to_string())
            .envs(settings.iter().copied());
        let process = Process::start(&mut command, &folder.join(format!("{number}.log")));
        Self { process, otlp_port }
    }

    /// True once every part of it runs; false when it ended for want of a port.
    fn await_ready(&mut self) -> bool {
        wait::wait_for("the Collector", READY_WITHIN, || {
            let log = self.process.log();
            if let Some(status) = self.process.ended() {
                let collided = log.contains("address already in use");
                assert!(collided, "the Collector ended: {status}\n{}", self.process.log_tail());
                return Some(false);
            }
            log.contains("Everything is ready").then_some(true)
        })
    }
}

/// Another process can take a port between our look and the Collector's bind.
const START_ATTEMPTS: u32 = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);
