//! Our own binary as a process, and the workspace's other programs beside it.

use std::{
    env, fs,
    net::{Ipv4Addr, SocketAddr},
    path::{Path, PathBuf},
    process::{Command, ExitStatus},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use crate::{
    http::{self, Answer},
    port,
    process::Process,
    reaper, wait,
};

/// A running pipeline; it ends when dropped.
pub struct Pipeline {
    program: Vec<String>,
    settings: Vec<(String, String)>,
    process: Process,
    grpc_port: u16,
    http_port: u16,
}

impl Pipeline {
    /// Starts `binary` with these variables and no others, and waits for `/readyz`.
    pub fn start(binary: &str, settings: &[(&str, &str)]) -> Self {
        for _ in 0..START_ATTEMPTS {
            let mut pipeline = Self::run(&[binary], settings);
            if pipeline.await_ready() {
                return pipeline;
            }
        }
        panic!("the pipeline found no free ports in {START_ATTEMPTS} attempts");
    }

    /// Starts a program with its arguments, whose last is the binary, and does not wait for it.
    pub fn launch(program: &[&str], settings: &[(&str, &str)]) -> Self {
        Self::run(program, settings)
    }

    /// Starts it again with its old settings at its old ports, once it has ended.
    pub fn launch_again(&mut self) {
        self.process = start_process(&self.program, &self.settings);
    }

    /// True once its HTTP pages answer, whatever they say.
    pub fn answers(&self) -> bool {
        http::get(self.http_port, "/healthz").is_ok()
    }

    /// True when `/readyz` says so.
    pub fn is_ready(&self) -> bool {
        http::get(self.http_port, "/readyz").is_ok_and(|answer| answer.status == 200)
    }

    /// True when `/healthz` and `/readyz` both say so.
    pub fn is_green(&self) -> bool {
        let healthy = http::get(self.http_port, "/healthz").is_ok_and(|page| page.status == 200);
        healthy && self.is_ready()
    }

    /// `http://host:port` of its OTLP receiver.
    pub fn otlp_endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// The same as an address.
    pub fn otlp_address(&self) -> SocketAddr {
        SocketAddr::from((Ipv4Addr::LOCALHOST, self.grpc_port))
    }

    /// One of its HTTP pages.
    pub fn http_get(&self, path: &str) -> Answer {
        http::get(self.http_port, path).unwrap_or_else(|error| panic!("GET {path}: {error}"))
    }

    /// The sum of a metric over its labels, or one sample of it when `name` ends with all of them,
    /// such as `{outcome="failed"}`; `name` is without the project's prefix.
    pub fn metric(&self, name: &str) -> f64 {
        let page = self.http_get("/metrics").body;
        let name = format!("otel_pipeline_{name}");
        let samples: Vec<f64> = page
            .lines()
            .filter_map(|line| line.strip_prefix(&name))
            .filter(|rest| rest.starts_with([' ', '{']))
            .filter_map(|rest| rest.rsplit(' ').next()?.parse().ok())
            .collect();
        assert!(!samples.is_empty(), "no metric {name} in\n{page}");
        samples.iter().sum()
    }

    /// The most memory that it held at a time, where Linux tells.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        self.process.memory_bytes_max()
    }

    /// The memory that it holds now, where Linux tells.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.process.memory_bytes()
    }

    /// Everything it has logged.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Asks it to end in order.
    pub fn sigterm(&self) {
        self.process.sigterm();
    }

    /// Ends it at once.
    pub fn kill_9(&mut self) {
        self.process.kill_9();
    }

    /// Waits for its end and returns its exit status.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        self.process.wait_exit(within)
    }

    /// True while it has not ended.
    pub fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    fn run(program: &[&str], settings: &[(&str, &str)]) -> Self {
        let (grpc_port, http_port) = (port::free(), port::free());
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut all = vec![ported("GRPC_PORT", grpc_port), ported("HTTP_PORT", http_port)];
        all.extend(settings.iter().map(own));
        let program: Vec<String> = program.iter().map(|part| (*part).to_owned()).collect();
        let process = start_process(&program, &all);
        Self { program, settings: all, process, grpc_port, http_port }
    }

    /// True once it is ready; false when it ended for want of a port.
    fn await_ready(&mut self) -> bool {
        let ready = wait::poll(READY_WITHIN, || {
            if let Some(status) = self.process.ended() {
                let collided = self.process.log().to_lowercase().contains("address already in use");
                assert!(collided, "it ended: {status}\n{}", self.process.log_tail());
                return Some(false);
            }
            let answer = http::get(self.http_port, "/readyz").ok()?;
            (answer.status == 200).then_some(true)
        });
        ready.unwrap_or_else(|| {
            let page = http::get(self.http_port, "/readyz?verbose");
            panic!("not ready within {READY_WITHIN:?}: {page:?}\n{}", self.process.log_tail())
        })
    }
}

/// Starts a program of the workspace, `test-app` or `loadgen`, that was built beside `binary`.
pub fn start_sibling(binary: &str, program: &str, settings: &[(&str, &str)]) -> Process {
    let path: PathBuf = Path::new(binary).with_file_name(program);
    assert!(path.exists(), "{} is not built: run `make test-real`", path.display());
    start_logged(clean_command(&path).envs(settings.iter().copied()), program)
}

fn ported(name: &str, port: u16) -> (String, String) {
    (name.to_owned(), port.to_string())
}

fn start_process(program: &[String], settings: &[(String, String)]) -> Process {
    let mut command = clean_command(Path::new(&program[0]));
    command.args(&program[1..]).envs(settings.iter().map(|(name, value)| (name, value)));
    start_logged(&mut command, "pipeline")
}

/// No setting of the developer's own shell may reach what is tested.
fn clean_command(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env_clear().envs(env::var_os("PATH").map(|path| ("PATH", path)));
    command
}

fn start_logged(command: &mut Command, name: &str) -> Process {
    static STARTED: AtomicU32 = AtomicU32::new(0);
    let number = STARTED.fetch_add(1, Ordering::Relaxed);
    let folder = reaper::folder().join("ours");
    fs::create_dir_all(&folder).expect("the folder of this run is writable");
    Process::start(command, &folder.join(format!("{name}-{number}.log")))
}

/// Another process can take a port between our look and the bind.
const START_ATTEMPTS: u32 = 3;
const READY_WITHIN: Duration = Duration::from_secs(60);
