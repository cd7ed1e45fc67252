//! The command line.

use std::net::SocketAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};

use crate::compression::Compression;
use crate::content::Profile;
use crate::endpoint::{Endpoint, Header};
use crate::ids::RunId;
use crate::payload::FieldOrder;
use crate::schedule::ArrivalProcess;
use crate::script;
use crate::units;
use crate::usage::WatchTarget;

/// Load, ledger and sink for any OTLP trace receiver.
#[derive(Debug, Parser)]
#[command(version, max_term_width = 100, after_help = EXIT_CODES)]
pub(crate) struct Options {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Send spans to an OTLP/gRPC receiver and report how fast they were acknowledged
    #[command(args_override_self = true)]
    Run(Box<RunOptions>),
    /// Receive spans and keep which ones arrived
    Sink(Box<SinkOptions>),
    /// Compare what was acknowledged with what arrived
    Verify(VerifyOptions),
    /// Show saved reports on one page, with their curves in one chart
    Report(ReportOptions),
}

#[derive(Args, Debug)]
pub(crate) struct RunOptions {
    #[command(flatten)]
    pub(crate) target: TargetOptions,
    /// Open loop: spans per second, whatever the receiver does (100k, 2.5M)
    #[arg(help_heading = LOAD, long, value_parser = units::count, default_value = "10k")]
    #[arg(conflicts_with = "in_flight")]
    pub(crate) rate: f64,
    /// When the requests of an open loop start
    #[arg(help_heading = LOAD, long, value_enum, default_value_t, conflicts_with = "in_flight")]
    pub(crate) arrivals: ArrivalProcess,
    /// Closed loop instead: so many requests in flight, the next when one is answered
    #[arg(help_heading = LOAD, long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=65_536))]
    pub(crate) in_flight: Option<u32>,
    /// How long new requests are started [default: 10s, unless --requests is given]
    #[arg(help_heading = LOAD, long, value_parser = units::duration)]
    pub(crate) duration: Option<Duration>,
    /// Load for so long before that; it counts in the ledger, not in rates or latencies
    #[arg(help_heading = LOAD, long, value_parser = units::duration, default_value = "0s")]
    pub(crate) warm_up: Duration,
    /// Stop after so many requests, those of the warm-up included
    #[arg(help_heading = LOAD, long, value_name = "N")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) requests: Option<u64>,
    /// Threads that the connections are dealt out to
    #[arg(help_heading = LOAD, long, default_value_t = 1)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    #[command(flatten)]
    pub(crate) shape: ShapeOptions,
    /// Call the run void, with exit code 3, also when its latencies are, or when generator and
    /// receiver share too few cores
    #[arg(help_heading = REPORT, long)]
    pub(crate) strict: bool,
    /// Put a fact into the report, such as broker.acks=all; repeatable
    #[arg(help_heading = REPORT, long, value_name = "KEY=VALUE", value_parser = note)]
    pub(crate) note: Vec<(String, String)>,
    /// Write the report as JSON, `-` for stdout in place of the table
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    /// Write what became of every request, for `loadgen verify`
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) ledger: Option<PathBuf>,
    /// Write the report as a page that needs nothing but itself
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) html: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) distributions: DistributionOptions,
    /// Report what a process spends meanwhile, such as broker=4711; repeatable, Linux only
    #[arg(help_heading = REPORT, long, value_name = "NAME=PID")]
    pub(crate) watch: Vec<WatchTarget>,
}

/// Where requests go, and how answers are taken.
#[derive(Args, Debug)]
pub(crate) struct TargetOptions {
    /// Receiver of the load: http://HOST:PORT, or https:// for TLS
    #[arg(help_heading = RECEIVER, long, env = "OTEL_EXPORTER_OTLP_ENDPOINT")]
    #[arg(default_value = "http://localhost:4317")]
    pub(crate) endpoint: Endpoint,
    /// Header of every request, value percent-encoded; repeatable, or a list with commas
    #[arg(help_heading = RECEIVER, long, env = "OTEL_EXPORTER_OTLP_HEADERS")]
    #[arg(value_name = "NAME=VALUE", value_delimiter = ',', hide_env_values = true)]
    pub(crate) header: Vec<Header>,
    /// Certificates (PEM) to trust with https://, in place of the system's
    #[arg(help_heading = RECEIVER, long, env = "OTEL_EXPORTER_OTLP_CERTIFICATE")]
    #[arg(value_name = "FILE")]
    pub(crate) certificate: Option<PathBuf>,
    /// Connections, each with many streams
    #[arg(help_heading = RECEIVER, long, default_value_t = 8)]
    #[arg(value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub(crate) connections: u16,
    /// Compress request bodies
    #[arg(help_heading = RECEIVER, long, value_enum, default_value_t)]
    pub(crate) compression: Compression,
    /// Deadline of one attempt
    #[arg(help_heading = RECEIVER, long, value_parser = units::duration, default_value = "10s")]
    pub(crate) timeout: Duration,
    /// Send a refused or unanswered request again, with the same spans, for so long; RetryInfo is
    /// honoured [without a value: 60s]
    #[arg(help_heading = RECEIVER, long, value_name = "FOR", value_parser = units::duration)]
    #[arg(num_args = 0..=1, default_missing_value = "60s")]
    pub(crate) retry: Option<Duration>,
}

