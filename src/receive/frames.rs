//! Follows HTTP/2's framing in what a connection reads, to tell a frame or a header block that has
//! begun and does not end. Pure; fed by the socket.
//!
//! h2 waits for the rest of either for ever, and says nothing of it meanwhile.

/// Where in the framing the last byte read was.
#[derive(Default)]
pub(super) struct Frames {
    header: [u8; HEADER_BYTES],
    header_count: usize,
    payload_left: usize,
    /// A header block is open: HEADERS came without END_HEADERS.
    block_open: bool,
    preface_count: usize,
}

/// Length (3), type, flags, stream (4): RFC 9113, section 4.1.
const HEADER_BYTES: usize = 9;
/// Bytes of the connection preface, "PRI * HTTP/2.0" and so on: RFC 9113, section 3.4.
const PREFACE_BYTES: usize = 24;
const HEADERS: u8 = 1;
const CONTINUATION: u8 = 9;
const END_HEADERS: u8 = 4;

impl Frames {
    /// Follows `bytes`; true when a frame ended in them that no open header block needs.
    pub(super) fn follow(&mut self, mut bytes: &[u8]) -> bool {
        let preface = bytes.len().min(PREFACE_BYTES - self.preface_count);
        self.preface_count += preface;
        bytes = &bytes[preface..];
        let mut ended = false;
        while !bytes.is_empty() {
            if self.header_count < HEADER_BYTES {
                let count = bytes.len().min(HEADER_BYTES - self.header_count);
                let end = self.header_count + count;
                self.header[self.header_count..end].copy_from_slice(&bytes[..count]);
                self.header_count = end;
                bytes = &bytes[count..];
                if end < HEADER_BYTES {
                    break;
                }
                self.begin_payload();
            } else {
                let count = bytes.len().min(self.payload_left);
                self.payload_left -= count;
                bytes = &bytes[count..];
            }
            if self.payload_left == 0 {
                self.header_count = 0;
                ended |= !self.block_open;
            }
        }
        ended
    }

    /// Whether something has begun that has not ended.
    pub(super) fn is_open(&self) -> bool {
        self.header_count > 0 || self.block_open
    }

    fn begin_payload(&mut self) {
        let [a, b, c, kind, flags, ..] = self.header;
        self.payload_left = u32::from_be_bytes([0, a, b, c]) as usize;
        if matches!(kind, HEADERS | CONTINUATION) {
            self.block_open = flags & END_HEADERS == 0;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PREFACE: &[u8; PREFACE_BYTES] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let length = (payload.len() as u32).to_be_bytes();
        [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::default();
        assert!(!frames.follow(PREFACE));
        assert!(!frames.is_open());
        frames
    }

    /// Whole frames leave nothing open, however they are cut.
    #[test]
    fn frames_end_at_their_length() {
        let bytes = [
            PREFACE.to_vec(),
            frame(4, 0, &[]),
            frame(HEADERS, END_HEADERS, &[7; 40]),
            frame(0, 1, &[9; 300]),
        ]
        .concat();
        for step in [1, 2, 8, 9, 10, 33, 1000] {
            let mut frames = Frames::default();
            let ended = bytes.chunks(step).filter(|chunk| frames.follow(chunk)).count();
            assert!(ended >= 1 && !frames.is_open(), "in steps of {step}");
        }
    }

    /// A frame's header or payload that is not whole is open.
    #[test]
    fn part_of_a_frame_is_open() {
        let whole = frame(0, 0, &[1; 5]);
        for end in 1..whole.len() {
            let mut frames = after_preface();
            assert!(!frames.follow(&whole[..end]), "{end}");
            assert!(frames.is_open(), "{end}");
            assert!(frames.follow(&whole[end..]), "{end}");
            assert!(!frames.is_open(), "{end}");
        }
    }

    /// A header block is open until END_HEADERS; the frames in between end nothing.
    #[test]
    fn a_header_block_ends_with_its_flag() {
        let mut frames = after_preface();
        assert!(!frames.follow(&frame(HEADERS, 0, &[1; 5])));
        assert!(frames.is_open());
        assert!(!frames.follow(&frame(CONTINUATION, 0, &[1; 5])));
        assert!(frames.is_open());
        assert!(frames.follow(&frame(CONTINUATION, END_HEADERS, &[])));
        assert!(!frames.is_open());
    }
}
