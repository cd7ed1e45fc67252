//! What must hold for any compressed message: it inflates to the same however it is cut, to what
//! the libraries' own readers make of it, within its bound, and its charge goes back.
//!
//! Used by the replay of the fuzz corpus and by the fuzz target.

use std::{io::Read, sync::Arc};

use bytes::Bytes;

use super::{
    Budget, Charge, Encoding,
    inflate::{InflateError, Inflater},
};

/// Small enough for the fuzzing engine to meet it, to the byte.
const INFLATED_BYTES_MAX: usize = 4_000;
const BUDGET_BYTES: usize = 1 << 20;

/// Inflates `frames` with either encoding; panics where a promise is broken.
pub(crate) fn check_inflate(frames: &[Bytes]) {
    let wire = Bytes::from(frames.concat());
    for encoding in [Encoding::Gzip, Encoding::Zstd] {
        let cut = inflate(frames, encoding);
        let whole = inflate(std::slice::from_ref(&wire), encoding);
        match (cut, whole) {
            (Ok(cut), Ok(whole)) => {
                assert!(cut == whole, "{encoding:?}: another message");
                assert!(cut.len() <= INFLATED_BYTES_MAX, "{encoding:?}: {} bytes", cut.len());
                assert!(plainly(&wire, encoding) == cut, "{encoding:?}: not what it says");
            }
            (Err(_), Err(_)) => {}
            (cut, whole) => {
                panic!(
                    "{encoding:?}: {:?}, whole {:?}",
                    cut.map(|it| it.len()),
                    whole.map(|it| it.len())
                )
            }
        }
    }
}

fn inflate(frames: &[Bytes], encoding: Encoding) -> Result<Vec<u8>, InflateError> {
    let process = Arc::new(Budget::new(BUDGET_BYTES));
    let connection = Arc::new(Budget::new(BUDGET_BYTES));
    let mut charge =
        Charge::open(Arc::clone(&process), Arc::clone(&connection)).expect("the budget is unused");
    let mut inflater = Inflater::new();
    let inflated = inflater.linear(frames, encoding, INFLATED_BYTES_MAX, &mut charge);
    let inflated = inflated.map(<[u8]>::to_vec);
    drop(charge);
    assert_eq!((process.bytes_used(), connection.bytes_used()), (0, 0));
    inflated
}

/// As much of the message as matters.
fn plainly(wire: &[u8], encoding: Encoding) -> Vec<u8> {
    let reader: Box<dyn Read> = match encoding {
        Encoding::Gzip => Box::new(flate2::read::MultiGzDecoder::new(wire)),
        _ => Box::new(zstd::stream::read::Decoder::new(wire).expect("memory suffices")),
    };
    let mut message = Vec::new();
    reader.take(INFLATED_BYTES_MAX as u64 + 1).read_to_end(&mut message).expect("it was inflated");
    message
}
