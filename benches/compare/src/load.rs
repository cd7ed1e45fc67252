//! loadgen as a process: what it is told, and what it reports.
//!
//! The only place that knows its command line and its JSON.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use serde_json::Value;
use testbed::{port, process::Process, reaper, wait};

use crate::plan::{SPAN_BYTES, Shape};

/// Load for one receiver.
#[derive(Clone, Debug)]
pub(crate) struct Offer<'a> {
    pub(crate) endpoint: &'a str,
    pub(crate) shape: Shape,
    pub(crate) amount: Amount,
}

/// How much of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Amount {
    /// Open loop, in spans per second.
    Rate(f64, Duration),
    /// Closed loop for a time.
    Saturate(Duration),
    /// Closed loop until so many spans were sent.
    Spans(u64),
}

/// What became of it.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Report {
    pub(crate) acknowledged: u64,
    /// Refused, rejected, timed out, or not sent though it was due.
    pub(crate) not_acknowledged: u64,
    pub(crate) seconds: f64,
    /// 50th, 99th and 99.9th percentile in milliseconds.
    pub(crate) reply_ms: [f64; 3],
    /// Why its figures say nothing.
    pub(crate) void: Option<String>,
}

/// Runs loadgen to its end.
pub(crate) fn run(loadgen: &Path, offer: &Offer<'_>) -> Report {
    let number = next_number();
    let json = reaper::folder().join(format!("loadgen-{number}.json"));
    let mut command = Command::new(loadgen);
    command.arg("run").args(arguments(offer)).arg("--json").arg(&json);
    let mut process = Process::start(&mut command, &json.with_extension("log"));
    let ended = process.wait_exit(ENDS_WITHIN);
    let report = fs::read_to_string(&json).ok().and_then(|text| read(&text));
    report.unwrap_or_else(|| panic!("loadgen ended without a report: {ended}"))
}

/// The command line of a run, but for where its report goes.
fn arguments(offer: &Offer<'_>) -> Vec<String> {
    let Shape { spans_per_request, spans_per_trace, gzip } = offer.shape;
    // Placement is declared: a run whose latencies the generator spoils is to be called void.
    let mut arguments = vec!["--strict".to_owned()];
    let mut set = |name: &str, value: String| arguments.extend([format!("--{name}"), value]);
    set("endpoint", offer.endpoint.to_owned());
    set("connections", CONNECTIONS.to_string());
    set("spans-per-request", spans_per_request.to_string());
    set("spans-per-trace", spans_per_trace.to_string());
    set("span-bytes", SPAN_BYTES.to_string());
    if gzip {
        set("compression", "gzip".to_owned());
    }
    match offer.amount {
        Amount::Rate(rate, duration) => {
            set("rate", format!("{rate:.0}"));
            set("duration", format!("{}ms", duration.as_millis()));
        }
        Amount::Saturate(duration) => {
            set("in-flight", in_flight(offer.shape).to_string());
            set("duration", format!("{}ms", duration.as_millis()));
        }
        Amount::Spans(spans) => {
            set("in-flight", in_flight(offer.shape).to_string());
            set("requests", (spans / u64::from(spans_per_request)).max(1).to_string());
        }
    }
    arguments
}

/// Requests at a time that keep a receiver busy, within what 64 MiB in flight allow.
fn in_flight(shape: Shape) -> u32 {
    if shape.spans_per_request > 100 { 64 } else { 512 }
}

/// A report, if it has everything.
fn read(json: &str) -> Option<Report> {
    let report: Value = serde_json::from_str(json).ok()?;
    let generated = report["spans"]["generated"].as_u64()?;
    let acknowledged = report["spans"]["acknowledged"].as_u64()?;
    let void = ["void", "latency_void"].into_iter().find_map(|key| report[key].as_str());
    Some(Report {
        acknowledged,
        not_acknowledged: generated - acknowledged + report["spans_not_sent"].as_u64()?,
        seconds: report["elapsed_seconds"].as_f64()?,
        reply_ms: percentiles(&report["latency_us"])?,
        void: void.map(str::to_owned),
    })
}

