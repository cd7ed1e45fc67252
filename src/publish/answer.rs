//! What a request comes to, in publish's own words; `receive/status` turns it into gRPC's.

use super::{Shortage, Spans};
use crate::kafka::DeliveryError;

/// What a request comes to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Every record made from the request is acknowledged by Kafka.
    Acknowledged(Spans),
    /// The bytes are not an `ExportTraceServiceRequest`; nothing was produced.
    Malformed(String),
    /// Larger than a limit, whatever is done; nothing was produced.
    TooLarge(String),
    /// Not now: the same request may succeed later.
    Unavailable {
        /// Why.
        failure: Failure,
        /// What the request held; empty when it was not looked at.
        spans: Spans,
    },
    /// The deadline passed.
    TimedOut,
    /// The client went away before anything was produced.
    Cancelled,
}

/// Why a request should be sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// A budget of bytes is used up.
    Budget(Shortage),
    /// Every worker's queue is full.
    QueueFull,
    /// No broker answers.
    BrokerUnreachable,
    /// The process is ending.
    ShuttingDown,
    /// A record was not acknowledged.
    Delivery(DeliveryError),
    /// The request was dropped half-way, which only a defect of ours can do.
    Abandoned,
}

impl Failure {
    /// A refusal: nothing was produced. Otherwise some records may be in Kafka.
    pub fn is_refusal(self) -> bool {
        !matches!(self, Self::Delivery(_) | Self::Abandoned)
    }
}
