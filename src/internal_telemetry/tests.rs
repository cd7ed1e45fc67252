//! The rules of `promtool check metrics` and our own, applied to what `/metrics` exposes.

use prometheus::proto::{MetricFamily, MetricType};

use super::{Stage, Telemetry, registry::PREFIX};
use crate::config::Role;

/// Words that promtool refuses in a name: units that are not base units, and abbreviations.
const UNITS_REFUSED: [&str; 14] = [
    "milliseconds",
    "microseconds",
    "nanoseconds",
    "minutes",
    "hours",
    "ms",
    "us",
    "ns",
    "s",
    "kilobytes",
    "megabytes",
    "kb",
    "mb",
    "percent",
];

/// Endings that belong to the parts of histograms and summaries.
const ENDINGS_RESERVED: [&str; 3] = ["_bucket", "_count", "_sum"];

/// Everything that a running process would show, open label sets included.
fn families() -> Vec<MetricFamily> {
    let telemetry = Telemetry::new();
    telemetry.build_info.show(Role::All);
    let client = ["publish-0"];
    telemetry.kafka.queued_records.with_label_values(&client).set(1);
    telemetry.kafka.queued_bytes.with_label_values(&client).set(1);
    telemetry.kafka.round_trip_p99_seconds.with_label_values(&client).set(0.001);
    telemetry.publish.queue_depth.with_label_values(&["0"]).set(1);
    telemetry.registry.gather()
}

fn problems(family: &MetricFamily) -> Vec<&'static str> {
    let name = family.name();
    let kind = family.get_field_type();
    let words: Vec<&str> = name.split('_').collect();
    let counter = kind == MetricType::COUNTER;
    let checks = [
        (family.help().is_empty(), "no help"),
        (counter != name.ends_with("_total"), "counters, and only they, end in _total"),
        (
            !name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_'),
            "not snake_case",
        ),
        (words.iter().any(|word| UNITS_REFUSED.contains(word)), "not a base unit"),
        (
            words.iter().any(|word| ["counter", "gauge", "histogram", "summary"].contains(word)),
            "type in the name",
        ),
        (ENDINGS_RESERVED.iter().any(|ending| name.ends_with(ending)), "reserved ending"),
        (!name.starts_with(PREFIX) && !name.starts_with("process_"), "foreign prefix"),
        (
            family.get_metric().iter().any(|metric| metric.get_label().len() > 3),
            "over three labels",
        ),
    ];
    checks.into_iter().filter(|(broken, _)| *broken).map(|(_, problem)| problem).collect()
}

/// Every exposed metric keeps the conventions.
#[test]
fn exposition_keeps_conventions() {
    let families = families();
    assert!(families.len() > 20, "{}", families.len());
    for family in &families {
        assert_eq!(problems(family), Vec::<&str>::new(), "{}", family.name());
    }
}

/// The rules find what they are for.
#[test]
fn lint_finds_bad_names() {
    let mut family = MetricFamily::default();
    family.set_name("otel_pipeline_wait_gauge_ms".to_owned());
    family.set_field_type(MetricType::COUNTER);
    let found = problems(&family);
    for problem in
        ["no help", "counters, and only they, end in _total", "not a base unit", "type in the name"]
    {
        assert!(found.contains(&problem), "{problem}: {found:?}");
    }
}

/// Closed label sets are complete before anything happened, the stages included.
#[test]
fn closed_sets_start_at_zero() {
    let telemetry = Telemetry::new();
    let families = telemetry.registry.gather();
    for metric in telemetry.registry.declared() {
        let [label] = metric.labels.as_slice() else { continue };
        let family = families.iter().find(|family| family.name() == metric.name);
        let series = family.map_or(0, |family| family.get_metric().len());
        assert_eq!(series, label.values.len(), "{}", metric.name);
    }
    let stages = families.iter().find(|family| family.name().ends_with("_stage_seconds"));
    assert_eq!(stages.map(|family| family.get_metric().len()), Some(Stage::ALL.len()));
}

/// The standard figures of a process are exposed.
#[test]
#[cfg(target_os = "linux")]
fn process_figures() {
    let families = families();
    for name in ["process_cpu_seconds_total", "process_resident_memory_bytes", "process_open_fds"] {
        assert!(families.iter().any(|family| family.name() == name), "{name}");
    }
}
