//! Hostile clients of every kind beside a polite one.
//!
//! Oracle: every attack takes place, by its own count and the pipeline's, and within the time of a
//! polite client, whose every span is acknowledged; no more connections are open than one address
//! may have; memory stays below 256 MiB; LOST 0. The polite client's p99 beside an attack, in the
//! median over all, is less than twice of what it is alone, before, between and after them. That is
//! of the median: in so short a time one p99 is that of a few requests. Attackers, broker and
//! pipeline share the machine's cores; the attackers' threads run at the lowest priority, without
//! which the median rose to four times. The worst is told, and in a short play the median too: a
//! selection runs on whatever machine there is.

use std::{
    fs,
    net::SocketAddr,
    panic,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use testbed::{kafka::KafkaOptions, pipeline::Pipeline, wait};

use super::Row;
use crate::{
    hostility::{ATTACKS, Attack},
    outcome::Outcome,
    random::Random,
    stand::{Load, Report, Stand, rest},
};

pub(super) const ROW: Row =
    Row { name: "hostile", fault: "hostile clients beside a polite one", short_seconds: 115, play };

/// An attack, and what was seen of it.
struct Attacked {
    attack: &'static Attack,
    /// How often it was done, as the attacker says.
    done: u64,
    /// The most connections that were open at a time.
    connections: f64,
    /// Metrics that must have risen and have not.
    unseen: Vec<&'static str>,
    /// True when the polite client was there until its end.
    accompanied: bool,
    polite: Report,
}

fn play(random: Random, short: bool) -> Outcome {
    let mut stand = Stand::new(KafkaOptions::nodes(1), random);
    let pipeline = stand.pipeline(&[("ROLE", "receive")]);
    let forwarder = stand.pipeline(&[("ROLE", "forward")]);
    // A broker is slow at first: this one counts in no figure.
    let first = offer(&mut stand, &pipeline).finish();
    let mut alone = vec![offer(&mut stand, &pipeline).finish()];
    let mut attacked = Vec::new();
    for some in ATTACKS.chunks(ATTACKS_IN_A_ROW) {
        attacked.extend(some.iter().map(|attack| beside(attack, &mut stand, &pipeline)));
        alone.push(offer(&mut stand, &pipeline).finish());
    }

    let mut outcome = stand.judge(&[&pipeline, &forwarder]);
    let mut done = Vec::new();
    for one in &attacked {
        judge_attack(&mut outcome, one);
        done.push(format!("{} {}", one.attack.name, one.done));
    }
    outcome.note(format!("done: {}", done.join(", ")));
    judge_latency(&mut outcome, &alone, &attacked, !short);
    let served = first.served() && alone.iter().all(Report::served);
    outcome.demand(served, "the polite client was not served alone");
    outcome.demand_bounded_memory();
    outcome
}

/// Starts the polite client.
fn offer(stand: &mut Stand, pipeline: &Pipeline) -> Load {
    let shape = ["--spans-per-request", "20", "--connections", "1"];
    stand.load(pipeline, &[&["--rate", "2k", "--duration", "5500ms"], &shape[..]].concat())
}

/// Plays an attack while the polite client is there.
fn beside(attack: &'static Attack, stand: &mut Stand, pipeline: &Pipeline) -> Attacked {
    let counts = || attack.counted.iter().map(|(name, _)| pipeline.metric(name));
    let before: Vec<f64> = counts().collect();
    let requests = || pipeline.metric("receive_requests_received_total");
    let none = requests();
    let mut load = offer(stand, pipeline);
    wait::wait_for("the polite client", START_WITHIN, || (requests() > none).then_some(()));
    let (done, connections) = play_attack(attack, pipeline);
    let accompanied = load.is_running();
    let polite = load.finish();
    // What the attacker said last may still be on its way.
    let unseen = || -> Vec<_> {
        let risen = before.iter().zip(counts()).map(|(before, after)| after - before);
        let demanded = attack.counted.iter().zip(risen);
        demanded.filter(|((_, least), rise)| rise < least).map(|((name, _), _)| *name).collect()
    };
    wait::poll(COUNTED_WITHIN, || unseen().is_empty().then_some(()));
    let unseen = unseen();
    Attacked { attack, done, connections, unseen, accompanied, polite }
}

/// Plays an attack; how often it was done, and how many connections were open at most.
fn play_attack(attack: &Attack, pipeline: &Pipeline) -> (u64, f64) {
    let address: SocketAddr = pipeline.otlp_address();
    let until = Instant::now() + ATTACK;
    thread::scope(|scope| {
        let attacker = scope.spawn(|| {
            give_way();
            (attack.run)(address, until)
        });
        let mut connections: f64 = 0.0;
        while !attacker.is_finished() {
            connections = connections.max(pipeline.metric("receive_connections"));
            rest(Duration::from_millis(100));
        }
        let done = attacker.join().unwrap_or_else(|cause| panic::resume_unwind(cause));
        (done, connections)
    })
}

/// Lets everything else have the cores first: attackers have machines of their own, and what counts
/// here is what they make the pipeline do. Threads that this one starts give way as well.
fn give_way() {
    let own = fs::read_link("/proc/thread-self").expect("Linux names each thread");
    let own = own.file_name().expect("by its number");
    let reniced = Command::new("renice").args(["-n", "19", "-p"]).arg(own).output();
    assert!(reniced.expect("util-linux is there").status.success(), "renice refused");
}

fn judge_attack(outcome: &mut Outcome, attacked: &Attacked) {
    let Attacked { attack, done, connections, unseen, accompanied, polite } = attacked;
    let mut demand = |holds, otherwise: &str| {
        outcome.demand(holds, &format!("{}: {otherwise}", attack.name));
    };
    demand(*done >= attack.least, "it was done too seldom");
    demand(unseen.is_empty(), &format!("too little counted as {}", unseen.join(", ")));
    demand(*connections >= attack.connections, "too few connections were open");
    demand(*connections <= CONNECTIONS_MAX, "more connections than one address may have");
    demand(*accompanied, "it outlasted the polite client");
    demand(polite.served(), "the polite client was harmed");
}

fn judge_latency(outcome: &mut Outcome, alone: &[Report], attacked: &[Attacked], demands: bool) {
    let p99s = |reports: &mut dyn Iterator<Item = &Report>| {
        let mut p99s: Vec<f64> = reports.map(|report| report.latency_p99_us() / 1000.0).collect();
        p99s.sort_by(f64::total_cmp);
        p99s
    };
    let alone = p99s(&mut alone.iter());
    let beside = p99s(&mut attacked.iter().map(|one| &one.polite));
    let (usual, median) = (alone[alone.len() / 2], beside[beside.len() / 2]);
    let p99 = |one: &&Attacked| one.polite.latency_p99_us();
    let worst = attacked.iter().max_by(|a, b| p99(a).total_cmp(&p99(b)));
    let worst = worst.map_or("none", |one| one.attack.name);
    let doubled = median >= usual * P99_TIMES;
    outcome.demand(!(demands && doubled), "the polite client's p99 doubled");
    outcome.note(format!(
        "p99 alone {usual:.1} ms ({:.1} to {:.1}), beside attacks {median:.1} ms: {:.1} times; \
         the worst, {worst}: {:.1} times",
        alone[0],
        alone[alone.len() - 1],
        median / usual,
        beside[beside.len() - 1] / usual,
    ));
}

/// Then the polite client is alone for once: what else the machine does changes by the minute.
const ATTACKS_IN_A_ROW: usize = 3;
/// A second and a half less than the polite client's time.
const ATTACK: Duration = Duration::from_secs(4);
const COUNTED_WITHIN: Duration = Duration::from_secs(5);
const START_WITHIN: Duration = Duration::from_secs(10);
/// `OTLP_CONNECTIONS_PER_PEER_MAX`.
const CONNECTIONS_MAX: f64 = 1000.0;
const P99_TIMES: f64 = 2.0;
