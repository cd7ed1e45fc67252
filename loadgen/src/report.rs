//! What people and programs are told at the end: tables and JSON.
//!
//! Pure but for [`publish`]. It must never call a figure good that the run does not support: a
//! report names what makes it void.

mod chart;
pub(crate) mod distribution;
pub(crate) mod html;

use std::fmt::{self, Display, Write as _};
use std::io::{self, Write as _};
use std::path::Path;

use serde::Serialize;

use crate::compression::Compression;
use crate::latency::Percentiles;
use crate::ledger::SpanTotals;
use crate::options::RunOptions;
use crate::payload::FieldOrder;
use crate::plan::Plan;
use crate::report::distribution::Curves;
use crate::run::Measured;
use crate::timeline::SpansPerSecond;
use crate::usage::{PROCESS_HEADINGS, ProcessUsage};
use crate::verify::Verdict;

/// The report of `loadgen run`.
#[derive(Debug, Serialize)]
#[serde(tag = "report", rename = "run")]
pub(crate) struct RunReport {
    loadgen_version: &'static str,
    debug_build: bool,
    endpoint: String,
    run: String,
    seed: u64,
    load: Load,
    connections: usize,
    threads: u16,
    spans_per_request: u32,
    spans_per_trace: u32,
    span_bytes: usize,
    field_order: FieldOrder,
    compression: Compression,
    elapsed_seconds: f64,
    requests: u64,
    spans: SpanTotals,
    /// Spans that an open loop owed and did not send: the receiver did not keep up.
    spans_not_sent: u64,
    acknowledged_spans_per_second: f64,
    retries: u64,
    reconnects: u64,
    /// Of acknowledged requests, in microseconds, from the intended start.
    latency_us: Percentiles,
    /// From the actual start.
    latency_uncorrected_us: Percentiles,
    /// From the intended to the actual start.
    lateness_us: Percentiles,
    latency_curves: Curves,
    spans_per_second: SpansPerSecond,
    /// The generator, and those under `--watch`.
    processes: Vec<ProcessUsage>,
    /// Why latency says nothing about the receiver; empty when it does.
    latency_void: Option<String>,
    /// Why the whole run says nothing about the receiver.
    void: Option<String>,
    arrival: &'static str,
}

/// How requests were started.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "loop")]
enum Load {
    Closed { in_flight: u32 },
    Open { spans_per_second: f64 },
}

impl RunReport {
    pub(crate) fn new(options: &RunOptions, plan: &Plan, measured: &Measured) -> Self {
        let shape = plan.payload.shape();
        let spans = measured.ledger.totals();
        let requests = spans.generated / u64::from(shape.spans_per_request);
        let load = match plan.pacer {
            Some(_) => Load::Open { spans_per_second: options.rate },
            None => Load::Closed { in_flight: plan.in_flight_max },
        };
        let owed = plan.request_count.filter(|_| plan.pacer.is_some());
        let elapsed_seconds = measured.elapsed.as_secs_f64();
        let latency_us = measured.latencies.corrected();
        let lateness_us = measured.latencies.lateness();
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION"),
            debug_build: cfg!(debug_assertions),
            endpoint: plan.endpoint.to_string(),
            run: shape.run.to_string(),
            seed: shape.seed,
            load,
            connections: plan.worker_count,
            threads: options.threads,
            spans_per_request: shape.spans_per_request,
            spans_per_trace: shape.spans_per_trace,
            span_bytes: shape.span_bytes,
            field_order: shape.field_order,
            compression: plan.compression,
            elapsed_seconds,
            requests,
            spans_not_sent: owed.map_or(0, |owed| owed - requests)
                * u64::from(shape.spans_per_request),
            acknowledged_spans_per_second: spans.acknowledged as f64 / elapsed_seconds,
            retries: measured.retries,
            reconnects: measured.reconnects,
            latency_us,
            latency_uncorrected_us: measured.latencies.uncorrected(),
            lateness_us,
            latency_curves: distribution::curves(&measured.latencies.named()),
            spans_per_second: [("acknowledged", measured.timeline.clone())].into(),
            processes: measured.processes.clone(),
            latency_void: latency_void(&latency_us, &lateness_us),
            void: (spans.acknowledged == 0).then(|| "no span was acknowledged".to_owned()),
            arrival: "not verified",
            spans,
        }
    }

    /// True when the run says nothing about the receiver.
    pub(crate) fn is_void(&self) -> bool {
        self.void.is_some()
    }
}

/// Latency is void where the generator itself was late: its 99th percentile of lateness may be a
/// millisecond or a tenth of the latency reported, whichever is more.
fn latency_void(latency: &Percentiles, lateness: &Percentiles) -> Option<String> {
    let limit = (latency.p99 / 10.0).max(LATENESS_MICROS_MAX);
    (lateness.p99 > limit).then(|| {
        format!(
            "requests started late: p99 of lateness {:.0} us, limit {limit:.0} us",
            lateness.p99
        )
    })
}

