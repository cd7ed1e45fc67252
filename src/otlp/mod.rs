//! OTLP on the wire: splits a request by trace id without decoding a span.
//!
//! Pure: bytes in, ranges and bytes out. No I/O, no clock, no log, no thread, and no allocation
//! once the tables have grown to the requests that come. Owned by the publish workers (the split)
//! and the forwarder's threads (the framing walk). It must never panic on any input, never recurse,
//! and never take memory or time beyond a fixed multiple of the request.
//!
//! # The shape
//!
//! ```text
//! Request { 1: ResourceSpans { 1: Resource, 2: ScopeSpans { 1: scope, 2: Span, 3: schema_url },
//!                              3: schema_url, 1000: ScopeSpans of old senders } }
//! ```
//!
//! A record is a request again: of every message that spans of the record lie in, all fields but
//! the spans are copied verbatim and in order, unknown ones included, then the record's spans;
//! three lengths are written anew. Blocks of which the record takes no span are left out.
//!
//! # What is malformed, and what is not seen
//!
//! Opened and checked: the request, ResourceSpans, ScopeSpans, spans and links; Resources, scopes,
//! events and attribute values from 200 bytes, the shortest that can nest too deep. There, what
//! prost refuses is refused, except for text that is not UTF-8, which passes as it does in Jaeger,
//! and two things are refused that prost accepts: field 1000 if it is not a ScopeSpans, and
//! groups nested more than 64 deep. What lies in unopened parts shows when a backend refuses it.
//!
//! # Modules, in the order a request meets them
//!
//! `wire` (fields of a message), `schema` (the messages), `scan` with `span` and `nesting` (the one
//! pass), `reject` (why spans are left out), `group` (by trace), `size` and `plan` (the records),
//! `write`; `split` runs them. `framing` is the forwarder's. `signal` names what differs between
//! traces and the signals to come.

mod framing;
mod group;
mod nesting;
mod plan;
mod reject;
mod scan;
mod schema;
mod signal;
mod size;
mod span;
mod split;
#[cfg(test)]
mod tests;
mod trace_id;
mod wire;
mod write;

pub use framing::walk;
pub use plan::RecordPlan;
pub use reject::{RejectReason, Rejections};
pub use signal::{Signal, TRACES};
pub use split::{Outcome, RecordMode, SplitError, SplitRules, Splitter};
pub use trace_id::TraceId;
pub use wire::Malformed;
