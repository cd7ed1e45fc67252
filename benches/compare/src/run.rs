//! Runs a plan from the first topic to the record.
//!
//! A system that fails is named in the record and costs the others nothing.

use std::{
    collections::BTreeMap,
    panic::{self, AssertUnwindSafe},
    path::PathBuf,
    time::Instant,
};

use crate::{
    idle, manifest,
    measure::{Ground, Measured, start_kafka},
    placement::Placement,
    plan::{Case, Load, Path, Plan, Reference, System},
    programs::Programs,
    record::{Idle, Latency, Record, Row},
    stats::Figure,
};

/// By case, load and system, in the order of the plan.
type Rounds = BTreeMap<(usize, usize, usize), Vec<Measured>>;

/// Does everything that `plan` says; `tell` is given a line of progress now and then.
pub(crate) fn run(plan: &Plan, tell: &dyn Fn(&str)) -> Result<Record, String> {
    let began = Instant::now();
    let programs = Programs::find()?;
    let placement = Placement::take()?;
    let memory = Memory::new();
    let data = memory.0.as_ref().map_or("a temporary folder", |_| "/dev/shm");
    let mut manifest = manifest::begin(plan, &placement, &programs, data);
    let mut kafka = start_kafka(memory.0.clone());
    let mut ground = Ground::new(plan, &programs, &kafka);
    let mut failures = Vec::new();
    let knees = knees(&mut ground, &mut failures, tell);
    let rounds = rounds(&mut ground, &knees, &mut failures, tell);
    let idle = idle(&mut ground, &mut failures);
    kafka.stop();
    manifest.load_average[1] = manifest::load_average();
    manifest.minutes = (began.elapsed().as_secs_f64() / 6.0).round() / 10.0;
    let rows = rounds.iter().map(|(key, rounds)| row(plan, *key, rounds)).collect();
    let (plan, rounds) = (plan.name.to_owned(), plan.rounds);
    Ok(Record { plan, manifest, rounds, rows, idle, failures })
}

/// A folder in memory for the broker's data, where the system has one; it goes with the run.
struct Memory(Option<PathBuf>);

impl Memory {
    fn new() -> Self {
        let shared = PathBuf::from("/dev/shm");
        // The folder of this run is unique, and so is its name.
        let name = testbed::reaper::folder().file_name().map(PathBuf::from);
        Self(name.filter(|_| shared.is_dir()).map(|name| shared.join(name)))
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        if let Some(folder) = &self.0 {
            std::fs::remove_dir_all(folder).ok();
        }
    }
}

/// What a hundred per cent is, for each case and system that is offered a share of it.
fn knees(
    ground: &mut Ground<'_>,
    failures: &mut Vec<String>,
    tell: &dyn Fn(&str),
) -> BTreeMap<(usize, usize), f64> {
    let mut knees = BTreeMap::new();
    let mut known: Vec<(Path, System, String, Option<f64>)> = Vec::new();
    // Before anything is measured: it warms the broker, too, which runs on a virtual machine that
    // compiles as it goes.
    if let Some(case) = ground.plan.cases.iter().find(|case| case.path == Path::Forward) {
        attempt("a full topic", failures, || ground.full_topic(case));
    }
    for (number, case) in ground.plan.cases.iter().enumerate() {
        if case.loads == [Load::Saturation] {
            continue;
        }
        for (index, system) in case.systems.iter().enumerate() {
            let of = match case.reference {
                Reference::One(reference) => reference,
                Reference::Each => *system,
            };
            let title = case.title();
            let same = known.iter().find(|it| (it.0, it.1, &it.2) == (case.path, of, &title));
            let knee = if let Some((.., knee)) = same {
                *knee
            } else {
                let what = format!("knee of {}, {title}", of.title());
                let knee = attempt(&what, failures, || ground.knee(case, of));
                tell(&format!("{what}: {:.0} spans/s", knee.unwrap_or(0.0)));
                known.push((case.path, of, title, knee));
                knee
            };
            knees.extend(knee.map(|knee| ((number, index), knee)));
        }
    }
    knees
}

