//! Starts one of the measured systems on its core and waits until it is ready.

use std::{
    env,
    net::TcpStream,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use testbed::{http, port, process::Process, reaper, wait};

use crate::{
    placement::Placement,
    plan::{PARTITIONS, Path, Shape, System},
    programs::Programs,
};

/// What a system is connected to.
#[derive(Clone, Debug)]
pub(crate) struct Site<'a> {
    pub(crate) programs: &'a Programs,
    pub(crate) brokers: &'a str,
    pub(crate) topic: &'a str,
    /// `host:port` of the backend; empty for systems that have none.
    pub(crate) backend: &'a str,
    pub(crate) path: Path,
    pub(crate) shape: Shape,
}

/// A running system; it ends when dropped.
pub(crate) struct Running {
    process: Process,
    port: u16,
}

/// How a program tells that it is ready.
#[derive(Clone, Copy)]
enum Readiness {
    /// `/readyz` on this port.
    Http(u16),
    Log(&'static str),
    /// It listens on the port that it was given.
    Listening,
    /// It runs.
    Started,
}

impl Running {
    /// Starts `system` alone on the measured core.
    pub(crate) fn start(system: System, site: &Site<'_>) -> Self {
        retry(|port| {
            let (mut command, ready) = command(system, site, port);
            Self::run(&mut command, port, ready)
        })
    }

    /// The same without waiting: a forwarder may have drained a topic before it says that it is
    /// ready.
    pub(crate) fn launch(system: System, site: &Site<'_>) -> Self {
        retry(|port| {
            let (mut command, _) = command(system, site, port);
            Self::run(&mut command, port, Readiness::Started)
        })
    }

    /// The pipeline's receiving half on the other cores: it fills topics for forwarders.
    pub(crate) fn feeder(site: &Site<'_>) -> Self {
        retry(|port| {
            let http_port = port::free();
            let mut command = Command::new(&site.programs.pipeline);
            ours(&mut command, "trace", "none", &Site { path: Path::Receive, ..site.clone() });
            command.env("GRPC_PORT", port.to_string()).env("HTTP_PORT", http_port.to_string());
            Self::run(&mut command, port, Readiness::Http(http_port))
        })
    }

    /// `http://host:port` of its OTLP receiver.
    pub(crate) fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Its OTLP receiver's port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Its process.
    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// What a floor program says that it has done.
    pub(crate) fn count(&self) -> u64 {
        let log = self.process.log();
        let last = log.lines().rev().find_map(|line| line.strip_prefix("count "));
        last.and_then(|count| count.parse().ok()).unwrap_or(0)
    }

    /// `None` when it ended for want of its port.
    fn run(command: &mut Command, port: u16, ready: Readiness) -> Option<Self> {
        static STARTED: AtomicU32 = AtomicU32::new(0);
        let number = STARTED.fetch_add(1, Ordering::Relaxed);
        let log = reaper::folder().join(format!("system-{number}.log"));
        let mut running = Self { process: Process::start(command, &log), port };
        let started = wait::wait_for("a system to be ready", READY_WITHIN, || {
            if let Some(status) = running.process.ended() {
                let log = running.process.log().to_lowercase();
                let collided = log.contains("address already in use");
                assert!(collided, "it ended: {status}\n{}", running.process.log_tail());
                return Some(false);
            }
            running.is_ready(ready).then_some(true)
        });
        started.then_some(running)
    }

