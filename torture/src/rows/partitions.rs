//! Partitions are added under load.
//!
//! Oracle: every span is acknowledged, LOST 0, and the added partitions hold records.

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "partitions", fault: "partitions are added under load", short_seconds: 40, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    // Looked for every second, rather than every half minute.
    let soon = "topic.metadata.refresh.interval.ms=1000,session.timeout.ms=6000";
    let pipeline =
        stand.pipeline(&[("KAFKA_TOPIC_PARTITIONS", "4"), ("KAFKA_CONSUMER_CONFIG", soon)]);
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "15s", "--retry"]);
    rest(stand.random.millis(1000, 4000));
    stand.kafka.add_partitions("otel.traces", 8);
    let report = load.finish();
    let ends = stand.kafka.ends("otel.traces");
    let mut outcome = stand.judge(&[&pipeline]);
    let added_used = (4..8).all(|partition| ends.get(&partition).is_some_and(|end| *end > 0));
    outcome.demand(report.served(), "not every span was acknowledged");
    outcome.demand(added_used, "an added partition is empty");
    outcome
}
