//! The whole process: every channel is built and every thread started here, and ended in order.
//!
//! Owned by the main thread, which never touches a span. `start` builds, `stop` ends as
//! `shutdown` decides; what the process ends with is an [`Ending`].

mod receive_half;
mod shutdown;
mod signals;
mod start;
mod stop;

pub use shutdown::Ending;
pub use signals::shutdown_asked;
pub use start::{Process, StartError};
