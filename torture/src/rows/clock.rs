//! The wall clock is stepped under load: half an hour ahead, two hours back, right again.
//!
//! A shim before libc shifts what the pipeline reads; nobody else's clock moves. Kafka takes
//! records up to an hour ahead (`message.timestamp.after.max.ms`). Oracle: nothing is refused, no
//! request times out, it stays ready, LOST 0.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, wait};

use super::Row;
use crate::{
    clock::SteppedClock,
    outcome::Outcome,
    random::Random,
    stand::{Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "clock", fault: "the wall clock is stepped", short_seconds: 45, play };

fn play(random: Random, _short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let clock = SteppedClock::new();
    let wrapper = clock.wrapper();
    let wrapper: Vec<&str> = wrapper.iter().map(String::as_str).collect();
    let pipeline = stand.launch(&wrapper, &[]);
    wait::wait_for("the pipeline", READY_WITHIN, || pipeline.is_ready().then_some(()));
    let load = stand.load(&pipeline, &["--rate", "10k", "--duration", "15s"]);
    let mut ready = true;
    for seconds in [1800, -7200, 0] {
        rest(stand.random.millis(2000, 4000));
        clock.step(seconds);
        rest(Duration::from_millis(500));
        ready &= pipeline.is_ready();
    }
    let report = load.finish();
    let mut outcome = stand.judge(&[&pipeline]);
    outcome.demand(clock.was_read(), "the pipeline never asked this clock: the row proves nothing");
    outcome.demand(report.refused().is_empty(), "spans were refused");
    outcome.demand(report.timed_out() == 0, "requests timed out");
    outcome.demand(ready, "not ready after a step");
    outcome
}

const READY_WITHIN: Duration = Duration::from_secs(60);
