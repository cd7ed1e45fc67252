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
use std::time::Duration;

use serde::Serialize;

use crate::bad_spans::BadSpanTotals;
use crate::compression::Compression;
use crate::content::Profile;
use crate::judgement::{Evidence, Judgement, Placement};
use crate::latency::Percentiles;
use crate::ledger::SpanTotals;
use crate::machine;
use crate::manifest::Manifest;
use crate::options::RunOptions;
use crate::payload::FieldOrder;
use crate::plan::Plan;
use crate::report::distribution::Curves;
use crate::run::{Effort, Measured};
use crate::schedule::ArrivalProcess;
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
    interleaved: bool,
    profile: Profile,
    span_bytes: usize,
    field_order: FieldOrder,
    compression: Compression,
    elapsed_seconds: f64,
    warm_up_seconds: f64,
    /// From the end of the warm-up to the last answer: what rates are over.
    measured_seconds: f64,
    requests: u64,
    spans: SpanTotals,
    /// Spans that an open loop owed and did not send: the receiver did not keep up.
    spans_not_sent: u64,
    /// Present when some spans were deliberately bad.
    bad_spans: Option<BadSpanTotals>,
    /// After the warm-up.
    acknowledged_spans_per_second: f64,
    /// Absent where the system does not tell.
    generator: Option<GeneratorUsage>,
    retries: u64,
    /// Attempts that had no answer within `--timeout`; one answered with DEADLINE_EXCEEDED had.
    unanswered: u64,
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
    /// True when void latencies, or shared cores, are to void the run.
    strict: bool,
    /// Why the whole run says nothing about the receiver.
    void: Option<String>,
    /// What does not void a figure, and belongs beside it.
    notes: Vec<String>,
    arrival: &'static str,
    manifest: Manifest,
}

/// What the threads that generate spent after the warm-up.
#[derive(Clone, Copy, Debug, Serialize)]
struct GeneratorUsage {
    cpu_seconds: f64,
    /// Per span generated, patched, sent and answered.
    cpu_us_per_span: f64,
    /// Part of the time that the threads were on a core.
    busy: f64,
}

/// How requests were started.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "lowercase", tag = "loop")]
enum Load {
    Closed { in_flight: u32 },
    Open { spans_per_second: f64, arrivals: ArrivalProcess },
}

impl Load {
    fn of(options: &RunOptions, plan: &Plan) -> Self {
        match plan.pacer {
            Some(_) => Self::Open { spans_per_second: options.rate, arrivals: options.arrivals },
            None => Self::Closed { in_flight: plan.in_flight_max },
        }
    }
}

impl Display for Load {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { spans_per_second, arrivals } => {
                write!(f, "open loop, {spans_per_second:.0} spans/s offered, {arrivals} arrivals")
            }
            Self::Closed { in_flight } => write!(f, "closed loop, {in_flight} requests in flight"),
        }
    }
}

