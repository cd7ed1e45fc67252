//! The deepest attributes that are let through, for decoders that nest as they do.

use std::time::Duration;

use opentelemetry_proto::tonic::common::v1::{
    AnyValue, ArrayValue, KeyValue, KeyValueList, any_value::Value,
};
use otel_event_pipeline::limits::NESTING_MESSAGES_MAX;

use crate::support::{
    collector::Collector,
    otlp::{self, Client, hex},
    scene::Scene,
    wait,
};

/// An event's attribute as deep as the limit, by arrays and by key-value lists, passes through the
/// Collector into Jaeger, which shows it whole; one level more is rejected here.
#[test]
fn the_deepest_passes_the_collector_into_jaeger() {
    let scene = Scene::new("nesting");
    let collector = Collector::relay(&scene.jaeger().otlp_endpoint());
    let pipeline = scene.pipeline(&[("JAEGER_ENDPOINT", &collector.otlp_endpoint())]);
    let mut client = Client::new(&pipeline.otlp_endpoint());
    for lists in [false, true] {
        // The attribute and its value are two messages; a level is two more, or three.
        let levels = (NESTING_MESSAGES_MAX - 2) / if lists { 3 } else { 2 };
        let trace_id = otlp::unique_trace_id();
        for (levels, rejected) in [(levels, 0), (levels + 1, 1)] {
            let mut spans = otlp::trace(trace_id, 1, 20);
            spans[0].events[0].attributes.push(nested(levels, lists));
            let answer = client.export(&otlp::request(&scene.service, spans)).expect("it answers");
            assert_eq!(answer.partial_success.unwrap_or_default().rejected_spans, rejected);
        }
        let page = format!("/api/traces/{}", hex(&trace_id));
        let shown = wait::poll(DELIVERED_WITHIN, || {
            let answer = scene.jaeger().query(&page)?;
            answer.to_string().contains(INNERMOST).then_some(())
        });
        assert!(shown.is_some(), "Jaeger shows the innermost value, lists: {lists}");
    }
    assert_eq!(pipeline.metric("forward_dead_letters_total"), 0.0);
}

/// An attribute with a text in `levels` containers.
fn nested(levels: usize, lists: bool) -> KeyValue {
    let mut value = any(Value::StringValue(INNERMOST.to_owned()));
    for _ in 0..levels {
        value = any(if lists {
            Value::KvlistValue(KeyValueList { values: vec![key_value("level", value)] })
        } else {
            Value::ArrayValue(ArrayValue { values: vec![value] })
        });
    }
    key_value("nested", value)
}

fn key_value(key: &str, value: AnyValue) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(value), ..KeyValue::default() }
}

fn any(value: Value) -> AnyValue {
    AnyValue { value: Some(value) }
}

const INNERMOST: &str = "the innermost value";
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