/// What requests look like.
#[derive(Args, Debug)]
pub(crate) struct ShapeOptions {
    /// Kind of span [default: std, or the one for --span-bytes]
    #[arg(help_heading = SPANS, long, value_enum)]
    pub(crate) profile: Option<Profile>,
    /// Encoded size of a span [default: that of its profile]
    #[arg(help_heading = SPANS, long, value_name = "BYTES")]
    pub(crate) span_bytes: Option<usize>,
    /// Spans in a request
    #[arg(help_heading = SPANS, long, default_value_t = 512, value_name = "N")]
    pub(crate) spans_per_request: u32,
    /// Spans in a trace; a trace may begin and end anywhere in a request
    #[arg(help_heading = SPANS, long, default_value_t = 8, value_name = "N")]
    pub(crate) spans_per_trace: u32,
    /// Mix the spans of a request's traces, in place of one trace after the other
    #[arg(help_heading = SPANS, long)]
    pub(crate) interleave: bool,
    /// Make one span in N deliberately bad, which a receiver should reject: it has no span id
    #[arg(help_heading = SPANS, long, value_name = "1/N", value_parser = one_in)]
    pub(crate) bad_spans: Option<u32>,
    /// Order of fields on the wire
    #[arg(help_heading = SPANS, long, value_enum, default_value_t = FieldOrder::Ascending)]
    pub(crate) field_order: FieldOrder,
    /// Chooses the content of spans, and random arrivals
    #[arg(help_heading = SPANS, long, default_value_t = 0)]
    pub(crate) seed: u64,
    /// Number of the run in every trace id, eight hexadecimal digits [default: random]
    #[arg(help_heading = SPANS, long, value_parser = run_id)]
    pub(crate) run_id: Option<RunId>,
}

#[derive(Args, Debug)]
pub(crate) struct SinkOptions {
    /// Address to listen on; with port 0 the one chosen is printed
    #[arg(long, default_value = "127.0.0.1:0")]
    pub(crate) listen: SocketAddr,
    /// Write what arrived at the end, and on SIGUSR1
    #[arg(long, value_name = "FILE")]
    pub(crate) out: Option<PathBuf>,
    /// End by itself once so many different spans have arrived
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) until_spans: Option<u64>,
    /// How long to wait for them; if they have not all arrived, the exit code is 1
    #[arg(long, value_parser = units::duration, default_value = "30s", requires = "until_spans")]
    pub(crate) timeout: Duration,
    /// Write a report as JSON at the end, and on SIGUSR1
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) distributions: DistributionOptions,
    /// Leave spans out of end-to-end latency that were meant to start within so long of the first
    /// of their run
    #[arg(help_heading = REPORT, long, value_name = "FOR")]
    #[arg(value_parser = units::duration, default_value = "0s")]
    pub(crate) warm_up: Duration,
    /// Answer OK to everything without looking at it, to measure a sender
    #[arg(long, conflicts_with_all = ["out", "until_spans", "lose_spans", "rate_max"])]
    #[arg(conflicts_with_all = ["json", "hgrm", "hlog", "warm_up"])]
    pub(crate) discard: bool,
    /// Threads that receive
    #[arg(long, default_value_t = 1, value_parser = clap::value_parser!(u16).range(1..=256))]
    pub(crate) threads: u16,
    #[command(flatten)]
    pub(crate) script: ScriptOptions,
}

/// How a sink misbehaves.
#[derive(Args, Debug)]
#[command(next_help_heading = "Misbehaviour")]
pub(crate) struct ScriptOptions {
    /// Wait before every answer
    #[arg(long, value_parser = units::duration, default_value = "0s")]
    pub(crate) delay: Duration,
    /// Take no more than so many spans per second (30k, 2.5M): later ones wait for their answer
    #[arg(long, value_name = "SPANS", value_parser = units::count)]
    pub(crate) rate_max: Option<f64>,
    /// Fail the first N requests
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) fail_first: u64,
    /// Fail every Nth request
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    pub(crate) fail_every: Option<u64>,
    /// Fail requests that come within these times of the first (2s..5s)
    #[arg(long, value_name = "FROM..TO", value_parser = script::window)]
    pub(crate) fail_between: Option<Range<Duration>>,
    /// gRPC status code of failed requests
    #[arg(long, default_value_t = 14, value_parser = clap::value_parser!(i32).range(1..=16))]
    pub(crate) fail_code: i32,
    /// Ask, with a failure, for a retry after so long
    #[arg(long, value_parser = units::duration)]
    pub(crate) retry_info: Option<Duration>,
    /// Acknowledge the first N spans and forget them: a receiver that loses data
    #[arg(long, default_value_t = 0, value_name = "N")]
    pub(crate) lose_spans: u64,
}

