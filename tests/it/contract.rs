//! The names that others depend on, in `asyncapi.yaml`, `docs/`, `deploy/` and the container files,
//! are those in the code.
//!
//! Compared as text: both sides write each name once, in full.

use std::collections::BTreeSet;

use otel_event_pipeline::{internal_telemetry::docs, otlp::TraceId};
use serde_json::Value;

use crate::tidy::source::text_files;

fn file(path: &str) -> String {
    let found = text_files().into_iter().find(|(found, _)| found == path);
    found.unwrap_or_else(|| panic!("{path} is missing")).1
}

/// All product code below `folder` as one text.
fn code(folder: &str) -> String {
    let files = text_files().into_iter();
    let sources = files.filter(|(path, _)| path.starts_with(folder) && path.ends_with(".rs"));
    sources.filter(|(path, _)| !path.ends_with("tests.rs")).map(|(_, text)| text).collect()
}

/// The values of `key` in a YAML text, in their order.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let lines = yaml.lines().filter_map(|line| line.trim().strip_prefix(key)?.strip_prefix(": "));
    lines.collect()
}

/// Words of `text` that begin with `prefix`, as names are written: letters, digits, `_`, `.`, `-`.
fn names<'a>(text: &'a str, prefix: &str) -> BTreeSet<&'a str> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && !"_.-".contains(c));
    let words = words.map(|word| word.trim_end_matches(['.', '-']));
    words.filter(|word| word.starts_with(prefix) && *word != prefix).collect()
}

/// The channels are the topics that the settings default to.
#[test]
fn topics_are_the_defaults() {
    let contract = file("asyncapi.yaml");
    assert_eq!(values(&contract, "address"), ["otel.traces", "otel.traces.dlq"]);
    let code = code("src/");
    for default in ["\"otel.traces\"", "{topic}.dlq"] {
        assert!(code.contains(default), "{default} is no default of the code");
    }
}

/// A record's key is a trace id as the Collector writes it: 32 lower-case hexadecimal characters.
#[test]
fn key_is_a_hexadecimal_trace_id() {
    let contract = file("asyncapi.yaml");
    assert!(values(&contract, "pattern").contains(&"^[0-9a-f]{32}$"));
    let key = TraceId(*b"\x01\xab\x7f\x80\xff\0\0\0\0\0\0\0\0\0\0\x0f").key();
    assert_eq!(key.escape_ascii().to_string(), "01ab7f80ff000000000000000000000f");
}

/// A dead letter's headers are those that the code writes, no more and no fewer.
#[test]
fn dead_letter_headers() {
    let contract = file("asyncapi.yaml");
    let written = code("src/kafka/dead_letter");
    assert_eq!(names(&contract, "otel.dlq."), names(&written, "otel.dlq."));
}

/// The reason of a dead letter, and where to find it counted, exist.
#[test]
fn contract_names_existing_metrics() {
    let (contract, metrics) = (file("asyncapi.yaml"), docs::markdown());
    let named = names(&contract, "otel_pipeline_");
    assert!(!named.is_empty());
    for metric in named {
        assert!(metrics.contains(&format!("`{metric}`")), "{metric}");
    }
}

/// Metrics that the operator is sent to exist.
#[test]
fn operations_name_existing_metrics() {
    let (operations, metrics) = (file("docs/OPERATIONS.md"), docs::markdown());
    let areas = ["receive_", "publish_", "kafka_", "forward_", "stage_", "admin_", "process_"];
    let named: Vec<&str> = areas.iter().flat_map(|area| names(&operations, area)).collect();
    assert!(named.len() > 10, "{named:?}");
    for metric in named {
        let full = format!("`otel_pipeline_{metric}`");
        let process = format!("`{metric}`");
        assert!(metrics.contains(&full) || metrics.contains(&process), "{metric}");
    }
}

