//! Takes one gRPC message off a request's body, frame by frame and without joining them.
//!
//! gRPC over HTTP/2, "Length-Prefixed-Message": one byte that says whether the message is
//! compressed, four bytes of length, the message; the prefix may lie across frames.

use bytes::{Buf, Bytes};
use h2::RecvStream;
use thiserror::Error;

use crate::{limits::FRAME_CHARGE_BYTES_MIN, publish::Shortage};

/// A whole message as it came over the wire.
pub(super) struct Message {
    /// Its frames, in order; none is empty.
    pub(super) frames: Vec<Bytes>,
    /// The prefix's compressed flag.
    pub(super) compressed: bool,
    /// Sum of the frames.
    pub(super) bytes: usize,
}

/// Why there is no message.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum BodyError {
    /// It breaks gRPC's framing.
    #[error("{0}")]
    Framing(&'static str),
    /// It announces more than the limit.
    #[error(
        "the message has {bytes} bytes, at most {bytes_max} are taken (OTLP_REQUEST_BYTES_MAX)"
    )]
    TooLarge {
        /// The announced length.
        bytes: usize,
        /// The limit.
        bytes_max: usize,
    },
    /// A budget ran out while it arrived.
    #[error("no budget for the message")]
    Short(Shortage),
    /// The stream broke.
    #[error("the request's stream broke")]
    Broken,
}

const PREFIX_BYTES: usize = 5;

/// Reads to the end of the stream; `charge` is told the bytes held before they are kept.
///
/// # Errors
/// The first thing that is wrong. What has arrived is given up then, and the rest is not read.
pub(super) async fn read(
    body: &mut RecvStream,
    bytes_max: usize,
    mut charge: impl FnMut(usize) -> Result<(), Shortage>,
) -> Result<Message, BodyError> {
    let mut prefix = Prefix::default();
    let mut message = Message { frames: Vec::new(), compressed: false, bytes: 0 };
    // Trailers of a request, which would follow its data, say nothing in gRPC.
    while let Some(data) = body.data().await {
        let mut data = data.map_err(|_| BodyError::Broken)?;
        // Memory is bounded by the charge and not by HTTP/2's windows: the client may send on.
        body.flow_control().release_capacity(data.len()).map_err(|_| BodyError::Broken)?;
        if !prefix.is_complete() {
            prefix.take(&mut data);
            if prefix.is_complete() {
                message.compressed = prefix.compressed()?;
                prefix.check(bytes_max)?;
            }
        }
        if data.is_empty() {
            continue;
        }
        message.bytes += data.len();
        if message.bytes > prefix.message_bytes() {
            return Err(BodyError::Framing("more bytes than one message in a unary request"));
        }
        message.frames.push(data);
        let of_frames = message.frames.len() * FRAME_CHARGE_BYTES_MIN;
        charge(message.bytes.max(of_frames)).map_err(BodyError::Short)?;
    }
    if !prefix.is_complete() || message.bytes < prefix.message_bytes() {
        return Err(BodyError::Framing("the request ends before its message does"));
    }
    Ok(message)
}

/// The five bytes before the message.
#[derive(Default)]
struct Prefix {
    bytes: [u8; PREFIX_BYTES],
    count: usize,
}

impl Prefix {
    fn is_complete(&self) -> bool {
        self.count == PREFIX_BYTES
    }

    fn take(&mut self, data: &mut Bytes) {
        let count = data.len().min(PREFIX_BYTES - self.count);
        data.copy_to_slice(&mut self.bytes[self.count..self.count + count]);
        self.count += count;
    }

    fn compressed(&self) -> Result<bool, BodyError> {
        match self.bytes[0] {
            0 => Ok(false),
            1 => Ok(true),
            _ => Err(BodyError::Framing("the compressed flag of the message is neither 0 nor 1")),
        }
    }

    fn message_bytes(&self) -> usize {
        let [_, a, b, c, d] = self.bytes;
        u32::from_be_bytes([a, b, c, d]) as usize
    }

    fn check(&self, bytes_max: usize) -> Result<(), BodyError> {
        let bytes = self.message_bytes();
        if bytes > bytes_max { Err(BodyError::TooLarge { bytes, bytes_max }) } else { Ok(()) }
    }
}
