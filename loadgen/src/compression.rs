//! Compression of request bodies, and of the answers that some receivers compress.
//!
//! Ids are new in every request, so each is compressed when it is sent: with a compression chosen,
//! the generator's speed is the compressor's.

use std::io::{self, Read, Write};

use bytes::Bytes;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;

use crate::payload::{GRPC_PREFIX_BYTES, grpc_prefix};

/// What the bodies are compressed with, by its name in `grpc-encoding`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Compression {
    #[default]
    None,
    /// Level 6, zlib's default and that of SDKs and the Collector.
    Gzip,
    /// Level 3, zstd's default.
    Zstd,
}

impl Compression {
    /// The value of `grpc-encoding`; `None` when the header is left out.
    pub(crate) fn encoding(self) -> Option<&'static str> {
        match self {
            Self::None => None,
            Self::Gzip => Some("gzip"),
            Self::Zstd => Some("zstd"),
        }
    }

    /// The gRPC message `body`, prefix included, with its content compressed; `None` when nothing
    /// is to be compressed.
    pub(crate) fn compress(self, body: &[u8]) -> io::Result<Option<Bytes>> {
        let message = &body[GRPC_PREFIX_BYTES..];
        let mut compressed = Vec::with_capacity(body.len() / 2);
        compressed.extend_from_slice(&[0; GRPC_PREFIX_BYTES]);
        match self {
            Self::None => return Ok(None),
            Self::Gzip => {
                let mut encoder = GzEncoder::new(&mut compressed, flate2::Compression::default());
                encoder.write_all(message)?;
                encoder.finish()?;
            }
            Self::Zstd => zstd::stream::copy_encode(message, &mut compressed, 3)?,
        }
        let prefix = grpc_prefix(true, compressed.len() - GRPC_PREFIX_BYTES);
        compressed[..GRPC_PREFIX_BYTES].copy_from_slice(&prefix);
        Ok(Some(compressed.into()))
    }
}

/// The content of `message`, which its sender compressed and named so in `grpc-encoding`, up to
/// `bytes_max`; `None` when it is not that.
pub(crate) fn inflate(encoding: &[u8], message: &[u8], bytes_max: usize) -> Option<Vec<u8>> {
    let mut inflated = Vec::new();
    let limit = bytes_max as u64;
    let read = match encoding {
        b"gzip" => GzDecoder::new(message).take(limit).read_to_end(&mut inflated),
        b"zstd" => zstd::Decoder::new(message)
            .and_then(|decoder| decoder.take(limit).read_to_end(&mut inflated)),
        _ => return None,
    };
    read.ok().map(|_| inflated)
}

#[cfg(test)]
mod tests {
    use super::{Compression, inflate};
    use crate::payload::GRPC_PREFIX_BYTES;

    /// A compressed message carries the flag and its new length, and inflates to the original.
    #[test]
    fn messages_are_compressed_and_framed() {
        let mut body = vec![0; GRPC_PREFIX_BYTES];
        body.extend_from_slice(&b"spans ".repeat(100));
        assert!(Compression::None.compress(&body).unwrap().is_none());

        for compression in [Compression::Gzip, Compression::Zstd] {
            let framed = compression.compress(&body).unwrap().unwrap();
            let (prefix, message) = framed.split_at(GRPC_PREFIX_BYTES);
            assert_eq!(prefix[0], 1);
            assert_eq!(prefix[1..], (message.len() as u32).to_be_bytes());
            let encoding = compression.encoding().unwrap().as_bytes();
            let original = &body[GRPC_PREFIX_BYTES..];
            assert_eq!(inflate(encoding, message, 1_000).as_deref(), Some(original));
            assert_eq!(inflate(encoding, message, 10).as_deref(), Some(&original[..10]));
            assert_eq!(inflate(encoding, original, 1_000), None);
        }
        assert_eq!(inflate(b"snappy", b"", 1_000), None);
    }
}
