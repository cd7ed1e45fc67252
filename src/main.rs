//! The program: arguments → settings → task → exit code.

use std::{
    env,
    error::Error,
    fmt::Display,
    io::{self, Write},
    process::ExitCode,
};

use otel_event_pipeline::{
    check,
    cli::{self, DocsPage, Invocation, Task, exit},
    config::{Config, ConfigErrors, Loaded, Sources, settings_markdown},
    dlq, healthcheck,
    internal_telemetry::docs,
    logging,
    process::{self, Process},
};

/// librdkafka's allocations go through it too.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    match cli::parse(env::args_os()) {
        Ok(invocation) => execute(invocation).unwrap_or_else(|errors| {
            say(&errors);
            ExitCode::from(exit::CONFIGURATION)
        }),
        Err(code) => code,
    }
}

fn execute(Invocation { task, flags }: Invocation) -> Result<ExitCode, ConfigErrors> {
    let load = || Config::load(&Sources::new(flags, env::vars_os()));
    Ok(match task {
        Task::Run => run(load()?),
        Task::Check => check(&load()?),
        Task::Healthcheck { ready } => conclude(healthcheck::run(&load()?.config.admin, ready)),
        Task::Dlq(task) => conclude(dlq::run(&load()?.config, &task, &mut io::stdout().lock())),
        Task::PrintConfig => print(&load()?.env_file()),
        Task::Docs(DocsPage::Settings) => print(&settings_markdown()),
        Task::Docs(DocsPage::Metrics) => print(&docs::markdown()),
    })
}

fn run(loaded: Loaded) -> ExitCode {
    logging::init(&loaded.config.log);
    loaded.doubts().for_each(|doubt| tracing::warn!("{doubt}"));
    let asked = process::shutdown_asked(exit::INTERRUPTED);
    ExitCode::from(match Process::start(loaded.config).map(|process| process.run_until(&asked)) {
        Ok(ending) => ending.exit_code(),
        Err(error) => {
            tracing::error!(error = &error as &dyn Error, "not started");
            exit::NOT_STARTED
        }
    })
}

/// A closed standard output leaves the check unfinished: nothing is known to be well.
fn check(loaded: &Loaded) -> ExitCode {
    let sound = check::run(loaded, &mut io::stdout()).unwrap_or(false);
    ExitCode::from(if sound { exit::OK } else { exit::UNHEALTHY })
}

/// The end of a task that succeeds or says why not.
fn conclude(result: Result<(), impl Display>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            say(&error);
            ExitCode::from(exit::UNHEALTHY)
        }
    }
}

/// Writes what was asked for to standard output.
fn print(text: &str) -> ExitCode {
    match io::stdout().write_all(text.as_bytes()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Says what is wrong on standard error: logging may not be set up.
#[expect(clippy::print_stderr, reason = "the last words of a program that does not run")]
fn say(why: &dyn Display) {
    eprintln!("otel-event-pipeline: {why}");
}
