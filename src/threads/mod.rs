//! The only place that starts threads: named, watched, joined, pinned where asked.
//!
//! A thread that panics is reported to the main thread, which ends the process with an exit code:
//! half a pipeline that looks healthy is worse than a restart.

mod affinity;
mod spawn;

pub use affinity::{CoreId, Layout, Machine};
pub use spawn::{ThreadFailure, Threads};
