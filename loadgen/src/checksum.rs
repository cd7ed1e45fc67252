//! What makes a damaged span recognisable: a hash of everything in it that the generator does not
//! change from request to request, carried by the span itself.
//!
//! Pure. The hash covers the Resource, the scope, both schema URLs and the span without its ids,
//! its start and the checksum attribute; of its end, how long after the start it is. The ids are
//! checked by what they say. It is computed over prost's encoding, so the order of fields on the
//! wire does not matter; that of attributes does.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

use crate::ids::mix;

/// The attribute that carries the checksum: 16 hexadecimal characters.
pub(crate) const CHECKSUM_KEY: &str = "loadgen.checksum";

/// Computes checksums; owns the scratch buffer they are encoded into.
#[derive(Default)]
pub(crate) struct Checksums {
    scratch: Vec<u8>,
}

/// The part of a checksum that all spans of one scope share.
#[derive(Clone, Copy)]
pub(crate) struct ScopeHash(u64);

impl Checksums {
    /// Hashes what surrounds the spans of `scope_spans`.
    pub(crate) fn scope(&mut self, resource: &ResourceSpans, scope: &ScopeSpans) -> ScopeHash {
        let mut hash = 0;
        if let Some(resource) = &resource.resource {
            hash = self.message(hash, resource);
        }
        hash = absorb(hash, resource.schema_url.as_bytes());
        if let Some(scope) = &scope.scope {
            hash = self.message(hash, scope);
        }
        ScopeHash(absorb(hash, scope.schema_url.as_bytes()))
    }

    /// Takes ids, start and the checksum attribute out of `span`, makes its end a duration, and
    /// hashes the rest. Returns the hash, and the one that the span carried.
    pub(crate) fn strip(&mut self, scope: ScopeHash, span: &mut Span) -> (u64, Option<u64>) {
        span.trace_id.clear();
        span.span_id.clear();
        span.parent_span_id.clear();
        let start = std::mem::take(&mut span.start_time_unix_nano);
        span.end_time_unix_nano = span.end_time_unix_nano.wrapping_sub(start);
        // The Collector writes a status of no content where there was none; they mean the same.
        span.status.take_if(|status| *status == Status::default());
        let position = span.attributes.iter().position(|attribute| attribute.key == CHECKSUM_KEY);
        let carried = position.and_then(|position| {
            match span.attributes.remove(position).value.and_then(|value| value.value) {
                Some(Value::StringValue(text)) => u64::from_str_radix(&text, 16).ok(),
                _ => None,
            }
        });
        (self.message(scope.0, span), carried)
    }

    fn message(&mut self, hash: u64, message: &impl Message) -> u64 {
        self.scratch.clear();
        message.encode_raw(&mut self.scratch);
        absorb(hash, &self.scratch)
    }
}

/// Adds `bytes` and their length to a hash, eight bytes at a time.
fn absorb(hash: u64, bytes: &[u8]) -> u64 {
    let (words, rest) = bytes.as_chunks::<8>();
    let mut hash = mix(hash ^ bytes.len() as u64);
    for word in words {
        hash = mix(hash ^ u64::from_le_bytes(*word));
    }
    let mut last = [0; 8];
    last[..rest.len()].copy_from_slice(rest);
    mix(hash ^ u64::from_le_bytes(last))
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};

    use super::Checksums;

    fn checksum(change: impl Fn(&mut ResourceSpans, &mut ScopeSpans, &mut Span)) -> u64 {
        let mut parts = <(ResourceSpans, ScopeSpans, Span)>::default();
        change(&mut parts.0, &mut parts.1, &mut parts.2);
        let mut checksums = Checksums::default();
        let scope = checksums.scope(&parts.0, &parts.1);
        checksums.strip(scope, &mut parts.2).0
    }

    /// An empty status is none, as the Collector writes it; one that says something counts.
    #[test]
    fn an_empty_status_is_none() {
        let plain = checksum(|_, _, _| {});
        assert_eq!(plain, checksum(|_, _, span| span.status = Some(Status::default())));
        let failed = Status { code: 2, ..Status::default() };
        assert_ne!(plain, checksum(|_, _, span| span.status = Some(failed.clone())));
    }

    /// Content changes the checksum wherever it is, and so does a duration; ids and the moment do
    /// not.
    #[test]
    fn content_counts_and_identity_does_not() {
        let plain = checksum(|_, _, _| {});
        assert_eq!(plain, checksum(|_, _, span| span.trace_id = vec![1; 16]));
        let lasting = |start, duration| {
            checksum(|_, _, span| {
                span.start_time_unix_nano = start;
                span.end_time_unix_nano = start + duration;
            })
        };
        assert_eq!(plain, lasting(7, 0));
        assert_eq!(lasting(7, 5), lasting(9, 5));
        assert_ne!(lasting(7, 5), lasting(7, 6));
        assert_ne!(plain, checksum(|_, _, span| span.name = "other".to_owned()));
        assert_ne!(plain, checksum(|resource, _, _| resource.schema_url = "u".to_owned()));
        assert_ne!(plain, checksum(|_, scope, _| scope.schema_url = "u".to_owned()));
        assert_ne!(
            checksum(|resource, _, _| resource.schema_url = "u".to_owned()),
            checksum(|_, scope, _| scope.schema_url = "u".to_owned()),
        );
    }
}
