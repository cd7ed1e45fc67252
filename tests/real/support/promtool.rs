//! promtool: Prometheus's own opinion on a metrics page.

use std::{
    io::Write,
    process::{Command, Stdio},
};

use super::parts;

/// Panics with promtool's complaints when `page` is not a well-formed metrics page, or breaks the
/// naming rules.
pub(crate) fn check_metrics(page: &str) {
    let mut check = Command::new(parts::folder("promtool").join("promtool"))
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("scripts/real-parts has built it");
    let mut input = check.stdin.take().expect("it was started with a pipe");
    input.write_all(page.as_bytes()).expect("promtool reads to the end");
    drop(input);
    let checked = check.wait_with_output().expect("our own child can be waited for");
    let complaints = String::from_utf8_lossy(&checked.stderr);
    assert!(checked.status.success() && complaints.is_empty(), "promtool: {complaints}");
}
