//! Which build this is, and in which role: one gauge that is always 1.

use prometheus::IntGaugeVec;

use super::Registry;
use crate::config::Role;

/// The gauge `build_info`, present once the role is known.
pub struct BuildInfo {
    gauge: IntGaugeVec,
}

/// The version of this build.
const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit of this build, when `BUILD_COMMIT` was set while compiling.
const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

impl BuildInfo {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let gauge = registry.gauges(
            "build_info",
            "always 1; the labels say which build runs, and in which role",
            &["version", "commit", "role"],
        );
        Self { gauge }
    }

    /// Shows the gauge, with the role that this process runs in.
    pub fn show(&self, role: Role) {
        let role = match role {
            Role::All => "all",
            Role::Receive => "receive",
            Role::Forward => "forward",
        };
        self.gauge.with_label_values(&[VERSION, COMMIT, role]).set(1);
    }
}
