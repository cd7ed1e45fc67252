//! One started program: its output in a file, its signals, its end.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, ExitStatus, Stdio},
    thread,
    time::Duration,
};

use crate::{reaper, wait};

/// Lines of a log that a failure shows.
const TAIL_LINES: usize = 60;

/// A running program, or one that has ended and was not yet replaced. Killed when dropped.
pub struct Process {
    child: Child,
    log: PathBuf,
}

impl Process {
    /// Starts `command` with everything it prints appended to `log`.
    pub fn start(command: &mut Command, log: &Path) -> Self {
        let output = File::options()
            .create(true)
            .append(true)
            .open(log)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", log.display()));
        let errors = output.try_clone().expect("a file can be duplicated");
        let child = command
            .stdin(Stdio::null())
            .stdout(output)
            .stderr(errors)
            .spawn()
            .unwrap_or_else(|error| panic!("cannot start {command:?}: {error}"));
        reaper::enlist(child.id());
        Self { child, log: log.to_owned() }
    }

    /// Its process id, as /proc names it.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, if it has ended.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().expect("our own child can be waited for")
    }

    /// Asks it to end (SIGTERM).
    pub fn sigterm(&self) {
        self.signal("TERM");
    }

    /// Sends it a signal by its name, such as `USR1`.
    pub fn signal(&self, name: &str) {
        // The standard library sends SIGKILL only; every sh has `kill`.
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.child.id().to_string()])
            .status()
            .expect("every Unix has sh");
        assert!(sent.success(), "SIG{name} was not delivered to {:?}", self.child);
    }

    /// Ends it at once (SIGKILL): no handler runs, nothing is flushed.
    pub fn kill_9(&mut self) {
        self.child.kill().expect("our own child can be killed");
        self.child.wait().expect("our own child can be waited for");
    }

    /// The most memory that it held at a time, where Linux tells.
    pub fn memory_bytes_max(&self) -> Option<u64> {
        self.memory("VmHWM:")
    }

    /// The memory that it holds now, where Linux tells.
    pub fn memory_bytes(&self) -> Option<u64> {
        self.memory("VmRSS:")
    }

    fn memory(&self, name: &str) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        let kib: u64 = line.trim().strip_suffix(" kB")?.parse().ok()?;
        Some(kib * 1024)
    }

    /// Waits for its end; panics with its log when that does not come within `within`.
    pub fn wait_exit(&mut self, within: Duration) -> ExitStatus {
        wait::poll(within, || self.ended())
            .unwrap_or_else(|| panic!("still running after {within:?}\n{}", self.log_tail()))
    }

    /// SIGTERM, then SIGKILL for what has not ended within `within`.
    pub fn stop(&mut self, within: Duration) {
        if self.ended().is_none() {
            self.sigterm();
        }
        if wait::poll(within, || self.ended()).is_none() {
            self.kill_9();
        }
    }

    /// Everything it printed so far.
    pub fn log(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("(no log: {error})"),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The end of what it printed, under the name of its file.
    pub fn log_tail(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        let tail = &lines[lines.len().saturating_sub(TAIL_LINES)..];
        format!("--- end of {} ---\n{}\n", self.log.display(), tail.join("\n"))
    }
}

impl Drop for Process {
    #[expect(clippy::print_stderr, reason = "the harness shows it beneath the failed test")]
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.log_tail());
        }
        // It may have ended already: both calls then change nothing.
        self.child.kill().ok();
        self.child.wait().ok();
        reaper::strike(self.child.id());
    }
}
