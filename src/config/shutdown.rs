//! Deadlines of an orderly end.

use std::time::Duration;

use super::{kinds::Time, reader::Reader};
use crate::limits;

/// `DRAIN_DELAY`, `SHUTDOWN_DEADLINE`.
#[derive(Clone, Debug)]
pub struct ShutdownConfig {
    /// Time between "not ready" and the first refusal, for load balancers to notice.
    pub drain_delay: Duration,
    /// The process has ended this long after the signal.
    pub deadline: Duration,
}

impl ShutdownConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Shutdown");
        Self {
            drain_delay: reader.read(
                "DRAIN_DELAY",
                limits::DRAIN_DELAY_DEFAULT,
                Time(limits::DRAIN_DELAY_RANGE),
                "Time between not being ready and refusing, for load balancers to notice",
            ),
            deadline: reader.read(
                "SHUTDOWN_DEADLINE",
                limits::SHUTDOWN_DEADLINE_DEFAULT,
                Time(limits::SHUTDOWN_DEADLINE_RANGE),
                "Longest orderly end; below the 30s after which Kubernetes kills",
            ),
        }
    }
}
