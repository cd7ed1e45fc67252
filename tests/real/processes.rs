//! Several pipelines at work on one topic.

use std::time::Duration;

use crate::support::{
    load::{Load, SPANS_PER_TRACE},
    otlp::{self, Client},
    placed_span::{self, Spans},
    scene::Scene,
    wait,
};

const REBALANCE_WITHIN: Duration = Duration::from_secs(60);
const LOAD_WITHIN: Duration = Duration::from_secs(60);
const EXIT_WITHIN: Duration = Duration::from_secs(60);

/// Two processes of one group each forward a share, and together everything; when one leaves, the
/// other forwards all of it.
#[test]
fn two_processes_share_one_group() {
    let scene = Scene::new("group");
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let mut first = scene.pipeline(&[("ROLE", "forward")]);
    let alone = wait::wait_for("the first to join", REBALANCE_WITHIN, || {
        scene.kafka().stable_member_count(&scene.group).filter(|count| *count > 0)
    });
    let second = scene.pipeline(&[("ROLE", "forward")]);
    wait::wait_for("the second to join", REBALANCE_WITHIN, || {
        scene.kafka().stable_member_count(&scene.group).filter(|count| *count > alone)
    });

    deliver_traces(&scene, &receive.otlp_endpoint(), 300);
    assert!(first.metric("forward_records_consumed_total") > 0.0);
    assert!(second.metric("forward_records_consumed_total") > 0.0);

    first.sigterm();
    assert!(first.wait_exit(EXIT_WITHIN).success());
    deliver_traces(&scene, &receive.otlp_endpoint(), 300);
}

/// `receive` alone takes spans into Kafka and joins no group; `forward` alone takes no spans and
/// brings them to Jaeger.
#[test]
fn each_role_does_its_half() {
    let scene = Scene::new("roles");
    let receive = scene.pipeline(&[("ROLE", "receive")]);
    let request = otlp::request(&scene.service, otlp::trace(otlp::unique_trace_id(), 3, 10));
    Client::new(&receive.otlp_endpoint()).export(&request).expect("receive takes spans");
    assert_eq!(scene.kafka().read_topic(&scene.topic).len(), 1);
    assert_eq!(scene.kafka().stable_member_count(&scene.group), None);

    let forward = scene.pipeline(&[("ROLE", "forward")]);
    Client::new(&forward.otlp_endpoint()).export(&request).expect_err("forward takes no spans");
    let mut sent = Spans::new();
    placed_span::collect(request.resource_spans, &mut sent);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}

/// Sends at least `trace_count` traces and waits until Jaeger holds every acknowledged one.
fn deliver_traces(scene: &Scene, endpoint: &str, trace_count: usize) {
    let load = Load::start(endpoint, &scene.service, 2);
    wait::wait_for("acknowledged traces", LOAD_WITHIN, || {
        (load.acknowledged_count() >= trace_count).then_some(())
    });
    let acknowledged = load.finish();
    let sent = scene.acknowledged_spans(scene.kafka(), &acknowledged);
    assert_eq!(sent.len() as u64, acknowledged.len() as u64 * SPANS_PER_TRACE);
    let stored = scene.await_in_jaeger(&sent);
    placed_span::assert_same(&stored, &placed_span::without_schema_urls(sent));
}