/// Every system of every case, round after round.
fn rounds(
    ground: &mut Ground<'_>,
    knees: &BTreeMap<(usize, usize), f64>,
    failures: &mut Vec<String>,
    tell: &dyn Fn(&str),
) -> Rounds {
    let mut rounds = Rounds::new();
    let plan = ground.plan;
    for round in 1..=plan.rounds {
        for (number, case) in plan.cases.iter().enumerate() {
            for (index, system) in case.systems.iter().enumerate() {
                let what = format!("round {round}, {}, {}", case.title(), system.title());
                let knee = knees.get(&(number, index)).copied();
                if knee.is_none() && case.loads != [Load::Saturation] {
                    continue;
                }
                let knee = knee.unwrap_or(0.0);
                let found = attempt(&what, failures, || ground.measure(case, *system, knee));
                for (load, measured) in found.unwrap_or_default() {
                    let us = cpu_us(&measured, measured.cpu);
                    tell(&format!("{what}, {}: {us:.2} us/span", load.title()));
                    let place = case.loads.iter().position(|it| *it == load).unwrap_or(0);
                    rounds.entry((number, place, index)).or_default().push(measured);
                }
            }
        }
    }
    rounds
}

fn idle(ground: &mut Ground<'_>, failures: &mut Vec<String>) -> Option<Idle> {
    let (watched, connections) = ground.plan.idle?;
    let case = ground.plan.cases.iter().find(|case| case.path == Path::EndToEnd)?;
    let system = case.systems[0];
    attempt("the idle pipeline", failures, || {
        idle::measure(ground, case, system, watched, connections)
    })
}

/// What `measure` finds; `None`, and a line in `failures`, when it panics. The hook has printed
/// the log of whatever failed by then.
fn attempt<T>(what: &str, failures: &mut Vec<String>, measure: impl FnOnce() -> T) -> Option<T> {
    let found = panic::catch_unwind(AssertUnwindSafe(measure));
    found
        .map_err(|cause| {
            let text = cause.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("panicked");
            let first = text.lines().next().unwrap_or_default();
            failures.push(format!("{what}: {first}"));
        })
        .ok()
}

/// The rounds of one system under one load as one row.
fn row(plan: &Plan, (case, load, system): (usize, usize, usize), rounds: &[Measured]) -> Row {
    let Case { loads, systems, .. } = &plan.cases[case];
    let of = |figure: &dyn Fn(&Measured) -> f64| {
        Figure::of(rounds.iter().map(figure)).expect("a row has a round")
    };
    Row {
        case: plan.cases[case].title(),
        load: loads[load].title(),
        system: systems[system].title(),
        offered: rounds[0].offered,
        done: of(&|it| it.spans as f64 / it.seconds),
        cpu_us: of(&|it| cpu_us(it, it.cpu)),
        broker_cpu_us: of(&|it| cpu_us(it, it.broker_cpu)),
        busy: of(&|it| it.cpu.as_secs_f64() / it.seconds),
        memory_mib: of(&|it| it.memory_bytes as f64 / (1024.0 * 1024.0)),
        reply: latency(rounds, |it| it.reply_ms),
        end_to_end: latency(rounds, |it| it.end_to_end_ms),
        not_acknowledged: rounds.iter().map(|it| it.not_acknowledged).sum(),
        void: rounds.iter().filter_map(|it| it.void.clone()).collect(),
        rounds: rounds.len(),
    }
}

/// CPU per span; a round without a span has cost all that it cost.
fn cpu_us(measured: &Measured, cpu: std::time::Duration) -> f64 {
    cpu.as_secs_f64() * 1e6 / measured.spans.max(1) as f64
}

fn latency(rounds: &[Measured], of: impl Fn(&Measured) -> Option<[f64; 3]>) -> Option<Latency> {
    let percentile = |index: usize| {
        Figure::of(rounds.iter().filter_map(|round| of(round).map(|figures| figures[index])))
    };
    Some(Latency { p50: percentile(0)?, p99: percentile(1)?, p999: percentile(2)? })
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A row has the median of the rounds, and the sum of what was not acknowledged.
    #[test]
    fn rows() {
        let round = |spans, not_acknowledged| Measured {
            spans,
            seconds: 2.0,
            cpu: Duration::from_secs(1),
            not_acknowledged,
            ..Measured::default()
        };
        let row = row(&Plan::compare(), (0, 0, 0), &[round(1_000_000, 3), round(2_000_000, 4)]);
        assert_eq!((row.system.as_str(), row.rounds, row.not_acknowledged), ("ours", 2, 7));
        assert_eq!((row.cpu_us.low, row.cpu_us.median, row.cpu_us.high), (0.5, 0.75, 1.0));
        assert_eq!(row.busy.median, 0.5);
        assert_eq!(row.reply, None);
    }

    /// A failure is named and ends nothing but itself.
    #[test]
    fn failures_are_kept() {
        let mut failures = Vec::new();
        assert_eq!(attempt("one", &mut failures, || 1), Some(1));
        let failed: Option<u8> = attempt("two", &mut failures, || panic!("no port\nand a log"));
        assert_eq!((failed, failures), (None, vec!["two: no port".to_owned()]));
    }
}
