//! What is shown is what was recorded.

use std::{fs, path::PathBuf};

use super::*;
use crate::record::Manifest;

fn figure(median: f64) -> Figure {
    Figure { median, low: median * 0.9, high: median * 1.1 }
}

fn row(system: &str, cpu_us: f64) -> Row {
    Row {
        case: "OTLP to Kafka".to_owned(),
        load: SHORT_LOAD.to_owned(),
        system: system.to_owned(),
        offered: Some(50_000.0),
        done: figure(49_999.6),
        cpu_us: figure(cpu_us),
        broker_cpu_us: figure(0.5),
        busy: figure(0.25),
        memory_mib: figure(64.0),
        reply: Some(Latency { p50: figure(1.0), p99: figure(2.0), p999: figure(3.0) }),
        end_to_end: None,
        not_acknowledged: 0,
        void: Vec::new(),
        rounds: 3,
    }
}

fn record() -> Record {
    let manifest = Manifest {
        date: "2026-01-02".to_owned(),
        commit: "abc".to_owned(),
        host_class: "2-core-x".to_owned(),
        cpu: "X".to_owned(),
        kernel: "Linux".to_owned(),
        memory_gib: 4.0,
        load_average: [0.1, 2.0],
        minutes: 9.5,
        placement: "apart".to_owned(),
        build: "release".to_owned(),
        versions: [("Kafka".to_owned(), "4".to_owned())].into(),
        settings: [].into(),
    };
    let refused = Row { not_acknowledged: 1_234, ..row("Collector, keyed", 3.0) };
    let rows = vec![row("ours", 0.5), refused, row("Collector, fast", 2.0), row(FLOOR, 0.4)];
    let failures = vec!["round 1: no port".to_owned()];
    Record { plan: "compare".to_owned(), manifest, rounds: 3, rows, idle: None, failures }
}

const FLOOR: &str = "floor: tonic + librdkafka";

/// A row shows its figures, its ratio to the first, and what speaks against it.
#[test]
fn tables() {
    let text = full(&record());
    let line = "| Collector, keyed | 50,000 | 50,000 | 3.00 ±10 % | 6.00x | 0.50 ±10 % | 25 % \
                | 1.0 | 2.0 | 3.0 | 64 | 1,234 spans not acknowledged |";
    assert!(text.contains(line), "{text}");
    assert!(text.contains("## Not measured\n\n- round 1: no port\n"), "{text}");
}

/// The README's row has ours, the floor, and the Collector at its most durable and its cheapest.
#[test]
fn short_table() {
    let line = "| OTLP to Kafka | 0.50 | 0.40 (0.80x) | 3.00 (6.00x) | 2.00 (4.00x) |";
    assert!(short(&record()).contains(line), "{}", short(&record()));
}

/// Each committed text is what its JSON renders to.
#[test]
fn records_render_to_their_texts() {
    for (path, record) in records() {
        let text = fs::read_to_string(path.with_extension("md")).unwrap();
        assert_eq!(text, full(&record), "run `compare render {}`", path.display());
        assert_eq!(path.file_stem().unwrap().to_str().unwrap(), record.name());
    }
}

/// The README's table is the newest record's; it may be missing only while there is no record.
#[test]
fn readme_shows_the_newest_record() {
    let compared = records().into_iter().filter(|(_, record)| record.plan == "compare");
    let Some((_, newest)) = compared.max_by_key(|(_, record)| record.manifest.date.clone()) else {
        return;
    };
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let table = readme.split_once("<!-- record:begin -->\n").unwrap().1;
    let table = table.split_once("<!-- record:end -->").unwrap().0;
    assert_eq!(table, short(&newest));
}

fn root() -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "..", ".."].iter().collect()
}

/// Every committed record.
fn records() -> Vec<(PathBuf, Record)> {
    let folder = root().join("benches/record");
    let files = fs::read_dir(folder).into_iter().flatten().map(|entry| entry.unwrap().path());
    let files = files.filter(|path| path.extension().is_some_and(|it| it == "json"));
    let read = |path: PathBuf| {
        let record = serde_json::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        (path, record)
    };
    files.map(read).collect()
}
