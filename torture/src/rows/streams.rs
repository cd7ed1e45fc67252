//! A thousand connections with sixty requests each at a time.
//!
//! Oracle: memory stays below 256 MiB; a client that retries is served afterwards; LOST 0. Goodput
//! is told beside that of one request each at a time, and not demanded. Kept out of selections: it
//! comes within a tenth of the bound, and they run on whatever machine there is.

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
    let mut crowd = |in_flight: &str| {
        let arguments = ["--in-flight", in_flight, "--connections", "1000", "--duration", "10s"];
        let small = ["--spans-per-request", "32", "--timeout", "30s"];
        stand.load(&pipeline, &[&arguments[..], &small].concat()).finish()
    };
    // The crowd comes first: the peak of memory is its own.
    let (sixty, one) = (crowd("60000"), crowd("1000"));
    let light = stand.load(&pipeline, &["--rate", "5k", "--duration", "3s", "--retry"]).finish();
    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    outcome.demand(light.served(), "a light load was not served after the crowd");
    outcome.note(format!(
        "goodput {:.0} spans/s; with one stream each {:.0} spans/s",
        sixty.goodput(),
        one.goodput()
    ));
    outcome.demand_bounded_memory();
    outcome
}
