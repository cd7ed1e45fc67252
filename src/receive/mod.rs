//! OTLP/gRPC in: the only server-side tokio, and as little of it as there can be.
//!
//! One acceptor places each connection on the least loaded of K `current_thread` runtimes, where
//! it stays. h2 terminates HTTP/2; the message is taken as the frames that arrived, charged byte by
//! byte, and handed to a publish worker by `try_send`. The answer comes back through one queue per
//! runtime, which is woken once per batch of answers.
//!
//! Never here: disk, Kafka, inflating, a lock held across a wait, a queue without a bound.

mod accept;
mod admission;
mod admission_pace;
mod awake;
mod body;
mod connection;
mod descriptors;
mod drain;
mod export;
mod frames;
mod health_check;
mod lingering;
mod message;
mod opening;
mod peers;
mod refusal_log;
mod reply;
mod server;
mod service;
mod socket;
mod status;
mod stream;
mod tasks;
#[cfg(test)]
mod tests;
mod watch;

pub use accept::BindError;
pub use drain::Drain;
pub use server::{ReceiveHalf, ReceiveThread, Surroundings};
