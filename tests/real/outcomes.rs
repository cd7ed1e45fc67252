//! What the real backends answer when something is wrong, and what becomes of the records.

use std::time::Duration;

use opentelemetry_proto::tonic::trace::v1::{ScopeSpans, Span};
use prost::Message;

use crate::support::{
    collector::Collector,
    otlp,
    placed_span::{self, Spans},
    scene::Scene,
    wait,
};

const WITHIN: Duration = Duration::from_secs(60);
const PARTITION: i32 = 0;

/// A request that every framing walk passes and no decoder takes: its one span ends in an attribute
/// whose own bytes break off.
pub(crate) fn undecodable(span: &Span) -> Vec<u8> {
    const ATTRIBUTES: u8 = 9 << 3 | 2;
    let mut span = span.encode_to_vec();
    span.extend([ATTRIBUTES, 1, 0xff]);
    let field = |number: u8, content: &[u8]| {
        let mut bytes = vec![number << 3 | 2];
        prost::encode_length_delimiter(content.len(), &mut bytes).expect("a vector has room");
        bytes.extend(content);
        bytes
    };
    let scope_spans = [ScopeSpans::default().encode_to_vec(), field(2, &span)].concat();
    field(1, &field(2, &scope_spans))
}

/// Good, undecodable, good: the good ones arrive, the other one becomes a dead letter.
fn poison_is_set_aside(scene: &Scene, backend: &str) {
    scene.kafka().create_topic(&scene.topic, 1);
    let mut sent = Spans::new();
    let poison = undecodable(&otlp::trace(otlp::unique_trace_id(), 1, 10)[0]);
    for value in [None, Some(&poison), None] {
        let request = otlp::request(&scene.service, otlp::trace(otlp::unique_trace_id(), 3, 10));
        let good = request.encode_to_vec();
        let value = value.unwrap_or(&good);
        scene.kafka().produce(&scene.topic, PARTITION, &[(Some(b"key"), Some(value))]);
        if *value == good {
            placed_span::collect(request.resource_spans, &mut sent);
        }
    }
    let forward = scene.pipeline(&[("ROLE", "forward"), ("JAEGER_ENDPOINT", backend)]);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
    wait::wait_for("the dead letter", WITHIN, || {
        (forward.metric("forward_dead_letters_total") == 1.0).then_some(())
    });
    let letters = scene.kafka().read_topic(&format!("{}.dlq", scene.topic));
    let values: Vec<&[u8]> = letters.iter().map(|letter| letter.value.as_slice()).collect();
    assert_eq!(values, [poison.as_slice()]);
    assert_eq!(letters[0].headers["otel.dlq.original.offset"], "1");
}

/// Jaeger cannot decode a record: it is set aside, its neighbours are stored.
#[test]
fn jaeger_refuses_data() {
    let scene = Scene::new("jaeger-data");
    let backend = scene.jaeger().otlp_endpoint();
    poison_is_set_aside(&scene, &backend);
}

/// The same with the Collector between us and Jaeger.
#[test]
fn the_collector_refuses_data() {
    let scene = Scene::new("collector-data");
    let relay = Collector::relay(&scene.jaeger().otlp_endpoint());
    poison_is_set_aside(&scene, &relay.otlp_endpoint());
}

/// A backend that takes no traces is a mistake of the configuration: nothing is set aside and
/// nothing is committed, and with the right address everything arrives.
#[test]
fn a_wrong_backend_loses_nothing() {
    let scene = Scene::new("wrong-backend");
    scene.kafka().create_topic(&scene.topic, 1);
    let request = otlp::request(&scene.service, otlp::trace(otlp::unique_trace_id(), 3, 10));
    let record = [(None, Some(&*request.encode_to_vec()))];
    scene.kafka().produce(&scene.topic, PARTITION, &record);
    let mut sent = Spans::new();
    placed_span::collect(request.resource_spans, &mut sent);

    let deaf = Collector::metrics_only(&scene.jaeger().otlp_endpoint());
    let mut wrong =
        scene.pipeline(&[("ROLE", "forward"), ("JAEGER_ENDPOINT", &deaf.otlp_endpoint())]);
    let retries = "forward_retries_total{class=\"configuration\"}";
    wait::wait_for("several tries", WITHIN, || {
        let page = wrong.http_get("/metrics").body;
        let count = page.lines().find_map(|line| line.split(retries).nth(1)?.trim().parse().ok());
        (count.unwrap_or(0.0) >= 3.0).then_some(())
    });
    assert_eq!(wrong.metric("forward_dead_letters_total"), 0.0);
    assert_eq!(scene.kafka().committed(&scene.group, &scene.topic).get(&PARTITION), None);
    wrong.sigterm();
    assert!(wrong.wait_exit(WITHIN).success());

    let _right = scene.pipeline(&[("ROLE", "forward")]);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}
