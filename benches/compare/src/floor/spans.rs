//! Counts the spans of an OTLP request by its length prefixes, without decoding it.

/// `resource_spans`, `scope_spans` and `spans`: the path from a request to its spans.
const PATH: [u64; 3] = [1, 2, 2];

/// Spans of `request`; what is not OTLP counts as far as it could be read.
pub(crate) fn count(request: &[u8]) -> u64 {
    at_depth(request, &PATH)
}

fn at_depth(mut message: &[u8], path: &[u64]) -> u64 {
    let Some((&wanted, deeper)) = path.split_first() else { return 1 };
    let mut found = 0;
    while let Some((field, value)) = next_field(&mut message) {
        if field == wanted {
            found += at_depth(value, deeper);
        }
    }
    found
}

/// The next field: its number, and its bytes if it is length-delimited.
fn next_field<'a>(message: &mut &'a [u8]) -> Option<(u64, &'a [u8])> {
    let tag = varint(message)?;
    let length = match tag & 7 {
        0 => {
            varint(message)?;
            0
        }
        1 => 8,
        2 => usize::try_from(varint(message)?).ok()?,
        5 => 4,
        _ => return None,
    };
    let (value, rest) = message.split_at_checked(length)?;
    *message = rest;
    Some((tag >> 3, value))
}

fn varint(message: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = message.split_first()?;
        *message = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::count;

    /// Spans are counted over resources and scopes, whatever else lies between.
    #[test]
    fn spans_are_counted() {
        let span = [0x12, 2, 0x0a, 0];
        let scope: Vec<u8> = [&[0x12, 11, 0x0a, 0][..], &span, &span, &[0x1a]].concat();
        // The schema URL of the scope is cut off: what came before it counts.
        assert_eq!(count(&[&[0x0a, 13][..], &scope].concat()), 2);
        let resource = [&[0x0a, 10, 0x0a, 0, 0x12, 6][..], &[0x0a, 0], &span].concat();
        assert_eq!(count(&[&resource[..], &resource].concat()), 2);
        assert_eq!(count(&[]), 0);
        assert_eq!(count(b"\xff"), 0);
    }
}
