//! `docs/METRICS.md`, written from the declarations: a metric cannot exist undocumented.

use std::fmt::Write;

use super::{
    Telemetry,
    registry::{Declared, Label, PREFIX},
};

/// The parts of the process: first word of a metric's name, title.
const AREAS: [(&str, &str); 7] = [
    ("receive", "OTLP in"),
    ("publish", "Requests to records"),
    ("kafka", "librdkafka"),
    ("forward", "Kafka to the backend"),
    ("stage", "Latency"),
    ("admin", "HTTP pages"),
    ("build", "Build"),
];

const HEAD: &str = "\
# Metrics

<!-- Written by `make generate` from src/internal_telemetry; edits made here are lost. -->

`GET /metrics` answers in the Prometheus text format 0.0.4. Names have one prefix and base units
(seconds, bytes); counters end in `_total`. Every series of a closed label set is there from the
start, at zero; a label without listed values gets a series with each thing it describes (a client,
a worker, a partition).
";

const COLUMNS: &str = "| metric | type | labels | meaning |\n| --- | --- | --- | --- |";

const RECONCILIATION: &str = "
## What must add up

Counters are read one after the other while the process runs, so a sum may be off by what moved in
between; at rest these hold exactly.

- Every request has one outcome or is in flight: `receive_requests_received_total` = the sum of
  `receive_requests_total` over `outcome` + `receive_requests_in_flight`.
- Every span of a well-formed request has one outcome or is in flight:
  `publish_spans_received_total` = the sum of `publish_spans_total` over `outcome` +
  `publish_spans_in_flight`.
- Every rejected span has a reason: `publish_spans_total{outcome=\"rejected\"}` = the sum of
  `publish_span_rejections_total` over `reason`.
- Every record polled from Kafka has one outcome (forwarded, divided, dead-lettered, a tombstone,
  given back) or is pending: `forward_records_consumed_total` = the sum of `forward_records_total`
  over `outcome` + `forward_records_pending`.
- Every dead letter has a reason: the sum of `forward_dead_letters_total` over `reason` =
  `forward_records_total{outcome=\"dead_lettered\"}` + one per trace set aside of divided records.

After a crash or a rebalance, records that were consumed but not yet committed are consumed again,
by this process or another: the rules of forwarding hold per process, not over the life of a topic.

## Process

On Linux the usual `process_*` figures are present as well: `process_cpu_seconds_total` (whole
seconds), `process_resident_memory_bytes`, `process_virtual_memory_bytes`, `process_open_fds`,
`process_max_fds`, `process_start_time_seconds` and `process_threads`.
";

/// The document.
pub fn markdown() -> String {
    let telemetry = Telemetry::new();
    let mut text = HEAD.to_owned();
    for (area, title) in AREAS {
        let prefix = format!("{PREFIX}_{area}_");
        let declared = telemetry.registry.declared().iter();
        let rows: String =
            declared.filter(|metric| metric.name.starts_with(&prefix)).map(row).collect();
        writeln!(text, "\n## {title}\n\n{COLUMNS}").expect("a string takes all writes");
        text += &rows;
    }
    text + RECONCILIATION
}

fn row(metric: &Declared) -> String {
    let labels: Vec<String> = metric.labels.iter().map(label).collect();
    let Declared { name, kind, help, .. } = metric;
    format!("| `{name}` | {} | {} | {help} |\n", kind.name(), labels.join("; "))
}

fn label(label: &Label) -> String {
    let values: Vec<String> = label.values.iter().map(|value| format!("`{value}`")).collect();
    if values.is_empty() {
        format!("`{}`", label.name)
    } else {
        format!("`{}`: {}", label.name, values.join(", "))
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, path::Path};

    use super::*;

    /// The committed document is the one that the declarations give.
    #[test]
    fn committed_document_is_current() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/METRICS.md");
        let committed = fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == markdown(), "docs/METRICS.md is out of date: run `make generate`");
    }

    /// No metric is left out of the document.
    #[test]
    fn every_metric_is_documented() {
        let text = markdown();
        for metric in Telemetry::new().registry.declared() {
            assert!(text.contains(&format!("| `{}` |", metric.name)), "{}", metric.name);
        }
    }

    /// Metrics that the reconciliation rules name exist.
    #[test]
    fn rules_name_existing_metrics() {
        let telemetry = Telemetry::new();
        let names: Vec<&str> =
            telemetry.registry.declared().iter().map(|metric| metric.name.as_str()).collect();
        let quoted = RECONCILIATION.split('`').skip(1).step_by(2);
        let words = quoted.map(|word| word.split('{').next().unwrap_or(word));
        let ours: Vec<&str> = words
            .filter(|word| word.starts_with("receive_") || word.starts_with("publish_"))
            .collect();
        assert!(!ours.is_empty());
        for word in ours {
            assert!(names.contains(&format!("{PREFIX}_{word}").as_str()), "{word}");
        }
    }
}