/// The dashboard can be read, and metrics that it and the alerts ask for exist.
#[test]
fn deployment_names_existing_metrics() {
    let metrics = docs::markdown();
    let dashboard: Value = serde_json::from_str(&file(DASHBOARD)).expect("it is JSON");
    assert!(dashboard["panels"].is_array());
    for path in [DASHBOARD, ALERTS] {
        let text = file(path);
        let mut named = names(&text, "otel_pipeline_");
        named.extend(names(&text, "process_"));
        assert!(named.len() > 10, "{path}: {named:?}");
        for metric in named {
            // Prometheus's own suffix of a histogram's buckets.
            let metric = metric.trim_end_matches("_bucket");
            assert!(metrics.contains(&format!("`{metric}`")), "{path}: {metric}");
        }
    }
}

/// Every alert has a runbook, a severity and a test.
#[test]
fn alerts_are_complete() {
    let (alerts, tests) = (file(ALERTS), file(ALERT_TESTS));
    let rules: Vec<&str> = alerts.split("- alert: ").skip(1).collect();
    assert!(rules.len() > 5, "{}", rules.len());
    for rule in rules {
        let name = rule.lines().next().unwrap_or_default();
        assert!(rule.contains("runbook: docs/OPERATIONS.md#"), "{name} has no runbook");
        assert!(rule.contains("severity: "), "{name} has no severity");
        let tested = format!("alertname: {name}\n");
        assert!(tests.contains(&tested), "{name} has no test in {ALERT_TESTS}");
    }
}

const DASHBOARD: &str = "deploy/grafana/dashboards/pipeline.json";
const ALERTS: &str = "deploy/prometheus/alerts.yaml";
const ALERT_TESTS: &str = "deploy/prometheus/alerts_test.yaml";

/// Sections that the log and the alerts send the operator to exist.
#[test]
fn log_and_alerts_name_existing_sections() {
    let operations = file("docs/OPERATIONS.md");
    let headings = operations.lines().filter_map(|line| line.strip_prefix("## "));
    let anchors: Vec<String> =
        headings.map(|heading| heading.to_lowercase().replace(' ', "-")).collect();
    let alerts = file(ALERTS);
    let linked = file("docs/OPERATIONS.md") + &alerts + &code("src/");
    for place in linked.split("](#").skip(1).chain(linked.split("OPERATIONS.md#").skip(1)) {
        let anchor: String =
            place.chars().take_while(|c| c.is_ascii_alphanumeric() || *c == '-').collect();
        assert!(anchors.contains(&anchor), "docs/OPERATIONS.md has no section #{anchor}");
    }
}

/// Settings that documents and container files name exist.
#[test]
fn documents_name_existing_settings() {
    let settings = code("src/config/");
    let documents = text_files().into_iter().filter(|(path, _)| {
        path.ends_with(".md") || path == "asyncapi.yaml" || path == "Dockerfile"
    });
    let documents = documents.chain([("docker-compose.yaml".to_owned(), composed_settings())]);
    let mut named = 0;
    for (path, text) in documents {
        for prefix in ["KAFKA_", "OTLP_", "JAEGER_", "FORWARD_", "HTTP_", "GRPC_", "LISTEN_"] {
            for name in names(&text, prefix) {
                let read = format!("\"{name}\"");
                assert!(settings.contains(&read), "{path}: {name} is no setting");
                named += 1;
            }
        }
    }
    assert!(named > 10, "{named}");
}

/// The pipeline's environment in the compose file; Kafka's own variables look like ours.
fn composed_settings() -> String {
    let compose = file("docker-compose.yaml");
    let (_, pipeline) = compose.split_once("\n  pipeline:\n").expect("a service is the pipeline");
    let (_, environment) = pipeline.split_once("    environment:\n").expect("it is configured");
    environment.lines().take_while(|line| line.starts_with("      ")).collect()
}

/// The image is built by the compiler that everybody uses.
#[test]
fn image_has_the_toolchain() {
    let toolchain = file("rust-toolchain.toml");
    let channel = toolchain.lines().find_map(|line| line.strip_prefix("channel = "));
    let version = channel.expect("the toolchain has a channel").trim_matches('"');
    assert!(file("Dockerfile").contains(&format!("\nARG RUST_VERSION={version}\n")), "{version}");
}
