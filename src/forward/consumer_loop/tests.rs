//! The loop with a real consumer on a mock cluster; its turns are taken by the test.

use std::{sync::Arc, time::Duration};

use rdkafka::{
    ClientConfig,
    mocking::MockCluster,
    producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer},
};

use super::*;
use crate::{
    config::Config, forward::half::ForwardHalf, health::Health, internal_telemetry::Telemetry,
    kafka::NextOffset,
};

const TOPIC: &str = "otel.traces";
const P: PartitionId = PartitionId(0);
const DEADLINE: Duration = Duration::from_secs(60);

fn produce(cluster: &MockCluster<'_, DefaultProducerContext>) {
    let mut settings = ClientConfig::new();
    let producer: BaseProducer =
        settings.set("bootstrap.servers", cluster.bootstrap_servers()).create().unwrap();
    let record: BaseRecord<'_, [u8], [u8]> =
        BaseRecord::to(TOPIC).partition(P.0).payload(b"".as_slice());
    producer.send(record).map_err(|(error, _)| error).unwrap();
    producer.flush(DEADLINE).unwrap();
}

fn forward_loop(brokers: &str, telemetry: &Arc<Telemetry>) -> ForwardLoop {
    let consumer = "fetch.wait.max.ms=10,session.timeout.ms=3000,heartbeat.interval.ms=500";
    let settings = [
        ("ROLE", "forward"),
        ("KAFKA_BROKERS", brokers),
        ("KAFKA_TOPIC", TOPIC),
        ("KAFKA_CONSUMER_CONFIG", consumer),
        ("JAEGER_ENDPOINT", "http://127.0.0.1:1"),
    ];
    let config = Config::from_pairs(settings).unwrap();
    let half = ForwardHalf::prepare(&config, 1, telemetry, &Health::new()).unwrap();
    half.loops.into_iter().next().unwrap()
}

fn turn_until(forward: &mut ForwardLoop, what: &str, condition: impl Fn(&ForwardLoop) -> bool) {
    let deadline = Instant::now() + DEADLINE;
    while !condition(forward) {
        assert!(Instant::now() < deadline, "not within {DEADLINE:?}: {what}");
        forward.turn().unwrap();
    }
}

/// A partition that has stopped handing records over, with nothing known of the newer ones, is
/// noticed and fetched anew: it goes on where it stood.
#[test]
fn a_partition_that_fell_silent_goes_on() {
    let cluster = MockCluster::new(1).unwrap();
    cluster.create_topic(TOPIC, 1, 1).unwrap();
    let telemetry = Arc::new(Telemetry::new());
    let mut forward = forward_loop(&cluster.bootstrap_servers(), &telemetry);
    forward.watchdog = Watchdog::new(Duration::from_secs(6));
    let received = |count| {
        let next = Some(NextOffset(count));
        move |forward: &ForwardLoop| forward.window.offsets().received(P, NextOffset(0)) == next
    };
    produce(&cluster);
    turn_until(&mut forward, "the first record", received(1));
    // Behind the loop's back, as a race of pausing and rebalancing would leave it.
    forward.consumer.pause().unwrap();
    produce(&cluster);
    turn_until(&mut forward, "the second record", received(2));
    assert_eq!(telemetry.forward.watchdog_seeks.get(), 1);
    assert_eq!(telemetry.forward.records_consumed.get(), 2, "none twice");
    forward.finish();
}
