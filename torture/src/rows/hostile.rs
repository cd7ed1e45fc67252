//! Hostile clients of every kind beside a polite one.
//!
//! Oracle: every span of the polite client is acknowledged, memory stays below 256 MiB, LOST 0. Its
//! p99 alone and beside them is told and not demanded: the attackers are programs of this machine.

use std::time::{Duration, Instant};

use testbed::kafka::KafkaOptions;

use super::Row;
use crate::{
    hostility::ATTACKS,
    outcome::Outcome,
    random::Random,
    stand::{Report, Stand},
};

pub(super) const ROW: Row =
    Row { name: "hostile", fault: "hostile clients beside a polite one", short_seconds: 70, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let address = pipeline.otlp_address();
    let polite = ["--rate", "2k", "--spans-per-request", "20", "--connections", "1"];
    let mut offer = |seconds: u64| {
        let duration = format!("{seconds}s");
        stand.load(&pipeline, &[&polite[..], &["--duration", &duration]].concat())
    };
    let alone = offer(10).finish();
    // A little longer than the attacks take.
    let load = offer(ATTACK_SECONDS * ATTACKS.len() as u64 + 5);
    for attack in ATTACKS {
        attack(address, Instant::now() + Duration::from_secs(ATTACK_SECONDS));
    }
    let beside = load.finish();
    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    let harmed = beside.refused_spans() + beside.timed_out();
    outcome.demand(harmed == 0, "the polite client was harmed");
    outcome.demand_bounded_memory();
    outcome.note(format!("p99 alone {}, beside them {}", p99(&alone), p99(&beside)));
    outcome
}

fn p99(report: &Report) -> String {
    format!("{:.1} ms", report.latency_p99_us() / 1000.0)
}

const ATTACK_SECONDS: u64 = 3;
