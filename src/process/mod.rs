//! The whole process: every channel is built and every thread started here, and ended in order.
//!
//! Owned by the main thread, which never touches a span. `start` builds, `stop` ends; what the
//! process ends with is an [`Ending`].

mod receive_half;
mod start;
mod stop;

pub use start::{Process, StartError};
pub use stop::Ending;
