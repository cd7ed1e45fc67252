//! Where, when and with what a run was made.

use std::{collections::BTreeMap, fs, process::Command};

use crate::{
    knee,
    load::CONNECTIONS,
    measure::BROKER_SETTINGS,
    placement::Placement,
    plan::{PARTITIONS, Plan, SPAN_BYTES},
    programs::Programs,
    record::Manifest,
};

/// The manifest as the run begins.
pub(crate) fn begin(
    plan: &Plan,
    placement: &Placement,
    programs: &Programs,
    data: &str,
) -> Manifest {
    let cpu = field("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let cores = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let cores = cores.lines().filter(|line| line.starts_with("processor")).count();
    let memory = field("/proc/meminfo", "MemTotal").unwrap_or_default();
    let memory_kib: f64 = memory.trim_end_matches(" kB").parse().unwrap_or(0.0);
    Manifest {
        date: output("date", &["-u", "+%F"]),
        commit: commit(),
        host_class: format!("{cores}-core-{}", slug(&cpu)),
        cpu,
        kernel: output("uname", &["-sr"]),
        memory_gib: (memory_kib / 1024.0 / 1024.0 * 10.0).round() / 10.0,
        load_average: [load_average(), 0.0],
        minutes: 0.0,
        placement: placement.describe(),
        build: if cfg!(debug_assertions) { "debug" } else { "release" }.to_owned(),
        versions: versions(programs),
        settings: settings(plan, data),
    }
}

/// The load average of the last minute.
pub(crate) fn load_average() -> f64 {
    let text = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').next().and_then(|figure| figure.parse().ok()).unwrap_or(0.0)
}

fn versions(programs: &Programs) -> BTreeMap<String, String> {
    let collector = programs.collector_version();
    [
        ("OpenTelemetry Collector", format!("{collector} of {COLLECTOR_DATE}")),
        ("Apache Kafka", KAFKA.to_owned()),
        ("librdkafka", rdkafka::util::get_rdkafka_version().1),
        ("Java", java()),
    ]
    .into_iter()
    .map(|(name, version)| (name.to_owned(), version))
    .collect()
}

fn settings(plan: &Plan, data: &str) -> BTreeMap<String, String> {
    let broker = BROKER_SETTINGS.map(|(name, value)| format!("{name}={value}"));
    [
        ("connections", CONNECTIONS.to_string()),
        ("topic", format!("{PARTITIONS} partitions, one replica")),
        ("acks", "all, everywhere".to_owned()),
        ("broker", format!("data in {data}, {}", broker.join(", "))),
        ("spans", format!("{SPAN_BYTES} B each, fields in ascending order, seed 0")),
        (
            "window",
            format!(
                "{} ms after {} ms of the same load",
                plan.window.as_millis(),
                plan.warm_up.as_millis()
            ),
        ),
        (
            "knee",
            format!("highest rate with all acknowledged and p99 within {} ms", knee::P99_MS_MAX),
        ),
        ("ours", "default settings".to_owned()),
        ("Collector", "benches/compare/peers, GOMAXPROCS by its one core".to_owned()),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), value))
    .collect()
}

/// The commit, and whether files differ from it.
fn commit() -> String {
    let root = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");
    let commit = output("git", &["-C", root, "rev-parse", "--short=12", "HEAD"]);
    let changed = output("git", &["-C", root, "status", "--porcelain", "--untracked-files=no"]);
    if changed.is_empty() { commit } else { format!("{commit} with changes") }
}

/// Java says its version on standard error.
fn java() -> String {
    let run = Command::new("java").arg("-version").output();
    let text = run.map(|run| String::from_utf8_lossy(&run.stderr).into_owned());
    text.unwrap_or_default().lines().next().unwrap_or_default().to_owned()
}

fn output(program: &str, arguments: &[&str]) -> String {
    let run = Command::new(program).args(arguments).output();
    run.map(|run| String::from_utf8_lossy(&run.stdout).trim().to_owned()).unwrap_or_default()
}

/// The value of the first line `name : value` of a file.
fn field(path: &str, name: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

/// A name as part of a file's name.
fn slug(name: &str) -> String {
    let kept = name.split('@').next().unwrap_or(name).to_lowercase();
    let kept = kept.replace("(r)", "").replace("(tm)", "").replace(" cpu", "");
    let words = kept.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    words.collect::<Vec<_>>().join("-")
}

/// When the version that tests/real/parts/collector pins was published.
const COLLECTOR_DATE: &str = "2026-06-23";
/// What tests/real/parts/kafka pins.
const KAFKA: &str = "4.3.1";

#[cfg(test)]
mod tests {
    use super::*;

    /// A class of hosts is a name that every file system takes.
    #[test]
    fn slugs() {
        assert_eq!(slug("Intel(R) Xeon(R) Processor @ 2.90GHz"), "intel-xeon-processor");
        assert_eq!(slug("AMD EPYC 7763 64-Core Processor"), "amd-epyc-7763-64-core-processor");
    }

    /// Versions in the manifest are the pinned ones.
    #[test]
    fn versions_are_pinned() {
        let pom = include_str!("../../../tests/real/parts/kafka/pom.xml");
        assert!(pom.contains(&format!("<version>{KAFKA}</version>")));
        let pins = include_str!("../../../tests/real/parts/collector/go.mod");
        assert!(
            pins.contains("go.opentelemetry.io/collector/otelcol v0.155.0"),
            "{COLLECTOR_DATE}"
        );
    }
}
