//! The command line. The only importer of clap, which splits arguments and prints `--help`.
//! Read once, on the main thread; it must judge no value of a setting, which `config` does.
//!
//! Values pass through clap as text: it would end at the first bad one, and it would read the
//! environment by itself, leaving no trace of where a value came from.

mod dlq;

use std::{collections::BTreeMap, ffi::OsString, process::ExitCode};

use clap::{
    Arg, ArgAction, ArgMatches, Command,
    error::{ContextKind, ContextValue, ErrorKind},
};

use crate::{
    config::{Config, Setting},
    dlq::DlqTask,
};

/// What the process says when it ends.
pub mod exit {
    /// An orderly end; nothing found wrong.
    pub const OK: u8 = 0;
    /// `healthcheck`: not healthy. `check`: something to be mended. `dlq`: not finished.
    pub const UNHEALTHY: u8 = 1;
    /// A mistake in arguments or settings.
    pub const CONFIGURATION: u8 = 2;
    /// A port, a client or a thread that could not be had.
    pub const NOT_STARTED: u8 = 3;
    /// Not everything was finished within `SHUTDOWN_DEADLINE`.
    pub const LATE: u8 = 4;
    /// A thread panicked, or the consumer group expelled this member.
    pub const PANICKED: u8 = 5;
    /// A second signal cut the shutdown short.
    pub const INTERRUPTED: u8 = 6;
}

/// Every exit code with its meaning, for `--help`.
const EXIT_CODES: [(u8, &str); 7] = [
    (exit::OK, "orderly end, or nothing found wrong"),
    (exit::UNHEALTHY, "not healthy, not ready, the check found something, or dlq did not finish"),
    (exit::CONFIGURATION, "a mistake in arguments or settings"),
    (exit::NOT_STARTED, "a port, a client or a thread could not be had"),
    (exit::LATE, "not everything was finished within SHUTDOWN_DEADLINE"),
    (exit::PANICKED, "a thread panicked, or the group expelled this member"),
    (exit::INTERRUPTED, "a second signal cut the shutdown short"),
];

/// How settings are given, for `--help`.
const SETTINGS_HELP: &str = "\
Settings:
  Each is a flag and a variable. The flag wins over the variable, the variable over its default.
  <VARIABLE>_FILE names a file to read the value from; an empty variable counts as unset.
  Sizes are written 900KiB, 16MiB or 1048576; durations 2ms, 9s or 1m30s.";

/// What the process is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Task {
    /// Run the pipeline.
    Run,
    /// Test settings, broker, rights, topic and backend.
    Check,
    /// Ask a running process on this machine for its health.
    Healthcheck {
        /// Ask for readiness instead of liveness.
        ready: bool,
    },
    /// Look into the dead-letter topic, or replay it.
    Dlq(DlqTask),
    /// Print the effective settings.
    PrintConfig,
    /// Print generated documentation.
    Docs(DocsPage),
}

/// A generated page of the documentation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DocsPage {
    /// README's table of settings.
    Settings,
    /// docs/METRICS.md.
    Metrics,
}

/// The command line, taken apart. Never shown: flags may hold secrets.
#[derive(Clone, PartialEq, Eq)]
pub struct Invocation {
    /// What to do.
    pub task: Task,
    /// Settings given as flags, by variable.
    pub flags: BTreeMap<String, String>,
}

/// Takes the arguments apart; the first is the program's name.
///
/// # Errors
/// The exit code, where arguments make no sense or `--help` or `--version` was asked for; the text
/// has then been printed.
pub fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Invocation, ExitCode> {
    let settings = Config::settings();
    match command(&settings).try_get_matches_from(arguments) {
        Ok(matches) => Ok(invocation(&matches, &settings)),
        Err(error) => {
            let asked = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
            // Nothing is left to do for a terminal that does not take the text.
            without_values(error).print().ok();
            Err(ExitCode::from(if asked { exit::OK } else { exit::CONFIGURATION }))
        }
    }
}

/// Leaves out what follows a `=`: a pair that slipped out of its quotes may be a password.
fn without_values(mut error: clap::Error) -> clap::Error {
    for kind in [ContextKind::InvalidArg, ContextKind::InvalidSubcommand, ContextKind::InvalidValue]
    {
        if let Some(ContextValue::String(text)) = error.get(kind)
            && let Some((key, _)) = text.split_once('=')
        {
            let shown = ContextValue::String(format!("{key}=***"));
            error.insert(kind, shown);
        }
    }
    error
}

fn invocation(matches: &ArgMatches, settings: &[Setting]) -> Invocation {
    let mut flags = BTreeMap::new();
    for setting in settings {
        if let Some(value) = matches.get_one::<String>(setting.name) {
            flags.insert(setting.name.to_owned(), value.clone());
        }
    }
    let task = match matches.subcommand() {
        _ if matches.get_flag("print-config") => Task::PrintConfig,
        Some(("check", _)) => Task::Check,
        Some(("healthcheck", own)) => Task::Healthcheck { ready: own.get_flag("ready") },
        Some(("dlq", own)) => dlq::task(own).map_or(Task::Run, Task::Dlq),
        Some(("docs", own)) => Task::Docs(match own.subcommand_name() {
            Some("metrics") => DocsPage::Metrics,
            _ => DocsPage::Settings,
        }),
        _ => Task::Run,
    };
    Invocation { task, flags }
}

