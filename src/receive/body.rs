//! Takes one gRPC message off a request's body, frame by frame and without joining them. Runs in
//! the request's task.

use h2::RecvStream;

use super::message::{Assembly, BodyError, Message};
use crate::publish::Shortage;

/// Reads to the end of the stream; `charge` is told the bytes held before more are taken.
///
/// # Errors
/// The first thing that is wrong. What has arrived is given up then, and the rest is not read.
pub(super) async fn read(
    body: &mut RecvStream,
    bytes_max: usize,
    mut charge: impl FnMut(usize) -> Result<(), Shortage>,
) -> Result<Message, BodyError> {
    let mut assembly = Assembly::new(bytes_max);
    // Trailers of a request, which would follow its data, say nothing in gRPC.
    while let Some(data) = body.data().await {
        let data = data.map_err(|_| BodyError::Broken)?;
        // Memory is bounded by the charge and not by HTTP/2's windows: the client may send on.
        body.flow_control().release_capacity(data.len()).map_err(|_| BodyError::Broken)?;
        if let Some(bytes) = assembly.take(data)? {
            charge(bytes).map_err(BodyError::Short)?;
        }
    }
    assembly.end()
}
