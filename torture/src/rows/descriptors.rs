//! The process may open 64 files, two hundred clients connect, and the broker is killed and comes
//! back meanwhile.
//!
//! Oracle: clients are refused before the last descriptors are gone, so that the broker is reached
//! anew while the crowd is still there; whoever is connected is served; LOST 0.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "descriptors",
    fault: "64 file descriptors, 200 clients, the broker restarted",
    short_seconds: 90,
    play,
};

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let limited = ["sh", "-c", "ulimit -n 64 && exec \"$0\""];
    let pipeline = stand.launch(&limited, &[]);
    wait::wait_for("the pipeline", START_WITHIN, || pipeline.is_ready().then_some(()));
    let arguments = ["--rate", "2k", "--duration", "60s", "--connections", "200"];
    let mut crowd =
        stand.load(&pipeline, &[&arguments[..], &["--spans-per-request", "16"]].concat());
    rest(stand.random.millis(1500, 4000));
    stand.kafka.kill_9();
    rest(Duration::from_secs(2));
    let forwarded = pipeline.metric("forward_records_total");
    stand.kafka.restart();
    let again = wait::poll(RECOVERY_WITHIN, || {
        (pipeline.metric("forward_records_total") > forwarded).then_some(())
    });
    let beside_the_crowd = again.is_some() && crowd.is_running();
    let crowd = crowd.finish();
    let refused = pipeline.metric("receive_connections_refused_total");
    let errors = pipeline.metric("receive_accept_errors_total");
    let later = stand.load(&pipeline, &["--rate", "2k", "--duration", "3s", "--retry"]).finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(refused > 0.0, "nobody was refused: there was no crowd");
    outcome.demand(errors == 0.0, "the last descriptor was taken");
    outcome.demand(beside_the_crowd, "the broker was not reached anew beside the crowd");
    outcome.demand(crowd.acknowledged() > 0, "nobody of the crowd was served");
    outcome.demand(later.served(), "not every span was acknowledged after the crowd");
    outcome.note(format!("{refused:.0} connections refused"));
    outcome
}

const START_WITHIN: Duration = Duration::from_secs(60);
/// The broker waits six seconds, from when it is back, for a member of before that died with it.
const RECOVERY_WITHIN: Duration = Duration::from_secs(25);
