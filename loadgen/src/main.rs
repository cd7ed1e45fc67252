//! `loadgen`: load, ledger and sink for any OTLP trace receiver.
//!
//! ```text
//! run     payload ─▶ worker ─▶ client ──OTLP/gRPC──▶ receiver under test ─▶ sink (or a topic)
//!                       └─▶ ledger ─────────────▶ verify ◀───────────────── arrivals
//! ```
//!
//! Every span carries its run, worker and sequence number in its ids ([`ids`]) and a checksum of
//! its content ([`checksum`]), so that `verify` can tell lost, duplicate, reordered and corrupt
//! spans apart without the generator remembering any of them.

mod answer;
mod arrivals;
mod bad_spans;
mod bitmap;
mod checksum;
mod client;
mod combine;
mod compression;
mod content;
mod end_to_end;
mod endpoint;
mod files;
mod ids;
mod judgement;
mod latency;
mod layout;
mod ledger;
mod machine;
mod manifest;
mod options;
mod pacer;
mod payload;
mod plan;
mod progress;
mod report;
mod run;
mod schedule;
mod script;
mod signals;
mod sink;
mod timeline;
mod tls;
#[cfg(feature = "kafka")]
mod topic;
mod units;
mod usage;
mod verify;
mod wire;
mod worker;

use std::error::Error;
use std::process::ExitCode;

use clap::Parser;

use crate::arrivals::Arrivals;
use crate::options::{
    Command, Options, ReportOptions, RunOptions, SinkOptions, SourceOptions, VerifyOptions,
};
use crate::report::html::{self, Document};
use crate::run::RunError;
use crate::sink::SinkEnd;
use crate::verify::Verdict;

/// What the exit code says; `--help` and the README list it.
enum Ending {
    Fine = 0,
    Lost = 1,
    Usage = 2,
    Void = 3,
}

fn main() -> ExitCode {
    let ending = match Options::parse().command {
        Command::Run(options) => run(&options),
        Command::Sink(options) => sink(&options),
        Command::Verify(options) => verify(&options),
        Command::Report(options) => report(&options),
    };
    ExitCode::from(ending.unwrap_or_else(|error| complain(&*error)) as u8)
}

fn run(options: &RunOptions) -> Result<Ending, Box<dyn Error>> {
    let report = match run::run(options) {
        Ok(report) => report,
        Err(error @ RunError::Connect { .. }) => {
            complain(&error);
            return Ok(Ending::Void);
        }
        Err(error) => return Err(error.into()),
    };
    if let Some(path) = &options.html {
        html::write(path, &[Document::new("", &report)?])?;
    }
    report::publish(&report, options.json.as_deref())?;
    Ok(if report.is_void() { Ending::Void } else { Ending::Fine })
}

fn sink(options: &SinkOptions) -> Result<Ending, Box<dyn Error>> {
    Ok(match sink::run(options)? {
        SinkEnd::Done => Ending::Fine,
        SinkEnd::Incomplete => Ending::Lost,
    })
}

fn verify(options: &VerifyOptions) -> Result<Ending, Box<dyn Error>> {
    let ledgers = combine::ledgers(&options.ledgers)?;
    let verdict = Verdict::new(&ledgers, &arrivals(&options.source)?);
    report::publish(&verdict, options.json.as_deref())?;
    Ok(if verdict.failed() {
        Ending::Lost
    } else if verdict.void.is_some() {
        Ending::Void
    } else {
        Ending::Fine
    })
}

#[cfg(not(feature = "kafka"))]
fn arrivals(source: &SourceOptions) -> Result<Arrivals, Box<dyn Error>> {
    Ok(combine::arrivals(&source.arrived)?)
}

#[cfg(feature = "kafka")]
fn arrivals(source: &SourceOptions) -> Result<Arrivals, Box<dyn Error>> {
    Ok(match (&source.brokers, &source.topic) {
        (Some(brokers), Some(topic)) => topic::read(brokers, topic)?,
        (_, _) => combine::arrivals(&source.arrived)?,
    })
}

fn report(options: &ReportOptions) -> Result<Ending, Box<dyn Error>> {
    let documents =
        options.reports.iter().map(|path| Document::load(path)).collect::<Result<Vec<_>, _>>()?;
    html::write(&options.html, &documents)?;
    Ok(Ending::Fine)
}

#[expect(clippy::print_stderr, reason = "an error of a command line tool goes to stderr")]
fn complain(error: &dyn Error) -> Ending {
    eprintln!("loadgen: {error}");
    Ending::Usage
}
