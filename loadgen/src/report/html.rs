//! Saved reports as one page that needs nothing but itself: no script, no font, no address.
//!
//! Works on the JSON of reports rather than on their types, so that a report of another version
//! is shown too: what has a place of its own gets it, everything else is listed as key and value.
//! Pure but for [`Document::load`] and [`write()`]; everything from a report is escaped.

use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;

use serde::Serialize;
use serde_json::{Map, Value};

use super::chart::{self, Series};
use super::distribution::save;

/// One report.
pub(crate) struct Document {
    /// Where it came from; may be empty.
    name: String,
    fields: Map<String, Value>,
}

impl Document {
    /// A report of this process.
    pub(crate) fn new(name: &str, report: &impl Serialize) -> io::Result<Self> {
        match serde_json::to_value(report)? {
            Value::Object(fields) => Ok(Self { name: name.to_owned(), fields }),
            _ => Err(io::Error::new(io::ErrorKind::InvalidData, "not a report")),
        }
    }

    /// A report that was saved as JSON.
    pub(crate) fn load(path: &Path) -> io::Result<Self> {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let error = |error| named(path, &error);
        let report: Value = serde_json::from_slice(&fs::read(path).map_err(error)?)
            .map_err(|source| named(path, &source.into()))?;
        Self::new(&name, &report).map_err(error)
    }

    fn title(&self) -> String {
        let kind = self.fields.get("report").and_then(Value::as_str).unwrap_or("report");
        if self.name.is_empty() { kind.to_owned() } else { format!("{kind}: {}", self.name) }
    }

    /// The curves or the timelines under `key`, named so that those of several reports differ.
    fn series(&self, key: &str, is_alone: bool) -> Vec<Series> {
        let of_report = self.fields.get(key).and_then(Value::as_object).into_iter().flatten();
        let name = |name: &str| {
            if is_alone { name.to_owned() } else { format!("{name} ({})", self.title()) }
        };
        of_report
            .map(|(label, points)| Series { name: name(label), points: points_of(points) })
            .filter(|series| !series.points.is_empty())
            .collect()
    }
}

/// Writes the page of `documents`.
pub(crate) fn write(path: &Path, documents: &[Document]) -> io::Result<()> {
    save(path, page(documents).as_bytes())
}

fn page(documents: &[Document]) -> String {
    let is_alone = documents.len() == 1;
    let all = |key| -> Vec<_> {
        documents.iter().flat_map(|document| document.series(key, is_alone)).collect()
    };
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\">\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width\">\n\
         <title>loadgen</title>\n<style>\n{STYLE}</style>\n<main>\n<h1>loadgen</h1>\n"
    );
    for (heading, figure) in [
        ("Latency by percentile", chart::latency(&all(CURVES))),
        ("Spans per second", chart::throughput(&all(TIMELINES))),
    ] {
        if let Some(figure) = figure {
            add(&mut html, format_args!("<h2>{heading}</h2>\n{figure}"));
        }
    }
    for document in documents {
        add_document(&mut html, document);
    }
    html.push_str("</main>\n</html>\n");
    html
}

fn add_document(html: &mut String, document: &Document) {
    add(html, format_args!("<section>\n<h2>{}</h2>\n", escaped(&document.title())));
    let fields = &document.fields;
    for key in VOIDS {
        if let Some(reason) = fields.get(*key).and_then(Value::as_str) {
            add(html, format_args!("<p class=\"void\">{key}: {}</p>\n", escaped(reason)));
        }
    }
    add_ledger(html, fields);
    add_latencies(html, fields);
    add_processes(html, fields);
    html.push_str("<table>\n");
    for (key, value) in fields.iter().filter(|(key, _)| !has_place(key)) {
        add_pairs(html, key, value);
    }
    html.push_str("</table>\n</section>\n");
}

/// What became of spans, in the order in which they are accounted for.
fn add_ledger(html: &mut String, fields: &Map<String, Value>) {
    let spans = fields.get(SPANS);
    html.push_str("<table>\n");
    for key in LEDGER {
        let value = spans.and_then(|spans| spans.get(key)).or_else(|| fields.get(*key));
        match value {
            Some(value) if FAULTS.contains(key) => {
                let class = if value.as_u64() > Some(0) { " class=\"void\"" } else { "" };
                let (name, value) = (key.to_uppercase(), text_of(value));
                add(html, format_args!("<tr{class}><td>{name}</td><td>{value}</td></tr>\n"));
            }
            Some(value) => add_pairs(html, key, value),
            None => {}
        }
    }
    html.push_str("</table>\n");
}

