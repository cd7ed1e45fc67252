//! Follows HTTP/2's framing in what a connection reads, to tell a frame or a header block that has
//! begun and does not end, and to count frames. Pure; fed by the socket.
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

/// What was followed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Followed {
    /// Bytes from the beginning.
    pub(super) bytes: usize,
    /// Frames that ended in them.
    pub(super) frames: usize,
    /// A frame ended in them that no open header block needs.
    pub(super) moved: bool,
}

impl Frames {
    /// Follows `all` to the end, or to the end of frame number `frames_max`.
    pub(super) fn follow(&mut self, all: &[u8], frames_max: usize) -> Followed {
        let preface = all.len().min(PREFACE_BYTES - self.preface_count);
        self.preface_count += preface;
        let mut bytes = &all[preface..];
        let mut followed = Followed::default();
        while !bytes.is_empty() && followed.frames < frames_max {
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
                followed.frames += 1;
                followed.moved |= !self.block_open;
            }
        }
        followed.bytes = all.len() - bytes.len();
        followed
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

    /// Follows everything; true when something ended.
    fn moved(frames: &mut Frames, bytes: &[u8]) -> bool {
        let followed = frames.follow(bytes, usize::MAX);
        assert_eq!(followed.bytes, bytes.len());
        followed.moved
    }

    fn after_preface() -> Frames {
        let mut frames = Frames::default();
        assert!(!moved(&mut frames, PREFACE));
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
            let ended = bytes.chunks(step).filter(|chunk| moved(&mut frames, chunk)).count();
            assert!(ended >= 1 && !frames.is_open(), "in steps of {step}");
        }
    }

    /// A frame's header or payload that is not whole is open.
    #[test]
    fn part_of_a_frame_is_open() {
        let whole = frame(0, 0, &[1; 5]);
        for end in 1..whole.len() {
            let mut frames = after_preface();
            assert!(!moved(&mut frames, &whole[..end]), "{end}");
            assert!(frames.is_open(), "{end}");
            assert!(moved(&mut frames, &whole[end..]), "{end}");
            assert!(!frames.is_open(), "{end}");
        }
    }

    /// Frames are counted however they are cut; nothing is followed beyond the last one allowed.
    #[test]
    fn frames_are_counted() {
        let (small, large) = (frame(0, 0, &[1]), frame(0, 0, &[1; 100]));
        let bytes = [&small[..], &large, &small, &small].concat();
        let mut frames = after_preface();
        let first = frames.follow(&bytes[..50], 2);
        assert_eq!(first, Followed { bytes: 50, frames: 1, moved: true });
        let second = frames.follow(&bytes[50..], 2);
        let end = small.len() + large.len() + small.len();
        assert_eq!(second, Followed { bytes: end - 50, frames: 2, moved: true });
        assert_eq!(frames.follow(&bytes[end..], 0), Followed::default());
    }

    /// A header block is open until END_HEADERS; the frames in between end nothing.
    #[test]
    fn a_header_block_ends_with_its_flag() {
        let mut frames = after_preface();
        assert!(!moved(&mut frames, &frame(HEADERS, 0, &[1; 5])));
        assert!(frames.is_open());
        assert!(!moved(&mut frames, &frame(CONTINUATION, 0, &[1; 5])));
        assert!(frames.is_open());
        assert!(moved(&mut frames, &frame(CONTINUATION, END_HEADERS, &[])));
        assert!(!frames.is_open());
    }
}
