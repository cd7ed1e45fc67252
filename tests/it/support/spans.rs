//! Requests to send, built with the official messages.

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue, any_value::Value},
    resource::v1::Resource,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use prost::Message;

/// A good span of trace `trace`, number `number` in it.
pub fn span(trace: u8, number: u8) -> Span {
    let mut span_id = vec![0; 8];
    span_id[6..].copy_from_slice(&[trace, number + 1]);
    Span {
        trace_id: vec![trace + 1; 16],
        span_id,
        name: format!("span {number} of trace {trace}"),
        start_time_unix_nano: 1_700_000_000_000_000_000,
        end_time_unix_nano: 1_700_000_000_000_500_000,
        attributes: vec![attribute("http.request.method", "GET")],
        ..Span::default()
    }
}

/// `span_count` good spans of trace `trace`.
pub fn trace(trace: u8, span_count: u8) -> Vec<Span> {
    (0..span_count).map(|number| span(trace, number)).collect()
}

/// A request of one Resource and one scope that holds `spans`.
pub fn request(spans: Vec<Span>) -> Vec<u8> {
    message(spans).encode_to_vec()
}

/// The same, before encoding.
pub fn message(spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![attribute("service.name", "it")],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                scope: Some(InstrumentationScope { name: "it".into(), ..Default::default() }),
                spans,
                schema_url: String::new(),
            }],
            schema_url: "https://opentelemetry.io/schemas/1.40.0".into(),
        }],
    }
}

/// An attribute.
pub fn attribute(key: &str, value: &str) -> KeyValue {
    key_value(key, any(Value::StringValue(value.into())))
}

/// An attribute whose value is an array in an array, `depth` levels deep.
pub fn nested(depth: usize) -> KeyValue {
    let mut value = any(Value::StringValue("deep".repeat(80)));
    for _ in 0..depth {
        value = any(Value::ArrayValue(ArrayValue { values: vec![value] }));
    }
    key_value("nested", value)
}

fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.into(), value: Some(value), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}