fn command(settings: &[Setting]) -> Command {
    let ready = Arg::new("ready")
        .long("ready")
        .action(ArgAction::SetTrue)
        .help("Ask /readyz instead of /healthz");
    let print_config = Arg::new("print-config")
        .long("print-config")
        .action(ArgAction::SetTrue)
        .global(true)
        .help("Print the effective settings as an env file, secrets masked, and end");
    Command::new("otel-event-pipeline")
        .version(env!("CARGO_PKG_VERSION"))
        .about(
            "OpenTelemetry traces through Kafka: OTLP in, split by trace id, forwarded to Jaeger",
        )
        .after_help(after_help())
        .next_line_help(true)
        .args_override_self(true)
        .disable_help_subcommand(true)
        .subcommand_value_name("TASK")
        .subcommand_help_heading("Tasks (none: run the pipeline)")
        .subcommand(
            Command::new("check")
                .about("Test settings, broker, rights, topic and backend, one line each"),
        )
        .subcommand(
            Command::new("healthcheck")
                .about("Ask the process on this machine for its health, for containers")
                .arg(ready),
        )
        .subcommand(dlq::command())
        .subcommand(
            Command::new("docs")
                .about("Print generated documentation")
                .hide(true)
                .subcommand_required(true)
                .subcommand(Command::new("settings").about("README's table of settings"))
                .subcommand(Command::new("metrics").about("docs/METRICS.md")),
        )
        .arg(print_config)
        .args(settings.iter().map(argument))
}

fn after_help() -> String {
    let codes = EXIT_CODES.map(|(code, meaning)| format!("  {code}  {meaning}"));
    format!("{SETTINGS_HELP}\n\nExit codes:\n{}", codes.join("\n"))
}

/// The flag of a setting: text, so that every value is judged by its own kind.
fn argument(setting: &Setting) -> Arg {
    let default = if setting.default.is_empty() { "unset" } else { &setting.default };
    let help = format!(
        "{}\n[env: {}] [default: {default}] [allowed: {}]",
        setting.help, setting.name, setting.allowed
    );
    Arg::new(setting.name)
        .long(setting.flag())
        .value_name(setting.placeholder)
        .help(help)
        .help_heading(setting.heading)
        .allow_negative_numbers(true)
        .global(true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dlq::{Selection, Timestamp};

    fn parsed(arguments: &[&str]) -> Invocation {
        let settings = Config::settings();
        let arguments = ["otel-event-pipeline"].iter().chain(arguments);
        let matches = command(&settings).try_get_matches_from(arguments).unwrap();
        invocation(&matches, &settings)
    }

    /// The command is consistent by clap's own rules.
    #[test]
    fn command_is_consistent() {
        command(&Config::settings()).debug_assert();
    }

    /// `--help` lists every setting with flag, variable, default and group.
    #[test]
    fn help_lists_every_setting() {
        let settings = Config::settings();
        let help = command(&settings).term_width(0).render_help().to_string();
        for setting in &settings {
            let flag = format!("--{} <{}>", setting.flag(), setting.placeholder);
            let default = if setting.default.is_empty() { "unset" } else { &setting.default };
            let variable = format!("[env: {}] [default: {default}]", setting.name);
            let heading = format!("\n{}:\n", setting.heading);
            for part in [flag, variable, heading] {
                assert!(help.contains(&part), "{part} is not in --help");
            }
        }
        assert!(help.contains("Exit codes:"));
        assert!(!help.contains("  docs"), "a task for contributors is shown to operators");
    }

    /// Flags count before and behind the task, negative numbers among them, the last one wins.
    #[test]
    fn flags_stand_anywhere() {
        let arguments = ["--http-port", "1", "healthcheck", "--ready", "--http-port=2"];
        let Invocation { task, flags } = parsed(&arguments);
        assert_eq!(task, Task::Healthcheck { ready: true });
        assert_eq!(flags, BTreeMap::from([("HTTP_PORT".to_owned(), "2".to_owned())]));
        let flags = parsed(&["check", "--kafka-topic-replication", "-1"]).flags;
        assert_eq!(flags["KAFKA_TOPIC_REPLICATION"], "-1");
        let flags = parsed(&["--role=all", "--role=forward", "check"]).flags;
        assert_eq!(flags["ROLE"], "forward");
    }

    /// Each task is reached by its name, and none means run.
    #[test]
    fn tasks_are_reached() {
        for (arguments, task) in [
            (&[][..], Task::Run),
            (&["check"][..], Task::Check),
            (&["healthcheck"][..], Task::Healthcheck { ready: false }),
            (&["--print-config"][..], Task::PrintConfig),
            (&["check", "--print-config"][..], Task::PrintConfig),
            (&["dlq", "list"][..], Task::Dlq(DlqTask::List(Selection::default()))),
            (&["docs", "settings"][..], Task::Docs(DocsPage::Settings)),
            (&["docs", "metrics"][..], Task::Docs(DocsPage::Metrics)),
        ] {
            assert_eq!(parsed(arguments).task, task, "{arguments:?}");
        }
    }

    /// A replay is read with its filters, among which settings may stand.
    #[test]
    fn replay_is_read() {
        let selected = "dlq replay --reason refused --since 2023-11-14T22:13:20Z --partition 1 \
                        --offset 2 --kafka-topic spans --limit 3 --rate 7 --dry-run";
        let Invocation { task, flags } = parsed(&selected.split_whitespace().collect::<Vec<_>>());
        let selection = Selection {
            reason: Some("refused".to_owned()),
            since: Some(Timestamp(1_700_000_000_000)),
            until: None,
            partition: Some(1),
            offset: Some(2),
            limit: Some(3),
        };
        assert_eq!(task, Task::Dlq(DlqTask::Replay { selection, rate: 7, is_dry_run: true }));
        assert_eq!(flags["KAFKA_TOPIC"], "spans");
    }

    /// A value that no setting takes passes through, to be reported with all others.
    #[test]
    fn values_are_not_judged_here() {
        assert_eq!(parsed(&["--grpc-port", "x"]).flags["GRPC_PORT"], "x");
    }
}
