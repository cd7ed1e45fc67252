//! Jaeger v2 with its traces in memory: OTLP in, its query API out.

use std::{
    fs,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use opentelemetry_proto::tonic::trace::v1::TracesData;
use serde_json::Value;

use super::{http, parts, port, process::Process, reaper, wait};

/// How Jaeger is set up.
#[derive(Clone, Copy, Debug)]
pub(crate) struct JaegerOptions {
    /// Largest OTLP request in MiB; `None` leaves gRPC's default of 4 MiB.
    pub(crate) max_recv_msg_size_mib: Option<u32>,
}

/// A running Jaeger; it ends when dropped.
pub(crate) struct Jaeger {
    process: Process,
    otlp_port: u16,
    query_port: u16,
    health_port: u16,
}

impl Jaeger {
    /// Starts Jaeger and waits until it says that it is healthy.
    pub(crate) fn start(options: JaegerOptions) -> Self {
        let program = parts::folder("jaeger").join("jaeger");
        for _ in 0..START_ATTEMPTS {
            let mut jaeger = Self::run(Command::new(&program), options);
            if jaeger.await_ready() {
                return jaeger;
            }
        }
        panic!("Jaeger found no free ports in {START_ATTEMPTS} attempts");
    }

    /// `http://host:port` of its OTLP/gRPC receiver.
    pub(crate) fn otlp_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.otlp_port)
    }

    /// The JSON answer of its query API to `path`; `None` where it answers 404.
    pub(crate) fn query(&self, path: &str) -> Option<Value> {
        let answer = http::get(self.query_port, path)
            .unwrap_or_else(|error| panic!("Jaeger {path}: {error}\n{}", self.log_tail()));
        if answer.status == 404 {
            return None;
        }
        assert_eq!(answer.status, 200, "Jaeger {path}: {}", answer.body);
        let body = serde_json::from_str(&answer.body);
        Some(body.unwrap_or_else(|error| panic!("Jaeger {path}: {error}: {}", answer.body)))
    }

    /// Names of the services it has spans of.
    pub(crate) fn services(&self) -> Vec<String> {
        let answer = self.query("/api/v3/services").unwrap_or_default();
        let names = answer["services"].as_array().cloned().unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    }

    /// The spans of a trace as they were stored: raw, so that duplicates stay visible.
    pub(crate) fn trace(&self, trace_id: &str) -> Option<TracesData> {
        let mut answer = self.query(&format!("/api/v3/traces/{trace_id}?raw_traces=true"))?;
        let data = serde_json::from_value(answer["result"].take());
        Some(data.unwrap_or_else(|error| panic!("trace {trace_id} is not OTLP JSON: {error}")))
    }

    /// The end of its log, for a failed test.
    pub(crate) fn log_tail(&self) -> String {
        self.process.log_tail()
    }

    fn run(mut command: Command, options: JaegerOptions) -> Self {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let folder = reaper::folder().join(format!("jaeger-{number}"));
        fs::create_dir_all(&folder).expect("the folder of this run is writable");
        let [otlp_port, query_port, health_port] = [port::free(), port::free(), port::free()];
        command
            .arg("--config")
            .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/real/parts/jaeger/config.yaml"))
            .env("OTLP_PORT", otlp_port.to_string())
            .env("QUERY_HTTP_PORT", query_port.to_string())
            .env("QUERY_GRPC_PORT", port::free().to_string())
            .env("HEALTH_PORT", health_port.to_string())
            .env(
                "MAX_RECV_MSG_SIZE_MIB",
                options.max_recv_msg_size_mib.unwrap_or_default().to_string(),
            );
        let process = Process::start(&mut command, &folder.join("jaeger.log"));
        Self { process, otlp_port, query_port, health_port }
    }

    /// True once it is healthy; false when it ended for want of a port.
    fn await_ready(&mut self) -> bool {
        wait::wait_for("Jaeger", READY_WITHIN, || {
            if let Some(status) = self.process.ended() {
                let collided = self.process.log().contains("address already in use");
                assert!(collided, "Jaeger ended: {status}\n{}", self.process.log_tail());
                return Some(false);
            }
            let answer = http::get(self.health_port, "/status").ok()?;
            (answer.status == 200).then_some(true)
        })
    }
}

/// Another process can take a port between our look and Jaeger's bind.
const START_ATTEMPTS: u32 = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);
