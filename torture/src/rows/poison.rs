//! Records that are no OTLP lie between good ones.
//!
//! Oracle: each is in the dead-letter topic once at least, whole; the records behind it arrive.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "poison", fault: "records that are no OTLP", short_seconds: 35, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[]);
    let load = stand.load(&pipeline, &["--rate", "5k", "--duration", "8s", "--retry"]);
    for partition in 0..PARTITIONS {
        rest(stand.random.millis(50, 500));
        stand.kafka.produce("otel.traces", partition, &[(None, Some(POISON))]);
    }
    let report = load.finish();
    let wanted = usize::try_from(PARTITIONS).expect("a few partitions");
    let found = wait::poll(SET_ASIDE_WITHIN, || {
        let letters = stand.kafka.read_topic("otel.traces.dlq");
        let whole = letters.iter().filter(|letter| letter.value == POISON).count();
        (whole >= wanted).then_some(())
    });
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(report.served(), "not every span was acknowledged");
    outcome.demand(found.is_some(), "a poisoned record is not among the dead letters");
    outcome
}

/// The default of `KAFKA_TOPIC_PARTITIONS`.
const PARTITIONS: i32 = 8;
/// A length that reaches beyond the end.
const POISON: &[u8] = b"\x0a\x7fpoison";
const SET_ASIDE_WITHIN: Duration = Duration::from_secs(60);
