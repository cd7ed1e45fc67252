//! Inflates a request's frames into one buffer, on the worker: a slow or hostile body stalls
//! nobody's connection. Output is charged as it grows and bounded in size and ratio.

use bytes::Bytes;
use flate2::{Decompress, FlushDecompress, Status};
use thiserror::Error;
use zstd::{
    stream::raw::{Decoder, InBuffer, Operation, OutBuffer},
    zstd_safe::DParameter,
};

use super::{Charge, Shortage};
use crate::limits::{INFLATE_RATIO_MAX, INFLATE_STEP_BYTES, ZSTD_WINDOW_LOG_MAX};

/// `grpc-encoding` of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Why a message was not inflated.
#[derive(Debug, PartialEq, Eq, Error)]
pub(super) enum InflateError {
    /// The bytes are not what the encoding says.
    #[error("the message is not valid {encoding}: {reason}")]
    Malformed {
        /// The encoding's name.
        encoding: &'static str,
        /// The library's words.
        reason: String,
    },
    /// More than the limit, or more than an honest sender's ratio.
    #[error("the message inflates to more than {bytes_max} bytes")]
    TooLarge {
        /// The limit that was hit.
        bytes_max: usize,
    },
    /// A budget is short.
    #[error("no budget for the inflated message")]
    Short(Shortage),
}

/// A worker's inflaters and their output, reused for every request.
pub(super) struct Inflater {
    output: Vec<u8>,
    zstd: Decoder<'static>,
}

impl Inflater {
    /// An inflater with an empty buffer.
    pub(super) fn new() -> Self {
        let mut zstd = Decoder::new().expect("a decoder without a dictionary needs only memory");
        zstd.set_parameter(DParameter::WindowLogMax(ZSTD_WINDOW_LOG_MAX))
            .expect("the window is within zstd's own bounds");
        Self { output: Vec::new(), zstd }
    }

    /// The message as one slice: `frames` itself when there is one that is not compressed.
    ///
    /// # Errors
    /// See [`InflateError`]; `charge` then holds at most what was inflated.
    pub(super) fn linear<'a>(
        &'a mut self,
        frames: &'a [Bytes],
        encoding: Encoding,
        bytes_max: usize,
        charge: &mut Charge,
    ) -> Result<&'a [u8], InflateError> {
        self.output.clear();
        let input_bytes: usize = frames.iter().map(Bytes::len).sum();
        // A step is allowed whatever the ratio: a few bytes may honestly be thousands of zeros.
        let ratio_max = input_bytes.saturating_mul(INFLATE_RATIO_MAX).max(INFLATE_STEP_BYTES);
        let bound = Bound { bytes_max: bytes_max.min(ratio_max), input_bytes };
        match (encoding, frames) {
            (Encoding::Identity, []) => {}
            (Encoding::Identity, [frame]) => return Ok(frame),
            (Encoding::Identity, frames) => {
                frames.iter().for_each(|frame| self.output.extend_from_slice(frame));
            }
            (Encoding::Gzip, frames) => gunzip(frames, &mut self.output, bound, charge)?,
            (Encoding::Zstd, frames) => {
                self.zstd.reinit().map_err(|error| malformed("zstd", &error))?;
                unzstd(&mut self.zstd, frames, &mut self.output, bound, charge)?;
            }
        }
        Ok(&self.output)
    }

    /// Gives back what a large request has left behind.
    pub(super) fn shrink(&mut self, bytes: usize) {
        if self.output.capacity() > bytes {
            self.output = Vec::new();
        }
    }
}

impl Default for Inflater {
    fn default() -> Self {
        Self::new()
    }
}

/// How far the output may grow.
#[derive(Clone, Copy)]
struct Bound {
    bytes_max: usize,
    input_bytes: usize,
}

impl Bound {
    /// Makes room for another step of output and charges it beside the input. The room ends a byte
    /// beyond the bound: output that fills the bound may be whole, with its end yet to be read.
    fn extend(self, output: &mut Vec<u8>, charge: &mut Charge) -> Result<(), InflateError> {
        self.check(output)?;
        let room = self.bytes_max + 1 - output.len();
        let step = INFLATE_STEP_BYTES.max(output.len()).min(room);
        charge.resize(self.input_bytes + output.len() + step).map_err(InflateError::Short)?;
        output.reserve_exact(step);
        Ok(())
    }

    /// Refuses output beyond the bound: a buffer may be larger than what was asked for.
    fn check(self, output: &[u8]) -> Result<(), InflateError> {
        if output.len() > self.bytes_max {
            return Err(InflateError::TooLarge { bytes_max: self.bytes_max });
        }
        Ok(())
    }
}

/// Inflates every gzip member in `frames`.
fn gunzip(
    frames: &[Bytes],
    output: &mut Vec<u8>,
    bound: Bound,
    charge: &mut Charge,
) -> Result<(), InflateError> {
    const WINDOW_BITS: u8 = 15;
    let mut member = Decompress::new_gzip(WINDOW_BITS);
    let mut complete = false;
    for frame in frames {
        let mut input = &frame[..];
        while !input.is_empty() {
            if complete {
                member = Decompress::new_gzip(WINDOW_BITS);
            }
            if output.len() == output.capacity() {
                bound.extend(output, charge)?;
            }
            let before = member.total_in();
            let status = member
                .decompress_vec(input, output, FlushDecompress::None)
                .map_err(|error| malformed("gzip", &error))?;
            input = &input[(member.total_in() - before) as usize..];
            complete = status == Status::StreamEnd;
        }
    }
    // What the last frame's input still holds back for want of room.
    while !complete {
        if output.len() == output.capacity() {
            bound.extend(output, charge)?;
        }
        let before = output.len();
        let status = member
            .decompress_vec(&[], output, FlushDecompress::Finish)
            .map_err(|error| malformed("gzip", &error))?;
        complete = status == Status::StreamEnd;
        if !complete && output.len() == before {
            return Err(malformed("gzip", &"it ends early"));
        }
    }
    bound.check(output)
}

/// Inflates every zstd frame in `frames`.
fn unzstd(
    decoder: &mut Decoder<'static>,
    frames: &[Bytes],
    output: &mut Vec<u8>,
    bound: Bound,
    charge: &mut Charge,
) -> Result<(), InflateError> {
    // zstd's hint: 0 = a frame has ended and everything of it is in the output.
    let mut wanted = 1;
    for frame in frames.iter().filter(|frame| !frame.is_empty()) {
        let mut input = InBuffer::around(frame);
        loop {
            if output.len() == output.capacity() {
                bound.extend(output, charge)?;
            }
            let position = output.len();
            let mut room = OutBuffer::around_pos(output, position);
            wanted =
                decoder.run(&mut input, &mut room).map_err(|error| malformed("zstd", &error))?;
            let full = output.len() == output.capacity();
            if input.pos() == frame.len() && (wanted == 0 || !full) {
                break;
            }
        }
    }
    if wanted != 0 {
        return Err(malformed("zstd", &"it ends early"));
    }
    bound.check(output)
}

fn malformed(encoding: &'static str, reason: &dyn std::fmt::Display) -> InflateError {
    InflateError::Malformed { encoding, reason: reason.to_string() }
}

#[cfg(test)]
mod tests;
