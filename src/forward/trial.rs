//! A call that finds out whether it is the message that breaks the backend, or the backend itself.
//!
//! Part of the backend client, on the `send` thread; decides nothing beyond one call. A record that
//! kills its reader would be sent for ever and keep the backend down; an outage must never be taken
//! for such a record. The rule:
//!
//! 1. Not reaching the backend blames nothing. A connection that breaks during a call has the same
//!    batch tried again as a trial.
//! 2. A trial runs while no other call of this process does, so that nobody else's record breaks
//!    the connection. Empty requests go first, which OTLP has every server accept. Unless each is
//!    accepted, the record is not sent and nothing is blamed: the backend is away or restarting.
//! 3. Only a break of the record's own call behind them counts. A batch is then taken apart; a
//!    record alone is set aside after three breaks with no broken empty request between them.
//!
//! A backend that is down accepts no empty request, and one that breaks every other connection
//! breaks too many of them. What is left is one that takes every empty request and breaks with
//! every record: there the guard against storms stops dead-lettering.

use bytes::Bytes;
use tonic::transport::Channel;

use super::{
    batch::PREFIX_BYTES,
    call::{Deadline, export},
    outcome::{Class, Outcome},
};
use crate::limits;

/// A gRPC message without content: a request without spans.
const EMPTY_REQUEST: &[u8] = &[0; PREFIX_BYTES];

/// Sends `message` behind empty requests. To be called while no other call is under way.
pub(super) async fn export_alone(channel: Channel, message: Bytes, deadline: &Deadline) -> Outcome {
    for _ in 0..limits::FORWARD_TRIAL_EMPTY_REQUESTS {
        let empty = Bytes::from_static(EMPTY_REQUEST);
        if let Outcome::Refused(mut refusal) = export(channel.clone(), empty, deadline).await {
            refusal.class = match refusal.class {
                class @ (Class::Configuration | Class::Broken) => class,
                // There was no data to blame.
                _ => Class::Now,
            };
            return Outcome::Refused(refusal);
        }
    }
    match export(channel, message, deadline).await {
        Outcome::Refused(mut refusal) if refusal.class == Class::Broken => {
            refusal.class = Class::Crash;
            Outcome::Refused(refusal)
        }
        outcome => outcome,
    }
}
