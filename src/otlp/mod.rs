//! Stand-in for the wire module: only the framing walk's signature.

/// Walks the top-level fields of a request to its exact end.
///
/// # Errors
/// Not a sequence of whole length-delimited fields.
pub fn walk(record: &[u8]) -> Result<(), Malformed> {
    let mut rest = record;
    while let Some((_tag, after)) = rest.split_first() {
        let (length, after) = varint(after).ok_or(Malformed)?;
        rest = after.get(length..).ok_or(Malformed)?;
    }
    Ok(())
}

/// Not framed as a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("malformed")]
pub struct Malformed;

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}