impl RunReport {
    pub(crate) fn new(options: &RunOptions, plan: &Plan, measured: &Measured) -> Self {
        let shape = plan.payload.shape();
        let spans = measured.ledger.totals();
        let requests = spans.generated / u64::from(shape.spans_per_request);
        let owed = plan.request_count.filter(|_| plan.pacer.is_some());
        let measured_for = measured.elapsed.saturating_sub(plan.warm_up);
        let generator = GeneratorUsage::new(measured);
        let latency_us = measured.latencies.corrected();
        let lateness_us = measured.latencies.lateness();
        let judgement = Judgement::new(&Evidence {
            is_strict: options.strict,
            acknowledged: spans.acknowledged,
            measured: measured.measured.generated,
            measured_for,
            latency_p99: latency_us.p99,
            lateness_p99: lateness_us.p99,
            busy: generator.map(|generator| generator.busy),
            placement: Placement {
                receiver_is_local: measured.receiver_is_local,
                generator_threads: usize::from(options.threads).min(plan.worker_count),
                cores: machine::cores(),
                cores_allowed: machine::cores_allowed(),
            },
        });
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION"),
            debug_build: cfg!(debug_assertions),
            endpoint: plan.target.endpoint.to_string(),
            run: shape.run.to_string(),
            seed: shape.seed,
            load: Load::of(options, plan),
            connections: plan.worker_count,
            threads: options.threads,
            spans_per_request: shape.spans_per_request,
            spans_per_trace: shape.spans_per_trace,
            interleaved: shape.interleaved,
            profile: shape.profile,
            span_bytes: shape.span_bytes,
            field_order: shape.field_order,
            compression: plan.compression,
            elapsed_seconds: measured.elapsed.as_secs_f64(),
            warm_up_seconds: plan.warm_up.as_secs_f64(),
            measured_seconds: measured_for.as_secs_f64(),
            requests,
            spans_not_sent: owed.map_or(0, |owed| owed - requests)
                * u64::from(shape.spans_per_request),
            bad_spans: BadSpanTotals::new(&measured.ledger, shape),
            acknowledged_spans_per_second: per_second(measured.measured.acknowledged, measured_for),
            generator,
            retries: measured.retries,
            unanswered: measured.unanswered,
            reconnects: measured.reconnects,
            latency_us,
            latency_uncorrected_us: measured.latencies.uncorrected(),
            lateness_us,
            latency_curves: distribution::curves(&measured.latencies.named()),
            spans_per_second: [("acknowledged", measured.timeline.clone())].into(),
            processes: measured.processes.clone(),
            latency_void: judgement.latency_void,
            strict: options.strict,
            void: judgement.void,
            notes: judgement.notes,
            arrival: "not verified",
            manifest: Manifest::of_run(options, plan),
            spans,
        }
    }

    /// True when the run says nothing about the receiver; under `--strict` also when its latencies
    /// say nothing.
    pub(crate) fn is_void(&self) -> bool {
        self.void.is_some() || (self.strict && self.latency_void.is_some())
    }
}

impl GeneratorUsage {
    fn new(measured: &Measured) -> Option<Self> {
        let Effort { cpu, wall } = measured.effort?;
        let spans = measured.measured.generated;
        (spans > 0).then(|| Self {
            cpu_seconds: cpu.as_secs_f64(),
            cpu_us_per_span: cpu.as_secs_f64() * 1e6 / spans as f64,
            busy: cpu.as_secs_f64() / wall.as_secs_f64(),
        })
    }
}

fn per_second(count: u64, over: Duration) -> f64 {
    if over.is_zero() { 0.0 } else { count as f64 / over.as_secs_f64() }
}

impl Display for RunReport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { spans, latency_us, latency_uncorrected_us, lateness_us, .. } = self;
        writeln!(f, "{} to {}, run {}", self.load, self.endpoint, self.run)?;
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
        if self.warm_up_seconds > 0.0 {
            writeln!(f, "the first {} s not measured", self.warm_up_seconds)?;
        }
        writeln!(f, "\nacknowledged {:>13.0} spans/s", self.acknowledged_spans_per_second)?;
        if let Some(GeneratorUsage { cpu_us_per_span, busy, .. }) = self.generator {
            let busy = busy * 100.0;
            writeln!(f, "generator    {cpu_us_per_span:>13.3} CPU-us per span, {busy:.0} % busy")?;
        }
        writeln!(f, "\n{:<24} {:>12} spans", "generated", spans.generated)?;
        write_totals(f, spans)?;
        if self.spans_not_sent > 0 {
            writeln!(f, "{:<24} {:>12} (owed by the schedule)", "not sent", self.spans_not_sent)?;
        }
        if let Some(bad) = &self.bad_spans {
            writeln!(
                f,
                "{:<24} {:>12} rejected {}, accepted {}, undecided {}; good ones rejected {}",
                "bad spans, as asked",
                bad.generated,
                bad.rejected,
                bad.accepted,
                bad.undecided,
                bad.good_rejected,
            )?;
        }
        writeln!(
            f,
            "retries {}, unanswered {}, reconnects {}",
            self.retries, self.unanswered, self.reconnects
        )?;

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
        for note in &self.notes {
            writeln!(f, "note: {note}")?;
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