/// `loadgen sink`: keeps what arrives, and how long it took where this loadgen can tell.
pub(crate) struct Sink {
    process: Process,
    json: std::path::PathBuf,
    /// `host:port` of its receiver.
    pub(crate) address: String,
}

impl Sink {
    /// Starts one and waits until it listens.
    pub(crate) fn start(loadgen: &Path) -> Self {
        let json = reaper::folder().join(format!("sink-{}.json", next_number()));
        let address = format!("127.0.0.1:{}", port::free());
        let mut command = Command::new(loadgen);
        command.args(["sink", "--listen", &address]);
        if reports_arrivals(loadgen) {
            command.arg("--json").arg(&json);
        }
        let process = Process::start(&mut command, &json.with_extension("log"));
        wait::wait_for("loadgen sink", READY_WITHIN, || {
            process.log().contains("listening on").then_some(())
        });
        Self { process, json, address }
    }

    /// Ends it: the percentiles from intended start to arrival, in milliseconds.
    pub(crate) fn end_to_end_ms(mut self) -> Option<[f64; 3]> {
        self.process.stop(READY_WITHIN);
        let report: Value = serde_json::from_str(&fs::read_to_string(&self.json).ok()?).ok()?;
        percentiles(&report["end_to_end_us"])
    }
}

fn reports_arrivals(loadgen: &Path) -> bool {
    let help = Command::new(loadgen).args(["sink", "--help"]).output();
    help.is_ok_and(|help| String::from_utf8_lossy(&help.stdout).contains("--json"))
}

fn percentiles(us: &Value) -> Option<[f64; 3]> {
    let ms = |name: &str| us[name].as_f64().map(|us| us / 1e3);
    Some([ms("p50")?, ms("p99")?, ms("p999")?])
}

fn next_number() -> u32 {
    static NUMBERS: AtomicU32 = AtomicU32::new(0);
    NUMBERS.fetch_add(1, Ordering::Relaxed)
}

/// As many as a few SDKs and Collectors hold.
pub(crate) const CONNECTIONS: u32 = 8;
const READY_WITHIN: Duration = Duration::from_secs(30);
/// Far above the longest load and the deadline of its last request.
const ENDS_WITHIN: Duration = Duration::from_secs(120);

#[cfg(test)]
mod tests {
    use super::*;

    const SHAPE: Shape = Shape { spans_per_request: 512, spans_per_trace: 8, gzip: true };

    /// An open loop has a rate and a time, a closed one requests in flight.
    #[test]
    fn command_lines() {
        let line =
            |amount| arguments(&Offer { endpoint: "http://e:1", shape: SHAPE, amount }).join(" ");
        let shape = "--strict --endpoint http://e:1 --connections 8 --spans-per-request 512 \
                     --spans-per-trace 8 --span-bytes 290 --compression gzip";
        let rate = Amount::Rate(5e4, Duration::from_millis(2_500));
        assert_eq!(line(rate), format!("{shape} --rate 50000 --duration 2500ms"));
        assert_eq!(line(Amount::Spans(1_024)), format!("{shape} --in-flight 64 --requests 2"));
    }

    /// Whatever was offered and not acknowledged counts, and the void comes with its reason.
    #[test]
    fn reports() {
        let json = r#"{"spans": {"generated": 100, "acknowledged": 90}, "spans_not_sent": 5,
            "elapsed_seconds": 2.0, "latency_us": {"p50": 1500, "p99": 2000, "p999": 3000},
            "latency_void": "late", "void": null}"#;
        let report = read(json).unwrap();
        assert_eq!((report.acknowledged, report.not_acknowledged), (90, 15));
        assert_eq!(report.reply_ms, [1.5, 2.0, 3.0]);
        assert_eq!(report.void.as_deref(), Some("late"));
        assert_eq!(read("{}"), None);
    }
}
