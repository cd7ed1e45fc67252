//! The kinds of values that settings have: how each is written, checked, shown and masked.
//!
//! Pure. A kind that may hold a credential is the only place that decides what of it is shown.

mod address;
mod choice;
mod duration;
mod kind;
mod name;
mod number;
mod overrides;
mod refusals;
mod size;

pub(super) use address::{Address, Brokers, Endpoint, Port, host_port};
pub(super) use choice::{Choice, Choices};
pub(crate) use duration::parse_duration;
pub(super) use duration::{Time, show_duration};
pub(super) use kind::Kind;
pub(crate) use name::is_topic;
pub(super) use name::{Group, Instance, Topic};
pub(super) use number::{Count, Replication, ThreadCount};
pub(super) use overrides::Overrides;
pub use overrides::Secret;
pub(crate) use overrides::is_credential;
pub(super) use refusals::Client;
pub(super) use size::{Bytes, show_bytes};
