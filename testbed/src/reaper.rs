//! Ends every started program when this process ends, however it ends.
//!
//! Statics are not dropped and a killed process drops nothing at all, so `Drop` alone cannot
//! promise that no broker stays behind. One small shell reads process ids from a pipe whose other
//! end only this process holds. When this process is gone the kernel closes the pipe; the shell
//! then kills what is still listed and removes the folder of this run. It works on every Unix, and
//! unlike a parent-death signal it does not fire when merely the starting thread has ended.

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{LazyLock, Mutex, PoisonError},
};

/// `kill P` lists a process, `spare P` strikes it off. Ctrl-C goes to the whole foreground group:
/// the shell must outlive it. The pause lets killed programs let go of their files.
const SCRIPT: &str = r#"
trap '' HUP INT TERM
listed=' '
while read -r verb process; do
    case $verb in
        kill) listed="$listed$process " ;;
        spare) listed="${listed%% $process *} ${listed#* $process }" ;;
    esac
done
for process in $listed; do kill -s KILL "$process"; done
sleep 1
rm -rf "$0"
"#;

struct Reaper {
    shell: Mutex<Child>,
    folder: PathBuf,
}

static REAPER: LazyLock<Reaper> = LazyLock::new(|| {
    let folder = tempfile::Builder::new()
        .prefix("otel-event-pipeline-")
        .tempdir()
        .expect("the temporary folder is writable")
        .keep();
    let shell = Command::new("sh")
        .args(["-c", SCRIPT])
        .arg(&folder)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("every Unix has sh");
    Reaper { shell: Mutex::new(shell), folder }
});

/// The folder of this run; it goes when the run ends.
pub fn folder() -> &'static Path {
    &REAPER.folder
}

/// From now on this process does not outlive us.
pub fn enlist(process: u32) {
    tell("kill", process);
}

/// It has ended and was waited for: its id may soon be someone else's.
pub fn strike(process: u32) {
    tell("spare", process);
}

fn tell(verb: &str, process: u32) {
    let mut shell = REAPER.shell.lock().unwrap_or_else(PoisonError::into_inner);
    let pipe = shell.stdin.as_mut().expect("the shell was started with a pipe");
    writeln!(pipe, "{verb} {process}").expect("the shell reads until we end");
}
