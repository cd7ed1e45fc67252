//! Puts one gRPC message together from the DATA frames of a request. Pure; fed by `body`.
//!
//! gRPC over HTTP/2, "Length-Prefixed-Message": one byte that says whether the message is
//! compressed, four bytes of length, the message; the prefix may lie across frames.

use bytes::{Buf, Bytes};
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

/// A message of which some frames have come.
pub(super) struct Assembly {
    bytes_max: usize,
    prefix: Prefix,
    message: Message,
}

impl Assembly {
    /// Nothing has come of a message of at most so many bytes.
    pub(super) fn new(bytes_max: usize) -> Self {
        let message = Message { frames: Vec::new(), compressed: false, bytes: 0 };
        Self { bytes_max, prefix: Prefix::default(), message }
    }

    /// Takes the next frame; the bytes to charge before another is taken, `None` while they are
    /// what they were.
    ///
    /// # Errors
    /// What is wrong with the message so far.
    pub(super) fn take(&mut self, mut data: Bytes) -> Result<Option<usize>, BodyError> {
        let Self { bytes_max, prefix, message } = self;
        if !prefix.is_complete() {
            prefix.take(&mut data);
            if prefix.is_complete() {
                message.compressed = prefix.compressed()?;
                prefix.check(*bytes_max)?;
            }
        }
        if data.is_empty() {
            return Ok(None);
        }
        message.bytes += data.len();
        if message.bytes > prefix.message_bytes() {
            return Err(BodyError::Framing("more bytes than one message in a unary request"));
        }
        message.frames.push(data);
        let of_frames = message.frames.len() * FRAME_CHARGE_BYTES_MIN;
        Ok(Some(message.bytes.max(of_frames)))
    }

    /// The message, once the stream has ended.
    ///
    /// # Errors
    /// The message has not.
    pub(super) fn end(self) -> Result<Message, BodyError> {
        let Self { prefix, message, .. } = self;
        if !prefix.is_complete() || message.bytes < prefix.message_bytes() {
            return Err(BodyError::Framing("the request ends before its message does"));
        }
        Ok(message)
    }
}

const PREFIX_BYTES: usize = 5;

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
