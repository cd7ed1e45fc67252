//! The broker's disk is full under load, and has room again.
//!
//! No file of the broker may grow any more (RLIMIT_FSIZE), which its log meets as a full disk: the
//! write fails and Kafka ends itself. Oracle: not ready meanwhile, ready again without a restart of
//! the pipeline, every span acknowledged in the end, LOST 0.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "disk", fault: "the broker's disk is full", short_seconds: 45, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let receiver = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let load = stand.load(&receiver, &["--rate", "10k", "--duration", "15s", "--retry", "60s"]);
    rest(stand.random.millis(2000, 5000));
    stand.kafka.fill_disks();
    let noticed = wait::poll(NOTICED_WITHIN, || (!receiver.is_ready()).then_some(()));
    stand.kafka.restart();
    let recovered = wait::poll(RECOVERED_WITHIN, || receiver.is_ready().then_some(()));
    let report = load.finish();
    let mut outcome = stand.judge(&[&receiver, &forwarder]);
    outcome.demand(noticed.is_some(), "ready although nothing could be written");
    outcome.demand(recovered.is_some(), "not ready once the broker had room again");
    outcome.demand(report.served(), "not every span was acknowledged in the end");
    outcome
}

const NOTICED_WITHIN: Duration = Duration::from_secs(30);
const RECOVERED_WITHIN: Duration = Duration::from_secs(10);
