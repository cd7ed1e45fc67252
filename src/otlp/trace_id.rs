//! The trace id: the bytes that say which spans belong together, and the Kafka key made of them.

/// A trace id that was checked: never all zero.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TraceId(pub [u8; Self::LEN]);

impl TraceId {
    /// Length in bytes.
    pub const LEN: usize = 16;

    /// Length of the key in bytes.
    pub const KEY_LEN: usize = 2 * Self::LEN;

    /// The Kafka key: lower-case hexadecimal digits, as the Collector's Kafka exporter writes it
    /// with `partition_traces_by_id`, so that both place a trace alike.
    pub fn key(&self) -> [u8; Self::KEY_LEN] {
        let mut key = [0; Self::KEY_LEN];
        for (digits, byte) in key.chunks_exact_mut(2).zip(self.0) {
            digits[0] = HEX_DIGITS[usize::from(byte >> 4)];
            digits[1] = HEX_DIGITS[usize::from(byte & 0xf)];
        }
        key
    }
}

impl std::fmt::Display for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key().escape_ascii().fmt(f)
    }
}

impl std::fmt::Debug for TraceId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.key().escape_ascii().fmt(f)
    }
}

const HEX_DIGITS: &[u8; 16] = b"0123456789abcdef";
