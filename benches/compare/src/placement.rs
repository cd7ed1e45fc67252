//! Who runs on which core: the measured system alone on the first, everything else on the others.
//!
//! Without this a system that is slow because its generator took its core would
//! look slow by itself.

use std::{
    path::Path,
    process::{self, Command},
    thread,
};

/// The core of whatever is measured.
const SYSTEM_CORE: &str = "0";
/// For a thousand connections, on both sides.
const FILES_MAX: &str = "--nofile=8192:";

/// Where things run.
#[derive(Clone, Debug)]
pub(crate) struct Placement {
    other_cores: String,
}

impl Placement {
    /// Moves this process, and with it all that it will start, off the core of what is measured.
    pub(crate) fn take() -> Result<Self, String> {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let other_cores = match cores {
            1 => return Err("one core is too few: what measures would slow the measured".into()),
            2 => "1".to_owned(),
            _ => format!("1-{}", cores - 1),
        };
        let own = process::id().to_string();
        run("taskset", &["--all-tasks", "--cpu-list", "--pid", &other_cores, &own])?;
        run("prlimit", &["--pid", &own, FILES_MAX])?;
        Ok(Self { other_cores })
    }

    /// A command that runs `program` alone on its core. Its process is the program's own.
    pub(crate) fn measured(program: &Path) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", SYSTEM_CORE]).arg(program);
        command
    }

    /// For the manifest.
    pub(crate) fn describe(&self) -> String {
        let Self { other_cores } = self;
        format!("measured system on core {SYSTEM_CORE}; broker, loadgen and sink on {other_cores}")
    }
}

fn run(program: &str, arguments: &[&str]) -> Result<(), String> {
    let run = Command::new(program).args(arguments).output();
    let run = run.map_err(|error| format!("{program} (Debian package util-linux): {error}"))?;
    let errors = String::from_utf8_lossy(&run.stderr);
    if run.status.success() { Ok(()) } else { Err(format!("{program}: {errors}")) }
}
