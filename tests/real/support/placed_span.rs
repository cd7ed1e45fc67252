//! Spans with what they stand under, so that two ways of holding the same spans can be compared.
//!
//! An OTLP message may group the same spans differently (one resource once or twice, spans of a
//! trace apart or together). What must not change is each span with its own resource, scope and
//! schema URLs.

use std::collections::BTreeMap;

use opentelemetry_proto::tonic::{
    common::v1::InstrumentationScope,
    resource::v1::Resource,
    trace::v1::{ResourceSpans, Span, TracesData},
};
use prost::Message;

/// One span and everything that an OTLP message says about it.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlacedSpan {
    pub(crate) resource: Option<Resource>,
    pub(crate) resource_schema_url: String,
    pub(crate) scope: Option<InstrumentationScope>,
    pub(crate) scope_schema_url: String,
    pub(crate) span: Span,
}

/// Spans by trace id and span id.
pub(crate) type Spans = BTreeMap<(Vec<u8>, Vec<u8>), PlacedSpan>;

/// Adds every span of a message. A span may come twice, but only with the same content.
pub(crate) fn collect(messages: Vec<ResourceSpans>, into: &mut Spans) {
    for of_resource in messages {
        for of_scope in of_resource.scope_spans {
            for span in of_scope.spans {
                let id = (span.trace_id.clone(), span.span_id.clone());
                let placed = PlacedSpan {
                    resource: of_resource.resource.clone(),
                    resource_schema_url: of_resource.schema_url.clone(),
                    scope: of_scope.scope.clone(),
                    scope_schema_url: of_scope.schema_url.clone(),
                    span,
                };
                let kept = into.entry(id).or_insert_with(|| placed.clone());
                assert_eq!(*kept, placed, "one span came with two contents");
            }
        }
    }
}

/// Every span of OTLP messages in wire form: requests, or the values of records.
pub(crate) fn decode<'a>(messages: impl IntoIterator<Item = &'a [u8]>) -> Spans {
    let mut spans = Spans::new();
    for message in messages {
        // TracesData and ExportTraceServiceRequest are the same on the wire.
        let data = TracesData::decode(message).expect("opentelemetry-proto reads it");
        collect(data.resource_spans, &mut spans);
    }
    spans
}

/// Spans as Jaeger's memory store keeps them: it regroups spans, and leaves the schema URLs out.
/// Those are compared in the topic.
pub(crate) fn without_schema_urls(mut spans: Spans) -> Spans {
    for placed in spans.values_mut() {
        placed.resource_schema_url.clear();
        placed.scope_schema_url.clear();
    }
    spans
}

/// Panics with the first span that differs: thousands may be compared.
#[track_caller]
pub(crate) fn assert_same(found: &Spans, expected: &Spans) {
    for (id, placed) in expected {
        assert_eq!(found.get(id), Some(placed), "found and expected differ");
    }
    assert_eq!(found.len(), expected.len(), "spans were found that nobody sent");
}
