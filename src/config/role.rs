//! Which halves of the pipeline run in this process.

use super::kinds::Choice;

/// Which halves of the pipeline run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Receive and forward in one process.
    All,
    /// OTLP to Kafka only.
    Receive,
    /// Kafka to the backend only.
    Forward,
}

impl Role {
    /// True when this process takes OTLP in.
    pub fn receives(self) -> bool {
        matches!(self, Self::All | Self::Receive)
    }

    /// True when this process forwards to the backend.
    pub fn forwards(self) -> bool {
        matches!(self, Self::All | Self::Forward)
    }
}

impl Choice for Role {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("all", Self::All), ("receive", Self::Receive), ("forward", Self::Forward)];
}
