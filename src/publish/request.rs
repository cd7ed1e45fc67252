//! What the receive half hands to a worker, and what it wants back.

use std::time::Instant;

use bytes::Bytes;

use super::{Answer, Charge, Encoding};

/// One export request, as it came over the wire.
pub struct Request {
    /// The message's frames, in order, without the gRPC prefix.
    pub frames: Vec<Bytes>,
    /// How the message is compressed.
    pub encoding: Encoding,
    /// When it was handed to the worker's queue.
    pub queued: Instant,
    /// When the reply is due at the latest.
    pub deadline: Instant,
    /// Bytes charged for it.
    pub charge: Charge,
    /// Where the answer goes.
    pub reply: Box<dyn Reply>,
}

/// Where an answer goes; implemented by `receive/`, so that publish knows no runtime.
pub trait Reply: Send + Sync {
    /// True when nobody waits any more: the client has gone or its deadline has passed.
    fn abandoned(&self) -> bool;
    /// Gives the answer; never blocks. The charge goes back when the reply is written.
    fn answer(self: Box<Self>, answer: Answer, charge: Charge);
}
