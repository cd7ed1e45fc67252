//! A record as people read it: its Markdown, and the short table of the README. Pure.
//!
//! Nothing is said here that the record does not hold, so that a text can be proved to be what its
//! JSON renders to.

use std::fmt::Write;

use crate::{
    record::{Latency, Record, Row},
    stats::Figure,
};

/// The whole record.
pub(crate) fn full(record: &Record) -> String {
    let mut text = format!("# {}\n\n", record.name());
    let manifest = &record.manifest;
    let rounds = record.rounds;
    let mut say = |line: String| {
        text += &line;
        text.push('\n');
    };
    say(format!(
        "`{}` at {}, {} build, {rounds} rounds in {} minutes. Rendered from the JSON beside it.\n",
        record.plan, manifest.commit, manifest.build, manifest.minutes
    ));
    say("| | |\n|---|---|".to_owned());
    say(format!("| CPU | {} |", manifest.cpu));
    say(format!("| kernel, memory | {}, {} GiB |", manifest.kernel, manifest.memory_gib));
    let [before, after] = manifest.load_average;
    say(format!("| load average before, after | {before}, {after} |"));
    say(format!("| placement | {} |", manifest.placement));
    for (name, value) in manifest.versions.iter().chain(&manifest.settings) {
        say(format!("| {name} | {value} |"));
    }
    say(format!("\n{LEGEND}"));
    let mut rest = record.rows.as_slice();
    while let Some(first) = rest.first() {
        let same = |row: &&Row| row.case == first.case && row.load == first.load;
        let (table, others) = rest.split_at(rest.iter().take_while(same).count());
        say(format!("\n## {}, {}\n", first.case, first.load));
        say(rows(table));
        rest = others;
    }
    text += &remarks(record);
    text
}

/// Medians of the pipeline beside the floor and the Collector, at half of the Collector's knee.
pub(crate) fn short(record: &Record) -> String {
    let mut text = format!(
        "CPU time per span in microseconds; measured {} on {} \
         ([record](benches/record/{}.md)).\n\n",
        record.manifest.date,
        record.manifest.cpu,
        record.name()
    );
    text += "| | ours | floor | Collector, most durable measured | Collector, cheapest |\n";
    text += "|---|---|---|---|---|\n";
    for ours in record.rows.iter().filter(|row| row.system == "ours" && row.load == SHORT_LOAD) {
        let same = |row: &&Row| row.case == ours.case && row.load == ours.load;
        let rows: Vec<&Row> = record.rows.iter().filter(same).collect();
        let named = |names: &[&str]| {
            let find = |name: &&str| rows.iter().find(|row| row.system == *name).copied();
            names.iter().find_map(find)
        };
        let collectors = rows.iter().filter(|row| row.system.starts_with("Collector")).copied();
        let cheapest = collectors.min_by(|a, b| a.cpu_us.median.total_cmp(&b.cpu_us.median));
        let beside = |row: Option<&Row>| {
            row.map_or_else(absent, |row| {
                let figure = row.cpu_us.median;
                format!("{figure:.2} ({})", times(figure, ours.cpu_us.median))
            })
        };
        writeln!(
            text,
            "| {} | {:.2} | {} | {} | {} |",
            ours.case,
            ours.cpu_us.median,
            beside(named(&["floor: tonic + librdkafka", "floor: librdkafka + tonic"])),
            beside(named(&DURABLE)),
            beside(cheapest),
        )
        .expect("writing to a string does not fail");
    }
    text
}

/// One table: the systems of a case under one load, and each one's CPU beside that of the first.
fn rows(rows: &[Row]) -> String {
    let mut text = HEADINGS.to_owned();
    for row in rows {
        let Row { done, cpu_us, broker_cpu_us, busy, memory_mib, .. } = row;
        let offered = row.offered.map_or_else(absent, thousands);
        let [p50, p99, p999] = latencies(row.reply.as_ref());
        write!(
            text,
            "\n| {} | {offered} | {} | {} | {} | {} | {:.0} % \
             | {p50} | {p99} | {p999} | {:.0} | {} |",
            row.system,
            thousands(done.median),
            with_spread(cpu_us),
            times(cpu_us.median, rows[0].cpu_us.median),
            with_spread(broker_cpu_us),
            busy.median * 100.0,
            memory_mib.median,
            notes(row),
        )
        .expect("writing to a string does not fail");
    }
    text
}

/// What makes a figure less than it seems.
fn notes(row: &Row) -> String {
    let mut notes = Vec::new();
    if row.not_acknowledged > 0 {
        notes.push(format!("{} spans not acknowledged", thousands(row.not_acknowledged as f64)));
    }
    if let Some(reason) = row.void.first() {
        notes.push(format!("latency void in {} of {}: {reason}", row.void.len(), row.rounds));
    }
    if let Some(Latency { p50, p99, p999 }) = &row.end_to_end {
        let [p50, p99, p999] = [p50, p99, p999].map(|it| it.median);
        notes.push(format!("end to end {p50:.1}, {p99:.1}, {p999:.1} ms"));
    }
    notes.join("; ")
}

fn remarks(record: &Record) -> String {
    let mut text = String::new();
    if let Some(idle) = &record.idle {
        text += &format!(
            "\n## Idle\n\n{:.2} ms of CPU and {:.0} wake-ups per second over {} s, {:.1} MiB; each \
             of {} connections without requests takes {:.1} KiB.\n",
            idle.cpu_ms_per_second,
            idle.wake_ups_per_second,
            idle.seconds,
            idle.memory_mib,
            idle.connections,
            idle.kib_per_connection
        );
    }
    if !record.failures.is_empty() {
        text += "\n## Not measured\n\n";
        for failure in &record.failures {
            text += &format!("- {failure}\n");
        }
    }
    text
}

/// A median, and how far rounds were from it when that is worth a word.
fn with_spread(figure: &Figure) -> String {
    let percent = figure.spread() * 100.0;
    let median = figure.median;
    if percent < 0.5 { format!("{median:.2}") } else { format!("{median:.2} ±{percent:.0} %") }
}

fn times(figure: f64, of: f64) -> String {
    if of > 0.0 { format!("{:.2}x", figure / of) } else { absent() }
}

fn latencies(latency: Option<&Latency>) -> [String; 3] {
    let text = |figure: Figure| format!("{:.1}", figure.median);
    latency.map_or_else(|| [absent(), absent(), absent()], |it| [it.p50, it.p99, it.p999].map(text))
}

/// Where there is no figure.
fn absent() -> String {
    "–".to_owned()
}

/// A number in groups of three digits.
fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The load that the README shows.
const SHORT_LOAD: &str = "50 % of the knee";
/// The Collector's settings from the most durable on; the first that was measured. The last
/// acknowledges from a queue in memory.
const DURABLE: [&str; 3] =
    ["Collector, keyed durable", "Collector, at least once", "Collector, keyed"];
const HEADINGS: &str = "\
| system | offered/s | done/s | CPU us/span | to the first | broker us/span | busy | p50 ms \
| p99 ms | p99.9 ms | peak MiB | notes |
|---|---|---|---|---|---|---|---|---|---|---|---|";
const LEGEND: &str = "\
Figures are medians of the rounds; ± is half the distance between the furthest. CPU is that of the
system's own process, per span acknowledged or, towards a backend, arrived; *to the first* is the
ratio of it. *Busy* is the share of a core: below 100 % at saturation, the cores of broker and
generator were the limit. Latencies are replies, from the intended start in an open loop.";

#[cfg(test)]
mod tests;
