//! A thousand connections begin a thousand requests each and finish none.
//!
//! Oracle: nine of ten of the million are looked at, memory stays below 256 MiB, what the budget
//! has no room for is refused, and once they are gone a client that retries is served, LOST 0.
//! Nobody is served beside them: with every connection of a peer and the whole budget in such
//! hands, first come is first served.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, raw_http2::RawClient, wait};

use super::Row;
use crate::{
    hostility::begun_requests,
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "begun",
    fault: "1,000 connections with 1,000 begun requests each",
    short_seconds: 40,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    let address = pipeline.otlp_address();
    let begun = begun_requests();
    let clients: Vec<_> = (0..CONNECTIONS)
        .map(|_| {
            let mut client = RawClient::connect(address);
            assert!(client.send(&begun), "closed by the pipeline");
            client
        })
        .collect();
    let mut looked_at = 0.0;
    let over = wait::poll(ATTACK_WITHIN, || {
        rest(Duration::from_secs(1));
        let before = looked_at;
        looked_at = pipeline.metric("receive_requests_received_total");
        (looked_at >= LOOKED_AT_MIN && looked_at == before).then_some(())
    });
    drop(clients);
    let load = stand.load(&pipeline, &["--rate", "2k", "--duration", "5s", "--retry", "30s"]);
    let polite = load.finish();
    let refused = pipeline.metric("receive_refusals_total");
    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    let all = looked_at >= LOOKED_AT_MIN;
    outcome.demand(all, "fewer than 900,000 begun requests were looked at");
    outcome.demand(!all || over.is_some(), "the attack outlasted its time");
    outcome.demand(refused > 0.0, "nothing was refused: the budget was not short");
    outcome.demand(polite.served(), "not served in the end");
    outcome.demand_bounded_memory();
    outcome.note(format!("{looked_at:.0} requests looked at, {refused:.0} refused"));
    outcome
}

const CONNECTIONS: usize = 1000;
/// Of a million: some are on their way when a connection has said all it may.
const LOOKED_AT_MIN: f64 = 9e5;
/// A slow machine takes its time; this ends when nothing is looked at any more.
const ATTACK_WITHIN: Duration = Duration::from_secs(180);
