//! The program itself: run to its end, or started, signalled and watched.

use std::{
    fs,
    net::SocketAddr,
    process::{Child, Command, Output, Stdio},
};

use tempfile::NamedTempFile;

use super::{eventually, http, otlp_client::OtlpClient};

/// Runs the program with these arguments and variables, and no others, to its end.
pub(crate) fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    command(variables).args(arguments).output().unwrap()
}

fn command(variables: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_otel-event-pipeline"));
    command.env_clear().envs(variables.iter().copied()).stdin(Stdio::null());
    command
}

/// Ports that the system chooses.
const ANY_PORTS: [(&str, &str); 2] = [("GRPC_PORT", "0"), ("HTTP_PORT", "0")];

/// The running program; killed, and its log shown after a failure, when dropped.
pub(crate) struct Program {
    child: Child,
    log: NamedTempFile,
}

impl Program {
    /// Starts it on ports that the system chooses, and waits until it is ready.
    pub(crate) fn start(variables: &[(&str, &str)]) -> Self {
        let program = Self::start_unready(variables);
        eventually("the program is ready", || program.page("/readyz").0 == 200);
        program
    }

    /// Starts it and waits until its ports are open.
    pub(crate) fn start_unready(variables: &[(&str, &str)]) -> Self {
        let mut command = command(&ANY_PORTS);
        command.envs(variables.iter().copied());
        Self::watch(command)
    }

    /// Starts it with so many file descriptors beside those it inherits from this process, and
    /// waits until it is ready.
    pub(crate) fn start_with_descriptors(count: usize, variables: &[(&str, &str)]) -> Self {
        let program = Self::start_unready_with_descriptors(count, variables);
        eventually("the program is ready", || program.page("/readyz").0 == 200);
        program
    }

    /// The same, waiting until its ports are open only.
    pub(crate) fn start_unready_with_descriptors(count: usize, variables: &[(&str, &str)]) -> Self {
        // The limit is on their numbers, and what is inherited leaves gaps.
        let limit = format!(
            "n=0 free=0; while [ $free -lt {count} ]; do \
             [ -e /dev/fd/$n ] || free=$((free + 1)); n=$((n + 1)); done; \
             ulimit -n $n && exec \"$0\""
        );
        let mut limited = Command::new("sh");
        limited.args(["-c", &limit]);
        limited.arg(command(&[]).get_program());
        let path = std::env::var("PATH").unwrap();
        limited
            .env_clear()
            .env("PATH", path)
            .envs(ANY_PORTS)
            .envs(variables.iter().copied())
            .stdin(Stdio::null());
        Self::watch(limited)
    }

    fn watch(mut command: Command) -> Self {
        let log = NamedTempFile::new().unwrap();
        let child = command.stderr(log.reopen().unwrap()).spawn().unwrap();
        let program = Self { child, log };
        eventually("the start is logged", || program.address("http").is_some());
        program
    }

    /// One page: status and text.
    pub(crate) fn page(&self, path: &str) -> (u16, String) {
        http::get(self.address("http").unwrap(), path)
    }

    /// One sample of `/metrics`, 0 when it is not there.
    pub(crate) fn metric(&self, sample: &str) -> f64 {
        let (_, text) = self.page("/metrics");
        let line = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
        line.map_or(0.0, |value| value.parse().unwrap())
    }

    /// Where the OTLP port is.
    pub(crate) fn otlp_address(&self) -> SocketAddr {
        self.address("otlp").unwrap()
    }

    /// A connection to the OTLP port.
    pub(crate) fn client(&self) -> OtlpClient {
        OtlpClient::connect(self.otlp_address())
    }

    /// Changes how many descriptors it may have from now on; what it may have had.
    #[cfg(target_os = "linux")]
    pub(crate) fn limit_descriptors(&self, current: Option<u64>) -> Option<u64> {
        use rustix::process::{Pid, Resource, Rlimit, getrlimit, prlimit};
        let pid = Pid::from_child(&self.child);
        // Nobody but root can raise what it has lowered: the upper limit stays.
        let maximum = getrlimit(Resource::Nofile).maximum;
        prlimit(Some(pid), Resource::Nofile, Rlimit { current, maximum }).unwrap().current
    }

    /// Sends SIGTERM.
    pub(crate) fn terminate(&self) {
        // The standard library sends SIGKILL only; every sh has `kill`.
        let kill = ["-c", "kill -s TERM \"$0\"", &self.child.id().to_string()];
        assert!(Command::new("sh").args(kill).status().unwrap().success());
    }

    /// Waits for its end and gives the exit code.
    pub(crate) fn exit_code(&mut self) -> Option<i32> {
        let mut status = None;
        eventually("the program ends", || {
            status = self.child.try_wait().unwrap();
            status.is_some()
        });
        status.and_then(|status| status.code())
    }

    /// Everything it has logged.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.log.path()).unwrap()
    }

    /// An address from the start block.
    fn address(&self, field: &str) -> Option<SocketAddr> {
        let log = self.log();
        // The line may be half written.
        let (start, _) = log.rsplit_once('\n')?;
        let (_, rest) = start.split_once(&format!(" {field}="))?;
        rest.split_whitespace().next()?.parse().ok()
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the program's log:\n{}", self.log());
        }
        // It may have ended: both calls then change nothing.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}