impl Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, latency_us, latency_uncorrected_us, lateness_us, .. } = self;
        match self.load {
            Load::Open { spans_per_second } => {
                write!(f, "open loop, {spans_per_second:.0} spans/s offered")?;
            }
            Load::Closed { in_flight } => write!(f, "closed loop, {in_flight} requests in flight")?,
        }
        writeln!(f, " to {}, run {}", self.endpoint, self.run)?;
        writeln!(
            f,
            "{} connections, {} spans of {} B per request, {} per trace, {:.1} s{}",
            self.connections,
            self.spans_per_request,
            self.span_bytes,
            self.spans_per_trace,
            self.elapsed_seconds,
            if self.debug_build { ", DEBUG BUILD" } else { "" },
        )?;
        writeln!(f, "\nacknowledged {:>13.0} spans/s", self.acknowledged_spans_per_second)?;
        writeln!(f, "\n{:<24} {:>12} spans", "generated", spans.generated)?;
        write_totals(f, spans)?;
        if self.spans_not_sent > 0 {
            writeln!(f, "{:<24} {:>12} (owed by the schedule)", "not sent", self.spans_not_sent)?;
        }
        writeln!(f, "retries {}, reconnects {}", self.retries, self.reconnects)?;

        writeln!(f, "\n{}", latency_headings())?;
        write_percentiles(f, "from intended start", latency_us)?;
        write_percentiles(f, "from actual start", latency_uncorrected_us)?;
        write_percentiles(f, "lateness", lateness_us)?;
        if !self.processes.is_empty() {
            writeln!(f, "\n{PROCESS_HEADINGS}")?;
        }
        for process in &self.processes {
            writeln!(f, "{process}")?;
        }
        if let Some(reason) = &self.latency_void {
            writeln!(f, "latency is VOID: {reason}")?;
        }
        if let Some(reason) = &self.void {
            writeln!(f, "the run is VOID: {reason}")?;
        }
        write!(f, "arrival {}", self.arrival)
    }
}

impl Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<24} {:>12}", "generated", self.spans.generated)?;
        write_totals(f, &self.spans)?;
        writeln!(f, "{:<24} {:>12}", "arrived", self.arrived)?;
        for (name, spans) in [
            ("LOST", self.lost),
            ("CORRUPT", self.corrupt),
            ("DUPLICATE", self.duplicate),
            ("REORDERED", self.reordered),
            ("ARRIVED-UNCONFIRMED", self.arrived_unconfirmed),
            ("BAD-ARRIVED", self.bad_arrived),
        ] {
            writeln!(f, "{name:<24} {spans:>12}")?;
        }
        write!(f, "{:<24} {:>12}", "foreign", self.foreign)?;
        if let Some(latency) = &self.end_to_end_us {
            writeln!(f, "\n\n{}", latency_headings())?;
            write_percentiles(f, "end to end", latency)?;
        }
        match self.void {
            Some(reason) => write!(f, "\nthe verification is VOID: {reason}"),
            None => Ok(()),
        }
    }
}

fn write_totals(f: &mut fmt::Formatter<'_>, spans: &SpanTotals) -> fmt::Result {
    writeln!(f, "  {:<22} {:>12}", "acknowledged", spans.acknowledged)?;
    for (name, by_reason) in [("rejected", &spans.rejected), ("refused", &spans.refused)] {
        writeln!(f, "  {name:<22} {:>12}{}", by_reason.values().sum::<u64>(), reasons(by_reason))?;
    }
    writeln!(f, "  {:<22} {:>12}", "timed out", spans.timed_out)
}

fn reasons(by_reason: &std::collections::BTreeMap<String, u64>) -> String {
    by_reason.iter().fold(String::new(), |mut reasons, (reason, spans)| {
        write!(reasons, "  {reason} {spans}").expect("writing to a string does not fail");
        reasons
    })
}

fn latency_headings() -> String {
    format!("{:<24} {:>9} {:>9} {:>9} {:>9} {:>9}", "us", "p50", "p90", "p99", "p99.9", "max")
}

fn write_percentiles(f: &mut fmt::Formatter<'_>, name: &str, of: &Percentiles) -> fmt::Result {
    let Percentiles { p50, p90, p99, p999, max, .. } = of;
    writeln!(f, "{name:<24} {p50:>9.0} {p90:>9.0} {p99:>9.0} {p999:>9.0} {max:>9.0}")
}

/// Prints `report` as a table, or as JSON where that is asked for: `-` is stdout.
pub(crate) fn publish<R: Display + Serialize>(report: &R, json: Option<&Path>) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    match json {
        None => writeln!(stdout, "{report}"),
        Some(path) => {
            let mut document = serde_json::to_vec_pretty(report)?;
            document.push(b'\n');
            if path == Path::new("-") {
                return stdout.write_all(&document);
            }
            distribution::save(path, &document)?;
            writeln!(stdout, "{report}")
        }
    }
}

/// Within what a sleeping thread can be expected to wake.
const LATENESS_MICROS_MAX: f64 = 1_000.0;

#[cfg(test)]
mod tests {
    use super::latency_void;
    use crate::latency::Percentiles;

    /// A late generator voids its latencies, unless lateness is small beside them.
    #[test]
    fn lateness_voids_latency() {
        let p99 = |p99| Percentiles { p99, ..Percentiles::default() };
        assert_eq!(latency_void(&p99(2_000.0), &p99(900.0)), None);
        assert_eq!(latency_void(&p99(50_000.0), &p99(4_000.0)), None);
        assert!(latency_void(&p99(5_000.0), &p99(1_100.0)).is_some());
    }
}
