//! The HTTP pages while spans flow.

use crate::support::{
    otlp::{self, Client},
    placed_span::{self, Spans},
    promtool,
    scene::Scene,
};

/// `/healthz` and `/readyz` answer ok, `/metrics` is what Prometheus expects and its counters
/// reconcile, `/latency` is JSON.
#[test]
fn pages_answer_and_counters_reconcile() {
    let scene = Scene::new("pages");
    let pipeline = scene.pipeline(&[]);
    let request = otlp::request(&scene.service, otlp::trace(otlp::unique_trace_id(), 7, 10));
    Client::new(&pipeline.otlp_endpoint()).export(&request).expect("it is taken");
    let mut sent = Spans::new();
    placed_span::collect(request.resource_spans, &mut sent);
    scene.await_in_jaeger(&sent);

    for path in ["/healthz", "/readyz"] {
        let answer = pipeline.http_get(path);
        assert_eq!((answer.status, answer.body.trim_end()), (200, "ok"), "{path}");
    }
    promtool::check_metrics(&pipeline.http_get("/metrics").body);
    assert_eq!(pipeline.metric("publish_spans_received_total"), 7.0);
    let answered = pipeline.metric("publish_spans_total");
    assert_eq!(answered + pipeline.metric("publish_spans_in_flight"), 7.0);
    let latency = pipeline.http_get("/latency").body;
    let report: serde_json::Value = serde_json::from_str(&latency).expect("/latency is JSON");
    assert!(report.is_object(), "{latency}");
}
