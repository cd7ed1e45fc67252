//! Thread counts and pinning.

use super::{
    kinds::{Choice, Choices, ThreadCount},
    reader::Reader,
};
use crate::limits::THREADS_RANGE;

/// Thread counts and pinning; `None` = chosen from cores and quota (`*_THREADS=auto`).
#[derive(Clone, Debug)]
pub struct ThreadsConfig {
    /// `RECEIVE_THREADS`.
    pub receive: Option<usize>,
    /// `PUBLISH_THREADS`.
    pub publish: Option<usize>,
    /// `FORWARD_THREADS`.
    pub forward: Option<usize>,
    /// `PINNING`.
    pub pinning: Pinning,
}

impl ThreadsConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Threads");
        let count = || ThreadCount(THREADS_RANGE);
        Self {
            receive: reader.read(
                "RECEIVE_THREADS",
                None,
                count(),
                "Threads that hold client connections; auto follows cores and CPU quota",
            ),
            publish: reader.read(
                "PUBLISH_THREADS",
                None,
                count(),
                "Threads that split requests and produce, each with its own producer",
            ),
            forward: reader.read(
                "FORWARD_THREADS",
                None,
                count(),
                "Threads that consume and forward, each with its own consumer",
            ),
            pinning: reader.read(
                "PINNING",
                Pinning::Auto,
                Choices::new(),
                "Pin publish threads to cores; auto does with enough cores and no CPU quota",
            ),
        }
    }
}

/// Whether publish threads are pinned to cores.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pinning {
    /// Pin when there are enough allowed cores and no CPU quota.
    Auto,
    /// Always.
    On,
    /// Never.
    Off,
}

impl Choice for Pinning {
    const CHOICES: &'static [(&'static str, Self)] =
        &[("auto", Self::Auto), ("on", Self::On), ("off", Self::Off)];
}
