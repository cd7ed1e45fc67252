//! The OTLP messages that the split opens: which fields they have, and of which wire type.
//!
//! opentelemetry-proto, `trace/v1/trace.proto`, `common/v1/common.proto` and
//! `resource/v1/resource.proto`. Lists begin with field 1; fields beyond a list are unknown and
//! kept.

use super::wire::Schema;
use super::wire::Wire::{Bytes, Fixed32, Fixed64, Varint};

/// resource_spans
pub(super) const REQUEST: Schema = Schema::new(&[Bytes]);

/// resource, scope_spans, schema_url
pub(super) const RESOURCE_SPANS: Schema = Schema::new(&[Bytes; 3]);

/// scope, spans, schema_url
pub(super) const SCOPE_SPANS: Schema = Schema::new(&[Bytes; 3]);

/// attributes, dropped_attributes_count, entity_refs
pub(super) const RESOURCE: Schema = Schema::new(&[Bytes, Varint, Bytes]);

/// name, version, attributes, dropped_attributes_count
pub(super) const SCOPE: Schema = Schema::new(&[Bytes, Bytes, Bytes, Varint]);

/// trace_id, span_id, trace_state, parent_span_id, name, kind, start and end time, attributes and
/// events and links each with its dropped count, status, flags
pub(super) const SPAN: Schema = Schema::new(&[
    Bytes, Bytes, Bytes, Bytes, Bytes, Varint, Fixed64, Fixed64, Bytes, Varint, Bytes, Varint,
    Bytes, Varint, Bytes, Fixed32,
]);

/// time, name, attributes, dropped_attributes_count
pub(super) const EVENT: Schema = Schema::new(&[Fixed64, Bytes, Bytes, Varint]);

/// trace_id, span_id, trace_state, attributes, dropped_attributes_count, flags
pub(super) const LINK: Schema = Schema::new(&[Bytes, Bytes, Bytes, Bytes, Varint, Fixed32]);

/// key, value, key_strindex
pub(super) const KEY_VALUE: Schema = Schema::new(&[Bytes, Bytes, Varint]);

/// string, bool, int, double, array, key-value list, bytes, string_strindex
pub(super) const ANY_VALUE: Schema =
    Schema::new(&[Bytes, Varint, Varint, Fixed64, Bytes, Bytes, Bytes, Varint]);

/// values
pub(super) const ARRAY_VALUE: Schema = Schema::new(&[Bytes]);

/// values
pub(super) const KEY_VALUE_LIST: Schema = Schema::new(&[Bytes]);

/// Field of the request.
pub(super) const REQUEST_RESOURCE_SPANS: u32 = 1;

/// Fields of ResourceSpans. The last is where scope_spans lay before OTLP 0.15, under the name
/// instrumentation_library_spans with the same content; the Collector still reads it.
pub(super) const RESOURCE_SPANS_RESOURCE: u32 = 1;
pub(super) const RESOURCE_SPANS_SCOPE_SPANS: u32 = 2;
pub(super) const RESOURCE_SPANS_SCOPE_SPANS_OLD: u32 = 1000;

/// Fields of ScopeSpans.
pub(super) const SCOPE_SPANS_SCOPE: u32 = 1;
pub(super) const SCOPE_SPANS_SPANS: u32 = 2;

/// Fields of Resource, scope and event that hold attributes.
pub(super) const RESOURCE_ATTRIBUTES: u32 = 1;
pub(super) const SCOPE_ATTRIBUTES: u32 = 3;
pub(super) const EVENT_ATTRIBUTES: u32 = 3;

/// Fields of Span.
pub(super) const SPAN_TRACE_ID: u32 = 1;
pub(super) const SPAN_SPAN_ID: u32 = 2;
pub(super) const SPAN_PARENT_SPAN_ID: u32 = 4;
pub(super) const SPAN_ATTRIBUTES: u32 = 9;
pub(super) const SPAN_EVENTS: u32 = 11;
pub(super) const SPAN_LINKS: u32 = 13;

/// Fields of Link.
pub(super) const LINK_TRACE_ID: u32 = 1;
pub(super) const LINK_SPAN_ID: u32 = 2;
pub(super) const LINK_ATTRIBUTES: u32 = 4;
