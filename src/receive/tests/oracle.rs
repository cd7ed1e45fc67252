//! What must hold for any bytes of a client: they mean the same however the network cuts them, and
//! what a plain reading of the whole says that they mean.
//!
//! Used by the replay of the fuzz corpus and by the fuzz target. The input's first byte says what
//! follows its second: an even one a gRPC message, an odd one HTTP/2 frames. The second says how
//! that is cut.

use bytes::Bytes;

use crate::{
    publish::oracle::check_inflate,
    receive::{
        frames::Frames,
        message::{Assembly, BodyError, Message},
    },
};

/// Small enough for the fuzzing engine to go beyond.
const MESSAGE_BYTES_MAX: usize = 2_000;
const PREFACE_BYTES: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

/// Reads `input`; panics where a promise is broken.
pub(crate) fn check(input: &[u8]) {
    let [kind, cut, wire @ ..] = input else { return };
    if kind % 2 == 0 { check_message(wire, *cut) } else { check_frames(wire, *cut) }
}

/// Pieces of the lengths 0, `step`, 1, `step`, 0 and so on.
fn pieces(mut wire: &[u8], cut: u8) -> Vec<&[u8]> {
    let step = usize::from(cut).max(1);
    let mut pieces = Vec::new();
    for length in [0, step, 1, step].into_iter().cycle() {
        let (piece, rest) = wire.split_at(length.min(wire.len()));
        pieces.push(piece);
        wire = rest;
        if wire.is_empty() {
            break;
        }
    }
    pieces
}

fn check_message(wire: &[u8], cut: u8) {
    let pieces = pieces(wire, cut);
    let message = match (assemble(&pieces), plain_message(wire)) {
        (Ok(message), Ok((compressed, bytes))) => {
            assert_eq!(message.frames.concat(), bytes);
            assert_eq!((message.compressed, message.bytes), (compressed, bytes.len()));
            assert!(message.frames.iter().all(|frame| !frame.is_empty()));
            message
        }
        (Err(BodyError::Framing(_)), Err(BodyError::Framing(_))) => return,
        (Err(error), Err(plain)) => return assert_eq!(error, plain),
        (read, plain) => panic!("{:?} and not {plain:?}", read.map(|message| message.frames)),
    };
    // zstd is C, which Miri does not run.
    if message.compressed && !cfg!(miri) {
        check_inflate(&message.frames);
    }
}

fn assemble(pieces: &[&[u8]]) -> Result<Message, BodyError> {
    let mut assembly = Assembly::new(MESSAGE_BYTES_MAX);
    let mut charged = 0;
    for piece in pieces {
        let charge = assembly.take(Bytes::copy_from_slice(piece))?;
        assert!(charge.is_none_or(|bytes| bytes > charged), "{charge:?} after {charged}");
        charged = charge.unwrap_or(charged);
    }
    let message = assembly.end()?;
    assert!(charged >= message.bytes, "{charged} of {} bytes", message.bytes);
    Ok(message)
}

/// The flag and the bytes of a message that has come whole.
fn plain_message(wire: &[u8]) -> Result<(bool, &[u8]), BodyError> {
    let Some((&[flag, length @ ..], bytes)) = wire.split_first_chunk::<5>() else {
        return Err(BodyError::Framing("no prefix"));
    };
    let length = u32::from_be_bytes(length) as usize;
    if flag > 1 {
        return Err(BodyError::Framing("no flag"));
    }
    if length > MESSAGE_BYTES_MAX {
        return Err(BodyError::TooLarge { bytes: length, bytes_max: MESSAGE_BYTES_MAX });
    }
    if bytes.len() != length {
        return Err(BodyError::Framing("another length"));
    }
    Ok((flag == 1, bytes))
}

fn check_frames(wire: &[u8], cut: u8) {
    let plain = plain_frames(wire);
    for frames_max in [1, 3, usize::MAX] {
        let mut frames = Frames::default();
        let (mut ended, mut moved) = (0, false);
        for mut piece in pieces(wire, cut) {
            while !piece.is_empty() {
                let followed = frames.follow(piece, frames_max);
                assert!(followed.frames <= frames_max, "{followed:?}");
                let all = followed.bytes == piece.len();
                assert!(all || followed.frames == frames_max, "{followed:?} of {}", piece.len());
                ended += followed.frames;
                moved |= followed.moved;
                piece = &piece[followed.bytes..];
            }
        }
        assert_eq!((ended, moved, frames.is_open()), plain, "{frames_max} at a time");
    }
}

/// How many frames end in `wire`, whether one of them leaves no header block open, and whether
/// something is open at its end.
fn plain_frames(wire: &[u8]) -> (usize, bool, bool) {
    let mut rest = wire.get(PREFACE_BYTES..).unwrap_or_default();
    let (mut ended, mut moved, mut block_open) = (0, false, false);
    while let Some((&[a, b, c, kind, flags, ..], payload)) = rest.split_first_chunk::<9>() {
        if [HEADERS, CONTINUATION].contains(&kind) {
            block_open = flags & END_HEADERS == 0;
        }
        let length = u32::from_be_bytes([0, a, b, c]) as usize;
        let Some(behind) = payload.get(length..) else { return (ended, moved, true) };
        ended += 1;
        moved |= !block_open;
        rest = behind;
    }
    (ended, moved, block_open || !rest.is_empty())
}
