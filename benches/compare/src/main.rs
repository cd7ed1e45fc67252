//! `compare`: measures the pipeline beside its peers and beside the floor, in one run.
//!
//! One thread starts one thing at a time; what is measured are processes. It must never show a
//! figure without the settings it was measured with, and never measure a system on a core that
//! something else of the run uses.

mod idle;
mod knee;
mod load;
mod manifest;
mod measure;
mod placement;
mod plan;
mod programs;
mod record;
mod render;
mod run;
mod stats;
mod systems;

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitCode,
};

use clap::{Parser, Subcommand};

use plan::Plan;
use record::Record;

/// Measures the pipeline beside its peers and beside the floor.
#[derive(Parser)]
struct Options {
    #[command(subcommand)]
    command: Option<Command>,
    /// Where records go
    #[arg(long, global = true, default_value = concat!(env!("CARGO_MANIFEST_DIR"), "/../record"))]
    out: PathBuf,
}

#[derive(Subcommand)]
enum Command {
    /// Ours, the Collector and the floor programs, offered the same (the default)
    Compare,
    /// Ours alone, setting by setting
    Bench,
    /// Every system for a moment; records nothing, fails if one of them does
    Smoke,
    /// Writes the Markdown of a record, and the README's table if it is a comparison
    Render { json: PathBuf },
}

fn main() -> ExitCode {
    let Options { command, out } = Options::parse();
    let done = match command.unwrap_or(Command::Compare) {
        Command::Compare => measure(&Plan::compare(), Some(&out)),
        Command::Bench => measure(&Plan::bench(), Some(&out)),
        Command::Smoke => measure(&Plan::smoke(), None),
        Command::Render { json } => render_file(&json),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell(&format!("compare: {error}"));
            ExitCode::FAILURE
        }
    }
}

/// Runs a plan and keeps its record in `out`; without one, it must only be complete.
fn measure(plan: &Plan, out: Option<&Path>) -> Result<(), String> {
    if out.is_some() && cfg!(debug_assertions) {
        return Err("a debug build measures nothing: cargo run --release -p compare".into());
    }
    let record = run::run(plan, &tell)?;
    if let Some(out) = out {
        fs::create_dir_all(out).map_err(|error| format!("{}: {error}", out.display()))?;
        let json = out.join(format!("{}.json", record.name()));
        let text = serde_json::to_string_pretty(&record).map_err(|error| error.to_string())?;
        write(&json, &(text + "\n"))?;
        write(&json.with_extension("md"), &render::full(&record))?;
        tell(&format!("written: {}", json.with_extension("md").display()));
    } else {
        tell(&render::full(&record));
    }
    complete(plan, &record)
}

/// An error that says what is missing from a record.
fn complete(plan: &Plan, record: &Record) -> Result<(), String> {
    if let Some(failure) = record.failures.first() {
        return Err(format!("{} failures, the first: {failure}", record.failures.len()));
    }
    for case in &plan.cases {
        for &system in &case.systems {
            for load in case.loads_of(system) {
                let names = (case.title(), load.title(), system.title());
                let row = record.rows.iter().find(|row| {
                    (&row.case, &row.load, &row.system) == (&names.0, &names.1, &names.2)
                });
                if !row.is_some_and(|row| row.rounds == plan.rounds && row.done.low > 0.0) {
                    return Err(format!("no figures for {names:?}"));
                }
            }
        }
    }
    Ok(())
}

fn render_file(json: &Path) -> Result<(), String> {
    let read = |path: &Path| {
        fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))
    };
    let record: Record = serde_json::from_str(&read(json)?)
        .map_err(|error| format!("{}: {error}", json.display()))?;
    write(&json.with_extension("md"), &render::full(&record))?;
    let readme = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../../README.md"));
    let text = read(readme)?;
    let marks = (text.find(TABLE_BEGIN), text.find(TABLE_END));
    if let ("compare", (Some(begin), Some(end))) = (record.plan.as_str(), marks) {
        let before = &text[..begin + TABLE_BEGIN.len()];
        write(readme, &format!("{before}{}{}", render::short(&record), &text[end..]))?;
    }
    Ok(())
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    fs::write(path, text).map_err(|error| format!("{}: {error}", path.display()))
}

#[expect(clippy::print_stderr, reason = "progress of a command")]
fn tell(line: &str) {
    eprintln!("{line}");
}

/// Where the README's table stands.
const TABLE_BEGIN: &str = "<!-- record:begin -->\n";
const TABLE_END: &str = "<!-- record:end -->";
