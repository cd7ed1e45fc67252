//! Members of the consumer group come and go every few seconds, every other one with a static name;
//! some end in order, some are killed.
//!
//! Oracle: every span is acknowledged; LOST 0, which no partition without an owner in the end
//! would allow; who is asked to end does so with exit code 0. A new owner begins at what was
//! committed and keeps a partition's order, so that no span comes for the first time after a later
//! one of its trace: REORDERED 0. The member that stays sees its partitions come and go; members
//! that come while a rebalance waits for a dead one share it, so that changes are fewer.

use std::time::Duration;

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, wait};

use super::{ORDERED, Row};
use crate::{
    outcome::Outcome,
    random::Random,
    stand::{Report, Stand, rest},
};

pub(super) const ROW: Row = Row {
    name: "storm",
    fault: "members join and leave every few seconds",
    short_seconds: 75,
    play,
};

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let receiver = stand.pipeline(&[("ROLE", "receive")]);
    let fixed = stand.pipeline(&[("ROLE", "forward"), ("INSTANCE", "fixed")]);
    let duration = if short { "25s" } else { "45s" };
    let steady = ["--rate", "3k", "--duration", duration, "--retry"];
    let mut load = stand.load(&receiver, &steady);
    let ordered = stand.load(&receiver, &[ORDERED, &["--duration", duration]].concat());
    let before = fixed.metric(REBALANCES);
    let mut storm = Storm::default();
    while load.is_running() {
        rest(stand.random.millis(500, 2500));
        storm.change(&mut stand);
    }
    let reports = [load.finish(), ordered.finish()];
    storm.end(&mut stand);
    let mut outcome = stand.judge(&[&receiver, &fixed]);
    let seen = fixed.metric(REBALANCES) - before;
    outcome.demand(reports.iter().all(Report::served), "not every span was acknowledged");
    outcome.demand(outcome.reordered == 0, "spans came before earlier ones of their trace");
    storm.judge(&mut outcome, seen);
    outcome
}

/// The members that come and go.
#[derive(Default)]
struct Storm {
    members: Vec<Member>,
    /// Asked to end, and not yet looked at.
    leaving: Vec<Pipeline>,
    launched: usize,
    /// Members that took part in the group before they went: without a name of their own, with.
    joined: [u32; 2],
    killed: u32,
    /// How many ended when asked to, and how many of them with another exit code than 0.
    ended: [u32; 2],
}

struct Member {
    pipeline: Pipeline,
    is_static: bool,
}

impl Storm {
    fn change(&mut self, stand: &mut Stand) {
        let room = self.members.len() < MEMBERS_MAX;
        if self.members.is_empty() || room && stand.random.below(2) == 0 {
            self.join(stand);
        } else {
            let leaver = self.members.remove(0);
            let is_killed = stand.random.below(2) == 0;
            self.leave(stand, leaver, is_killed);
        }
    }

    /// No name is ever taken twice: two members alive would drive each other out.
    fn join(&mut self, stand: &Stand) {
        self.launched += 1;
        let name = format!("member-{}", self.launched);
        let is_static = self.launched.is_multiple_of(2);
        let named = [("ROLE", "forward"), ("INSTANCE", name.as_str())];
        let settings = if is_static { &named[..] } else { &named[..1] };
        self.members.push(Member { pipeline: stand.launch(&[], settings), is_static });
    }

    fn leave(&mut self, stand: &mut Stand, leaver: Member, is_killed: bool) {
        let Member { mut pipeline, is_static } = leaver;
        // Before that nobody listens to signals.
        wait::wait_for("a member's page", START_WITHIN, || pipeline.answers().then_some(()));
        let has_joined = || pipeline.metric(REBALANCES) > 0.0;
        // Of each kind one at the least joins before it goes, however it goes.
        if !is_killed || self.joined[usize::from(is_static)] == 0 {
            // In vain where the group takes longer: then it leaves while it joins.
            wait::poll(JOINED_WITHIN, || has_joined().then_some(()));
        }
        self.joined[usize::from(is_static)] += u32::from(has_joined());
        stand.note_memory(&pipeline);
        if is_killed {
            pipeline.kill_9();
            self.killed += 1;
        } else {
            // It leaves while others join.
            pipeline.sigterm();
            self.leaving.push(pipeline);
        }
    }

    /// Everybody leaves in order.
    fn end(&mut self, stand: &mut Stand) {
        for member in std::mem::take(&mut self.members) {
            self.leave(stand, member, false);
        }
        for mut leaver in self.leaving.drain(..) {
            let ended = leaver.wait_exit(EXIT_WITHIN);
            self.ended[0] += 1;
            self.ended[1] += u32::from(!ended.success());
        }
    }

    fn judge(&self, outcome: &mut Outcome, seen: f64) {
        let Self { joined: [dynamic, named], killed, ended: [ended, badly], .. } = *self;
        outcome.demand(dynamic > 0 && named > 0, "a kind of member never joined");
        outcome.demand(ended > 0 && badly == 0, "an end that was asked for without exit code 0");
        outcome.demand(seen >= CHANGES_MIN, "too few changes for the member that stays");
        outcome
            .note(format!("{dynamic} joined and {named} by name: {seen} changes for who stayed"));
        outcome.note(format!("{killed} killed, {ended} ended"));
    }
}

const REBALANCES: &str = "forward_rebalances_total";
const MEMBERS_MAX: usize = 3;
/// A member that joins is one change at least, and so is one that goes.
const CHANGES_MIN: f64 = 4.0;
/// A rebalance waits for a dead member until its session ends, after 6 s, and each other member
/// hears of it at its next heartbeat.
const JOINED_WITHIN: Duration = Duration::from_secs(20);
const START_WITHIN: Duration = Duration::from_secs(30);
/// The default deadline of 25 s, and what a busy machine adds.
const EXIT_WITHIN: Duration = Duration::from_secs(30);
