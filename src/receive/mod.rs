//! OTLP/gRPC in: the only server-side tokio, and as little of it as there can be.
//!
//! One acceptor places each connection on the least loaded of K `current_thread` runtimes, where
//! it stays. tonic's server terminates HTTP/2; the message is taken at the HTTP layer as the frames
//! that arrived, charged byte by byte, and handed to a publish worker by `try_send`. The answer
//! comes back through one queue per runtime, which is woken once per batch of answers.
//!
//! Never here: disk, Kafka, inflating, a lock held across a wait, a queue without a bound.

mod accept;
mod admission;
mod admission_pace;
mod body;
mod connection;
mod drain;
mod export;
mod health_check;
mod refusal_log;
mod reply;
mod server;
mod service;
mod status;

pub use accept::BindError;
pub use drain::Drain;
pub use server::{ReceiveHalf, ReceiveThread, Surroundings};