/// Every set of percentiles, one row each, in microseconds.
fn add_latencies(html: &mut String, fields: &Map<String, Value>) {
    let rows: Vec<_> = fields
        .iter()
        .filter_map(|(key, value)| Some((key.strip_suffix("_us")?, value.as_object()?)))
        .collect();
    if rows.is_empty() {
        return;
    }
    html.push_str("<table>\n<tr><th>us</th>");
    for column in PERCENTILES {
        add(html, format_args!("<th>{column}</th>"));
    }
    for (name, percentiles) in rows {
        add(html, format_args!("</tr>\n<tr><td>{}</td>", escaped(&name.replace('_', " "))));
        for column in PERCENTILES {
            let value = percentiles.get(*column).and_then(Value::as_f64).unwrap_or_default();
            add(html, format_args!("<td>{value:.0}</td>"));
        }
    }
    html.push_str("</tr>\n</table>\n");
}

/// A row per process.
fn add_processes(html: &mut String, fields: &Map<String, Value>) {
    let processes = fields.get(PROCESSES).and_then(Value::as_array);
    let rows: Vec<_> = processes.into_iter().flatten().collect();
    if rows.is_empty() {
        return;
    }
    html.push_str("<table>\n<tr>");
    for (_, heading) in PROCESS_COLUMNS {
        add(html, format_args!("<th>{heading}</th>"));
    }
    for row in rows {
        html.push_str("</tr>\n<tr>");
        for (column, _) in PROCESS_COLUMNS {
            add(
                html,
                format_args!("<td>{}</td>", text_of(row.get(column).unwrap_or(&Value::Null))),
            );
        }
    }
    html.push_str("</tr>\n</table>\n");
}

/// A row per value; those within an object carry its key in front of theirs.
fn add_pairs(html: &mut String, key: &str, value: &Value) {
    match value {
        Value::Object(fields) => {
            for (inner, value) in fields {
                add_pairs(html, &format!("{key}.{inner}"), value);
            }
        }
        Value::Null => {}
        _ => {
            let text = text_of(value);
            add(html, format_args!("<tr><td>{}</td><td>{text}</td></tr>\n", escaped(key)));
        }
    }
}

/// True for what is shown elsewhere than in the list.
fn has_place(key: &str) -> bool {
    let elsewhere = ["report", SPANS, PROCESSES, CURVES, TIMELINES];
    [&elsewhere, VOIDS, LEDGER].iter().any(|keys| keys.contains(&key)) || key.ends_with("_us")
}

/// A curve's pairs as they are, a timeline's seconds numbered from 1.
fn points_of(points: &Value) -> Vec<[f64; 2]> {
    let points = points.as_array().into_iter().flatten().enumerate();
    points
        .filter_map(|(index, point)| match point {
            Value::Array(pair) => Some([pair.first()?.as_f64()?, pair.get(1)?.as_f64()?]),
            _ => Some([(index + 1) as f64, point.as_f64()?]),
        })
        .collect()
}

fn text_of(value: &Value) -> String {
    match value {
        Value::Null => "-".to_owned(),
        Value::String(text) => escaped(text),
        Value::Number(number) => match number.as_f64() {
            Some(float) if number.is_f64() => format!("{float:.3}"),
            _ => number.to_string(),
        },
        Value::Array(values) => values.iter().map(text_of).collect::<Vec<_>>().join("; "),
        _ => escaped(&value.to_string()),
    }
}

/// `text` as HTML and SVG show it, whatever it holds.
pub(super) fn escaped(text: &str) -> String {
    let mut html = String::with_capacity(text.len());
    for character in text.chars() {
        match character {
            '&' => html.push_str("&amp;"),
            '<' => html.push_str("&lt;"),
            '>' => html.push_str("&gt;"),
            '"' => html.push_str("&quot;"),
            _ => html.push(character),
        }
    }
    html
}

/// Appends to a page or a figure.
pub(super) fn add(html: &mut String, piece: std::fmt::Arguments<'_>) {
    html.write_fmt(piece).expect("writing to a string does not fail");
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}

