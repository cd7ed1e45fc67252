//! Inflating honest, broken and hostile messages.

use std::{io::Write, sync::Arc};

use flate2::{Compression, write::GzEncoder};

use super::*;
use crate::publish::Budget;

const MIB: usize = 1 << 20;

fn charge(bytes_max: usize) -> (Charge, Arc<Budget>) {
    let process = Arc::new(Budget::new(bytes_max));
    let charge = Charge::open(Arc::clone(&process), Arc::new(Budget::new(bytes_max))).unwrap();
    (charge, process)
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 3).unwrap()
}

/// Bytes that compress, but not well.
fn sample(len: usize) -> Vec<u8> {
    (0..len as u32).flat_map(|i| i.wrapping_mul(2_654_435_761).to_le_bytes()).take(len).collect()
}

fn frames(bytes: &[u8], frame_bytes: usize) -> Vec<Bytes> {
    bytes.chunks(frame_bytes.max(1)).map(Bytes::copy_from_slice).collect()
}

/// Whatever the frames' boundaries, the message comes out whole, also when a context is reused.
#[test]
fn every_framing_inflates() {
    let message = sample(200_000);
    let mut inflater = Inflater::new();
    for frame_bytes in [1 << 20, 16_384, 1_000, 7] {
        for (encoding, wire) in [
            (Encoding::Identity, message.clone()),
            (Encoding::Gzip, gzip(&message)),
            (Encoding::Zstd, zstd(&message)),
        ] {
            let (mut charge, _) = charge(64 * MIB);
            let frames = frames(&wire, frame_bytes);
            let linear = inflater.linear(&frames, encoding, MIB, &mut charge).unwrap();
            assert!(linear == message, "{encoding:?} in frames of {frame_bytes}");
        }
    }
}

/// A message that fills its bound is taken however it is cut, also when only its end comes late.
#[test]
fn the_largest_message_is_taken_however_it_is_cut() {
    let message = sample(200_000);
    let mut inflater = Inflater::new();
    for (encoding, wire) in [(Encoding::Gzip, gzip(&message)), (Encoding::Zstd, zstd(&message))] {
        for last in [1, 4, 8, 9, wire.len()] {
            let (start, end) = wire.split_at(wire.len() - last);
            let frames = [start, end].map(Bytes::copy_from_slice);
            let (mut charge, _) = charge(64 * MIB);
            let taken = inflater.linear(&frames, encoding, message.len(), &mut charge);
            assert!(taken.is_ok_and(|taken| taken == message), "{encoding:?}, {last}");
            let refused = inflater.linear(&frames, encoding, message.len() - 1, &mut charge);
            let too_large = InflateError::TooLarge { bytes_max: message.len() - 1 };
            assert_eq!(refused, Err(too_large), "{encoding:?}, {last}");
        }
    }
}

/// Several gzip members or zstd frames in a row are one message (RFC 1952 2.2, RFC 8878 3.1).
#[test]
fn members_are_joined() {
    let (mut charge, _) = charge(64 * MIB);
    let mut inflater = Inflater::new();
    for (encoding, wire) in [
        (Encoding::Gzip, [gzip(b"one, "), gzip(b"two")].concat()),
        (Encoding::Zstd, [zstd(b"one, "), zstd(b"two")].concat()),
    ] {
        for frame_bytes in [1, wire.len()] {
            let frames = frames(&wire, frame_bytes);
            let linear = inflater.linear(&frames, encoding, MIB, &mut charge).unwrap();
            assert_eq!(linear, b"one, two");
        }
    }
}

/// Truncated at any byte, or not compressed at all: malformed, never a shorter message.
#[test]
fn truncation_is_malformed() {
    let message = sample(3_000);
    let mut inflater = Inflater::new();
    for (encoding, wire) in [(Encoding::Gzip, gzip(&message)), (Encoding::Zstd, zstd(&message))] {
        for len in 0..wire.len() {
            let (mut charge, _) = charge(64 * MIB);
            let frames = frames(&wire[..len], 512);
            let error = inflater.linear(&frames, encoding, MIB, &mut charge).unwrap_err();
            assert!(matches!(error, InflateError::Malformed { .. }), "{encoding:?} {len}: {error}");
        }
        let (mut charge, _) = charge(64 * MIB);
        let error = inflater.linear(&frames(b"plain", 5), encoding, MIB, &mut charge).unwrap_err();
        assert!(matches!(error, InflateError::Malformed { .. }), "{encoding:?}: {error}");
    }
}

/// A bomb is refused at the limit, having taken no more memory or budget than twice that.
#[test]
fn bombs_are_bounded() {
    let zeros = vec![0; 16 * MIB];
    let mut inflater = Inflater::new();
    for (encoding, wire) in [(Encoding::Gzip, gzip(&zeros)), (Encoding::Zstd, zstd(&zeros))] {
        let (mut charge, process) = charge(64 * MIB);
        let frames = frames(&wire, 16_384);
        let error = inflater.linear(&frames, encoding, MIB, &mut charge).unwrap_err();
        assert!(matches!(error, InflateError::TooLarge { .. }), "{encoding:?}: {error}");
        assert!(process.bytes_used() <= 2 * MIB, "{encoding:?}: {}", process.bytes_used());
        assert!(inflater.output.capacity() <= 2 * MIB);
    }
}

/// A message just at the limit passes, one byte more does not.
#[test]
fn limit_is_exact() {
    let message = sample(100_000);
    let mut inflater = Inflater::new();
    for (encoding, wire) in [(Encoding::Gzip, gzip(&message)), (Encoding::Zstd, zstd(&message))] {
        let (mut charge, _) = charge(64 * MIB);
        let frames = frames(&wire, 16_384);
        assert!(inflater.linear(&frames, encoding, 100_000, &mut charge).is_ok(), "{encoding:?}");
        let error = inflater.linear(&frames, encoding, 99_999, &mut charge).unwrap_err();
        assert_eq!(error, InflateError::TooLarge { bytes_max: 99_999 });
    }
}

/// Output that the budget has no room for is a shortage, not a large request.
#[test]
fn output_is_charged() {
    let wire = gzip(&vec![b'x'; 4 * MIB]);
    let (mut charge, _) = charge(MIB);
    let error = Inflater::new()
        .linear(&frames(&wire, 16_384), Encoding::Gzip, 16 * MIB, &mut charge)
        .unwrap_err();
    assert_eq!(error, InflateError::Short(Shortage::Process));
}
