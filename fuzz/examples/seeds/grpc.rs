//! gRPC messages, whole, wrong and compressed, and HTTP/2 frames.

use std::io::Write;

use flate2::{Compression, write::GzEncoder};

const MESSAGE: u8 = 0;
const FRAMES: u8 = 1;
/// How the seeds are cut at first.
const CUT: u8 = 7;
/// What the oracle takes at most of a compressed message.
const INFLATED_BYTES_MAX: usize = 4_000;

/// Each seed with its name.
pub(crate) fn messages_and_frames() -> Vec<(&'static str, Vec<u8>)> {
    let text = b"a message that is repeated, a message that is repeated".repeat(4);
    let largest = vec![7; INFLATED_BYTES_MAX];
    let headers = frame(1, 4, &[0x83; 12]);
    let block = [frame(1, 0, &[0x83; 5]), frame(9, 0, &[0x86]), frame(9, 4, &[])].concat();
    vec![
        ("plain", message(0, &text)),
        ("empty", message(0, &[])),
        ("flag", message(7, &text)),
        ("short", input(MESSAGE, &[0, 0, 0, 1, 0, 9])),
        ("long", input(MESSAGE, &[0, 0, 0, 0, 1, 9, 9])),
        ("too-large", input(MESSAGE, &[0, 255, 255, 255, 255])),
        ("gzip", message(1, &gzip(&text))),
        ("gzip-two", message(1, &[gzip(&text), gzip(b"more")].concat())),
        ("gzip-largest", message(1, &gzip(&largest))),
        ("zstd", message(1, &zstd(&text))),
        ("zstd-two", message(1, &[zstd(&text), zstd(b"more")].concat())),
        ("zstd-largest", message(1, &zstd(&largest))),
        (
            "frames",
            input(FRAMES, &[preface(), frame(4, 0, &[]), headers, frame(0, 1, b"data")].concat()),
        ),
        ("frames-block", input(FRAMES, &[preface(), block].concat())),
        ("frames-open", input(FRAMES, &[preface(), frame(0, 0, b"data")[..11].to_vec()].concat())),
        ("frames-preface", input(FRAMES, &preface()[..9])),
    ]
}

fn input(kind: u8, wire: &[u8]) -> Vec<u8> {
    [&[kind, CUT], wire].concat()
}

fn message(flag: u8, bytes: &[u8]) -> Vec<u8> {
    let length = (bytes.len() as u32).to_be_bytes();
    input(MESSAGE, &[&[flag], &length[..], bytes].concat())
}

fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
    let length = (payload.len() as u32).to_be_bytes();
    [&length[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
}

fn preface() -> Vec<u8> {
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).expect("memory takes it");
    encoder.finish().expect("memory takes it")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).expect("memory takes it")
}
