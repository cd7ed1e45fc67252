//! The wall clock is stepped under load: half an hour ahead, two hours back, right again.
//!
//! A shim before libc shifts what the pipeline reads; nobody else's clock moves. Kafka takes
//! records up to an hour ahead (`message.timestamp.after.max.ms`). Oracle: every span is
//! acknowledged at its first attempt, it stays ready, LOST 0.

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
    let (mut ready, mut reads) = (true, Vec::new());
    for seconds in [1800, -7200, 0] {
        rest(stand.random.millis(2000, 4000));
        clock.step(seconds);
        reads.push(clock.reads());
        rest(Duration::from_millis(500));
        ready &= pipeline.is_ready();
    }
    let report = load.finish();
    reads.push(clock.reads());
    let mut outcome = stand.judge(&[&pipeline]);
    let each_was_seen = reads.windows(2).all(|two| two[0] < two[1]);
    outcome.demand(each_was_seen, "the clock was not asked after a step: the row proves nothing");
    outcome.demand(report.served(), "not every span was acknowledged");
    outcome.demand(ready, "not ready after a step");
    outcome
}

const READY_WITHIN: Duration = Duration::from_secs(60);