    fn is_ready(&self, ready: Readiness) -> bool {
        match ready {
            Readiness::Http(port) => {
                http::get(port, "/readyz").is_ok_and(|answer| answer.status == 200)
            }
            Readiness::Log(words) => self.process.log().contains(words),
            Readiness::Listening => TcpStream::connect(("127.0.0.1", self.port)).is_ok(),
            Readiness::Started => true,
        }
    }
}

/// A sink on the other cores that counts spans by their length prefixes.
pub(crate) fn counting_sink(programs: &Programs) -> Running {
    retry(|port| {
        let mut command = Command::new(&programs.floor);
        command.args(["sink", "--listen", &format!("127.0.0.1:{port}")]);
        Running::run(&mut command, port, Readiness::Listening)
    })
}

fn retry(mut start: impl FnMut(u16) -> Option<Running>) -> Running {
    let started = (0..START_ATTEMPTS).find_map(|_| start(port::free()));
    started.unwrap_or_else(|| panic!("no free port in {START_ATTEMPTS} attempts"))
}

/// How `system` is started with its receiver at `port`.
fn command(system: System, site: &Site<'_>, port: u16) -> (Command, Readiness) {
    match system {
        System::Ours { record_mode, compression } => {
            let http_port = port::free();
            let mut command = Placement::measured(&site.programs.pipeline);
            ours(&mut command, record_mode, compression, site);
            command.env("GRPC_PORT", port.to_string()).env("HTTP_PORT", http_port.to_string());
            (command, Readiness::Http(http_port))
        }
        System::Collector(file) => {
            let mut command = Placement::measured(&site.programs.collector);
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/peers");
            command
                .args(["--config", &format!("file:{folder}/{file}.yaml")])
                .env("OTLP_PORT", port.to_string())
                .env("BROKERS", site.brokers)
                .env("TOPIC", site.topic)
                .env("GROUP", group(site))
                .env("BACKEND", site.backend);
            (command, Readiness::Log("Everything is ready"))
        }
        _ => floor(system, site, port),
    }
}

fn floor(system: System, site: &Site<'_>, port: u16) -> (Command, Readiness) {
    let mut command = Placement::measured(&site.programs.floor);
    let listen = format!("127.0.0.1:{port}");
    let topic = ["--brokers", site.brokers, "--topic", site.topic];
    let partitions = ["--partitions".to_owned(), PARTITIONS.to_string()];
    let records = |record_mode: &str, command: &mut Command| {
        let (count, bytes) =
            (site.shape.records(record_mode), site.shape.record_bytes(record_mode));
        command.args(["--records-per-request", &count.to_string()]);
        command.args(["--record-bytes", &bytes.to_string()]);
    };
    let ready = match system {
        System::BareTonic => {
            command.args(["receive", "--listen", &listen]);
            return (command, Readiness::Listening);
        }
        System::BarePublish { record_mode } => {
            command.args(["publish", "--listen", &listen]);
            records(record_mode, &mut command);
            Readiness::Listening
        }
        System::BareProduce => {
            command.arg("produce");
            records("trace", &mut command);
            Readiness::Log("count ")
        }
        System::BareForward => {
            command.args(["forward", "--backend", &format!("http://{}", site.backend)]);
            Readiness::Log("forwarding")
        }
        _ => {
            command.arg("consume");
            Readiness::Log("consuming")
        }
    };
    command.args(topic).args(partitions);
    (command, ready)
}

/// The pipeline in its default settings, but for where things are and what the plan varies.
fn ours(command: &mut Command, record_mode: &str, compression: &str, site: &Site<'_>) {
    let role = match site.path {
        Path::Receive => "receive",
        Path::Forward => "forward",
        Path::EndToEnd => "all",
    };
    // No setting of the user's own shell may reach what is measured.
    command
        .env_clear()
        .envs(env::var_os("PATH").map(|path| ("PATH", path)))
        .env("ROLE", role)
        .env("KAFKA_BROKERS", site.brokers)
        .env("KAFKA_TOPIC", site.topic)
        .env("KAFKA_RECORD_MODE", record_mode)
        .env("KAFKA_COMPRESSION", compression)
        .env("KAFKA_CONSUMER_GROUP", group(site));
    if !site.backend.is_empty() {
        command.env("JAEGER_ENDPOINT", format!("http://{}", site.backend));
    }
}

/// A group of its own for every start: each reads its topic from the beginning.
fn group(site: &Site<'_>) -> String {
    static GROUPS: AtomicU32 = AtomicU32::new(0);
    format!("{}-{}", site.topic, GROUPS.fetch_add(1, Ordering::Relaxed))
}

/// Another process can take a port between our look and a program's bind.
const START_ATTEMPTS: u32 = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);
