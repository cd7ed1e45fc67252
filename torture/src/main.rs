//! Faults and overload on real processes, with loadgen's ledger as the judge.
//!
//! Every row starts a broker, pipelines and a backend of its own, breaks something at moments that
//! the seed chooses, and then asks `loadgen verify` what became of each acknowledged span. Nothing
//! of the pipeline or of loadgen is linked: both are programs, as they are to users.

#![expect(clippy::print_stdout, clippy::print_stderr, reason = "the table is what it is for")]

mod clock;
mod hostility;
mod outcome;
mod proxy;
mod random;
mod rows;
mod stand;
mod table;

use std::{
    panic::{self, AssertUnwindSafe},
    process::ExitCode,
    time::{SystemTime, UNIX_EPOCH},
};

use clap::Parser;

use crate::{
    outcome::Outcome,
    random::Random,
    rows::{ROWS, Row},
};

/// Break the pipeline in every way that it promises to survive.
#[derive(Debug, Parser)]
#[command(after_help = "Exit codes: 0 every row passed, 1 a row failed, 2 wrong usage")]
struct Options {
    /// Rows to play; all when none is named
    rows: Vec<String>,
    /// List the rows
    #[arg(long)]
    list: bool,
    /// Chooses the moments of faults, and the rows of a selection [default: the time]
    #[arg(long)]
    seed: Option<u64>,
    /// Play a selection that takes about so long, with shorter faults
    #[arg(long, conflicts_with = "rows")]
    minutes: Option<u64>,
    /// Print the table as Markdown
    #[arg(long)]
    markdown: bool,
}

fn main() -> ExitCode {
    let options = Options::parse();
    if options.list {
        for row in ROWS {
            println!("{:<20} {}", row.name, row.fault);
        }
        return ExitCode::SUCCESS;
    }
    let seed = options.seed.unwrap_or_else(time_seed);
    let rows = match chosen(&options, seed) {
        Ok(rows) => rows,
        Err(unknown) => {
            eprintln!("torture: no row {unknown}; --list shows them");
            return ExitCode::from(2);
        }
    };
    println!("seed {seed}");
    print!("{}", table::head(options.markdown));
    let mut failed = 0;
    for row in rows {
        let outcome = play(row, seed, options.minutes.is_some());
        failed += usize::from(outcome.verdict() == "FAIL");
        print!("{}", table::line(row, seed, &outcome, options.markdown));
    }
    if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The rows to play: those named, all, or as many as the minutes allow in an order of the seed's.
fn chosen(options: &Options, seed: u64) -> Result<Vec<&'static Row>, String> {
    if let Some(minutes) = options.minutes {
        return Ok(rows::selection(&mut Random::new(seed, "selection"), minutes * 60));
    }
    if options.rows.is_empty() {
        return Ok(ROWS.iter().collect());
    }
    let find = |name: &String| ROWS.iter().find(|row| row.name == name).ok_or_else(|| name.clone());
    options.rows.iter().map(find).collect()
}

/// Plays a row; one that panics has failed, and says why on standard error.
fn play(row: &Row, seed: u64, short: bool) -> Outcome {
    eprintln!("{}: {} (seed {seed})", row.name, row.fault);
    let random = Random::new(seed, row.name);
    panic::catch_unwind(AssertUnwindSafe(|| (row.play)(random, short))).unwrap_or_else(|cause| {
        let text = cause.downcast_ref::<String>().map(String::as_str);
        let text = text.or_else(|| cause.downcast_ref::<&str>().copied()).unwrap_or("a panic");
        Outcome::failed(text.lines().next().unwrap_or(text).to_owned())
    })
}

fn time_seed() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}