/// Files of latency distributions, for other tools.
#[derive(Args, Debug)]
pub(crate) struct DistributionOptions {
    /// Write the latency distribution as text, for HdrHistogram's plotter
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) hgrm: Option<PathBuf>,
    /// Write the latency histograms as an HdrHistogram interval log, which its tools merge
    #[arg(help_heading = REPORT, long, value_name = "FILE")]
    pub(crate) hlog: Option<PathBuf>,
}

#[derive(Args, Debug)]
pub(crate) struct VerifyOptions {
    /// A ledger that `loadgen run --ledger` wrote; repeatable, for several generators
    #[arg(long = "ledger", value_name = "FILE", required = true)]
    pub(crate) ledgers: Vec<PathBuf>,
    #[command(flatten)]
    pub(crate) source: SourceOptions,
    /// Write the result as JSON, `-` for stdout in place of the table
    #[arg(long, value_name = "FILE")]
    pub(crate) json: Option<PathBuf>,
}

/// Where to look for what arrived.
#[cfg(not(feature = "kafka"))]
#[derive(Args, Debug)]
pub(crate) struct SourceOptions {
    /// A file that `loadgen sink --out` wrote; repeatable, for several sinks
    #[arg(long, value_name = "FILE", required = true)]
    pub(crate) arrived: Vec<PathBuf>,
}

/// Where to look for what arrived.
#[cfg(feature = "kafka")]
#[derive(Args, Debug)]
#[group(required = true, multiple = true)]
pub(crate) struct SourceOptions {
    /// A file that `loadgen sink --out` wrote; repeatable, for several sinks
    #[arg(long, value_name = "FILE", conflicts_with_all = ["brokers", "topic"])]
    pub(crate) arrived: Vec<PathBuf>,
    /// Brokers of the topic to read in place of files
    #[arg(long, value_name = "HOST:PORT", requires = "topic")]
    pub(crate) brokers: Option<String>,
    /// The topic, from its beginning to where it ends now
    #[arg(long, requires = "brokers")]
    pub(crate) topic: Option<String>,
}

#[derive(Args, Debug)]
pub(crate) struct ReportOptions {
    /// A report that `run`, `sink` or `verify` wrote with --json; repeatable
    #[arg(long = "json", value_name = "FILE", required = true)]
    pub(crate) reports: Vec<PathBuf>,
    /// The page to write
    #[arg(long, value_name = "FILE")]
    pub(crate) html: PathBuf,
}

fn run_id(text: &str) -> Result<RunId, std::num::ParseIntError> {
    u32::from_str_radix(text, 16).map(RunId)
}

/// Reads `1/1000` as 1000.
fn one_in(text: &str) -> Result<u32, &'static str> {
    let every = text.strip_prefix("1/").and_then(|every| every.parse().ok());
    every.filter(|every| *every > 0).ok_or("expected 1/N, such as 1/1000")
}

fn note(text: &str) -> Result<(String, String), &'static str> {
    let note = text.split_once('=').filter(|(key, _)| !key.is_empty());
    let (key, value) = note.ok_or("expected KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

const RECEIVER: &str = "Receiver";
const LOAD: &str = "Load";
const SPANS: &str = "Spans";
const REPORT: &str = "Report";
const EXIT_CODES: &str = "Exit codes: 0 fine, 1 spans lost or corrupt, 2 wrong usage or a file \
that cannot be read or written, 3 void: the run says nothing about the receiver";

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::{Command, Options};

    /// The definition has no contradictions.
    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    /// A rate and a number in flight exclude each other; `--retry` stands alone or with a value.
    #[test]
    fn options_are_read() {
        let parse = |args: &str| Options::try_parse_from(args.split(' '));
        assert!(parse("loadgen run --rate 1k --in-flight 3").is_err());
        let retry = |args| match parse(args).unwrap().command {
            Command::Run(run) => run.target.retry.map(|retry| retry.as_secs()),
            _ => None,
        };
        assert_eq!(retry("loadgen run"), None);
        assert_eq!(retry("loadgen run --retry --in-flight 3"), Some(60));
        assert_eq!(retry("loadgen run --retry 5m"), Some(300));
    }

    /// Headers and notes may be repeated, headers also be listed, and each is kept.
    #[test]
    fn repeated_options_add_up() {
        let args = "loadgen run --header a=1,b=2 --note k=v --header c=x%2Cy --note l=w=z";
        let Command::Run(run) = Options::try_parse_from(args.split(' ')).unwrap().command else {
            panic!("not a run");
        };
        let headers: Vec<_> =
            run.target.header.iter().map(|header| (header.name.as_str(), &header.value)).collect();
        assert!(headers.iter().map(|(name, _)| *name).eq(["a", "b", "c"]));
        assert_eq!(headers[2].1, "x,y");
        let notes = [("k", "v"), ("l", "w=z")];
        assert_eq!(run.note, notes.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    /// One bad span in so many: nothing else is understood.
    #[test]
    fn bad_spans_are_one_in_so_many() {
        assert_eq!(super::one_in("1/1000"), Ok(1_000));
        for text in ["1/0", "1000", "2/1000", "1/", "0.1"] {
            assert!(super::one_in(text).is_err(), "{text}");
        }
    }
}
