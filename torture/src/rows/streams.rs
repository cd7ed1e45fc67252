//! A thousand connections with sixty requests each at a time.
//!
//! Oracle: memory stays below 256 MiB; LOST 0. Kept out of selections: it comes within a tenth of
//! the bound, and they run on whatever machine there is.

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{outcome::Outcome, random::Random, stand::Stand};

pub(super) const ROW: Row = Row {
    name: "streams",
    fault: "1,000 connections with 60 streams each",
    short_seconds: 0,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let arguments = ["--in-flight", "60000", "--connections", "1000", "--duration", "10s"];
    let small = ["--spans-per-request", "32", "--timeout", "30s"];
    stand.load(&pipeline, &[&arguments[..], &small].concat()).finish();
    stand.load(&pipeline, &["--rate", "5k", "--duration", "3s", "--retry"]).finish();
    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    outcome.demand_bounded_memory();
    outcome
}