const PERCENTILES: &[&str] = &["count", "p50", "p90", "p99", "p999", "p9999", "max"];
const CURVES: &str = "latency_curves";
const TIMELINES: &str = "spans_per_second";
const SPANS: &str = "spans";
const PROCESSES: &str = "processes";
const PROCESS_COLUMNS: &[(&str, &str)] = &[
    ("name", "process"),
    ("pid", "pid"),
    ("cpu_seconds", "CPU s"),
    ("cpu_us_per_span", "CPU us per span"),
    ("rss_peak_bytes", "peak RSS, bytes"),
    ("context_switches_voluntary", "voluntary switches"),
    ("context_switches_involuntary", "involuntary switches"),
    ("ended", "ended early"),
];
const LEDGER: &[&str] = &[
    "acknowledged_spans_per_second",
    "generated",
    "acknowledged",
    "rejected",
    "refused",
    "timed_out",
    "bad_spans",
    "spans_not_sent",
    "arrival",
    "arrived",
    "lost",
    "corrupt",
    "duplicate",
    "reordered",
    "arrived_unconfirmed",
    "bad_arrived",
    "bad",
    "foreign",
];
/// Of these, those that break a receiver's word.
const FAULTS: &[&str] = &["lost", "corrupt"];
const VOIDS: &[&str] = &["void", "latency_void"];
const STYLE: &str = include_str!("style.css");

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{Document, page};

    fn run() -> Document {
        let report = json!({
            "report": "run",
            "void": "no span <was> acknowledged",
            "manifest": {"cpu": "A & B", "notes": {"partitions": 12}},
            "spans": {"generated": 30, "acknowledged": 20, "rejected": {"InvalidArgument": 10}},
            "latency_us": {"count": 2, "p50": 1200.0, "p99": 5100.4, "max": 6000.0},
            "latency_curves": {"from intended start": [[0.0, 900.0], [0.5, 1200.0], [1.0, 6000.0]]},
            "spans_per_second": {"acknowledged": [10, 20, 15]},
            "notes": ["shared <cores>", "debug build"],
            "processes": [{"name": "broker", "pid": 7, "cpu_seconds": 1.5, "ended": false}],
        });
        Document::new("", &report).unwrap()
    }

    /// Ledger, percentiles, processes, manifest and reasons are on the page, and what a report
    /// says is text, never markup.
    #[test]
    fn a_report_is_shown_whole() {
        let page = page(&[run()]);
        for part in [
            "<h2>run</h2>",
            "void: no span &lt;was&gt; acknowledged",
            "<td>manifest.cpu</td><td>A &amp; B</td>",
            "<td>manifest.notes.partitions</td><td>12</td>",
            "<td>notes</td><td>shared &lt;cores&gt;; debug build</td>",
            "<td>rejected.InvalidArgument</td><td>10</td>",
            "<td>latency</td><td>2</td><td>1200</td>",
            "<td>broker</td><td>7</td><td>1.500</td><td>-</td>",
            "from intended start</text>",
            "acknowledged</text>",
        ] {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
    }

    /// The page loads nothing: no script, no link, no source, no style from elsewhere.
    #[test]
    fn a_page_needs_nothing_else() {
        let page = page(&[run()]);
        for reference in ["http", "//", "src=", "href", "url(", "@import", "<script", "<link"] {
            assert!(!page.contains(reference), "{reference} in {page}");
        }
        assert!(page.contains("prefers-color-scheme: dark"));
    }

    /// Losses stand out; their absence does not.
    #[test]
    fn losses_stand_out() {
        let verdict = |lost| {
            let report = json!({"report": "verify", "lost": lost, "corrupt": 0, "arrived": 5});
            page(&[Document::new("a", &report).unwrap()])
        };
        assert!(verdict(3).contains("<tr class=\"void\"><td>LOST</td><td>3</td></tr>"));
        assert!(verdict(0).contains("<tr><td>LOST</td><td>0</td></tr>"));
    }

    /// Curves of several reports share a chart and are told apart.
    #[test]
    fn several_reports_share_their_charts() {
        let sink =
            json!({"report": "sink", "latency_curves": {"end to end": [[0.5, 9.0], [1.0, 9.0]]}});
        let sink = Document::new("arrived.json", &sink).unwrap();
        let page = page(&[run(), sink]);
        assert_eq!(page.matches("<svg").count(), 2);
        assert!(page.contains("end to end (sink: arrived.json)</text>"), "{page}");
    }
}
