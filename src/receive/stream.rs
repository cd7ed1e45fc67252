//! One request's stream: what its task reads, and where the reply goes.

use std::{future::poll_fn, time::Instant};

use bytes::Bytes;
use h2::{Reason, RecvStream, SendStream, server::SendResponse};
use tokio::time::timeout_at;

use super::status::{self, Reply};

/// A request's two directions.
pub(super) struct Stream {
    /// The message, as it arrives.
    pub(super) body: RecvStream,
    /// Where the reply goes.
    pub(super) respond: SendResponse<Bytes>,
}

impl Stream {
    /// Writes the reply. What the client's window has no room for waits until `deadline`, with
    /// whatever the request's task holds; then the stream is reset.
    ///
    /// Errors mean that the stream has ended: nobody waits for the reply.
    pub(super) async fn reply(&mut self, reply: Reply, deadline: Instant) {
        let Reply { head, message } = reply;
        let Ok(mut stream) = self.respond.send_response(head, message.is_none()) else { return };
        let Some(message) = message else { return };
        stream.reserve_capacity(message.len());
        if stream.capacity() < message.len() {
            let room = has_room(&mut stream, message.len());
            if timeout_at(deadline.into(), room).await != Ok(true) {
                return stream.send_reset(Reason::CANCEL);
            }
        }
        if stream.send_data(message, false).is_ok() {
            stream.send_trailers(status::ok_trailers()).ok();
        }
    }

    /// Returns when the client has given the request up, or the connection has ended.
    pub(super) async fn abandoned(respond: &mut SendResponse<Bytes>) {
        poll_fn(|context| respond.poll_reset(context)).await.ok();
    }
}

/// Waits for the client's windows; false when the stream ends before.
async fn has_room(stream: &mut SendStream<Bytes>, bytes: usize) -> bool {
    while stream.capacity() < bytes {
        let Some(Ok(_)) = poll_fn(|context| stream.poll_capacity(context)).await else {
            return false;
        };
    }
    true
}
