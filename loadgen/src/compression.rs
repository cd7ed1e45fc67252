//! Compression of request bodies. Ids are new in every request, so each is compressed when it is
//! sent: with a compression chosen, the generator's speed is the compressor's.

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

/// The content of a compressed reply, told by its first bytes; replies are small.
pub(crate) fn inflate(reply: &[u8]) -> io::Result<Vec<u8>> {
    let mut content = Vec::new();
    if reply.starts_with(&GZIP_MAGIC) {
        GzDecoder::new(reply).take(REPLY_BYTES_MAX).read_to_end(&mut content)?;
    } else {
        zstd::stream::Decoder::new(reply)?.take(REPLY_BYTES_MAX).read_to_end(&mut content)?;
    }
    Ok(content)
}

const GZIP_MAGIC: [u8; 2] = [0x1f, 0x8b];
/// A partial success with a long message fits many times.
const REPLY_BYTES_MAX: u64 = 1 << 20;

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::Compression;
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
            let mut inflated = Vec::new();
            match compression {
                Compression::Gzip => {
                    flate2::read::GzDecoder::new(message).read_to_end(&mut inflated).unwrap();
                }
                _ => inflated = zstd::stream::decode_all(message).unwrap(),
            }
            assert_eq!(inflated, body[GRPC_PREFIX_BYTES..]);
        }
    }
}
