//! Where the parts are: `scripts/real-parts` gets them once and prints their folder.

use std::{path::PathBuf, process::Command};

/// The folder of a part, made first if this machine does not have it yet.
///
/// Panics with the script's own message when a tool is missing: a test that needs a real part
/// fails without it and is never skipped.
pub fn folder(part: &str) -> PathBuf {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../scripts/real-parts");
    let run = Command::new(script)
        .arg(part)
        .output()
        .unwrap_or_else(|error| panic!("cannot run {script}: {error}"));
    assert!(
        run.status.success(),
        "scripts/real-parts {part}: {}",
        String::from_utf8_lossy(&run.stderr)
    );
    PathBuf::from(String::from_utf8_lossy(&run.stdout).trim_end())
}
