//! The arguments of the `dlq` task.
//!
//! Unlike settings, they are judged here: none of them is a variable.

use clap::{Arg, ArgAction, ArgMatches, Command, value_parser};

use crate::{
    config::parse_duration,
    dlq::{DlqTask, Selection, Timestamp},
    internal_telemetry::DEAD_LETTER_REASONS,
    limits::REPLAY_RATE_DEFAULT,
};

/// The task with its three commands.
pub(super) fn command() -> Command {
    let list = "One line per letter";
    let show = "Everything in each letter, decoded";
    let replay = "Send letters back to where they came from, each once, and mark them";
    let rate = Arg::new("rate")
        .long("rate")
        .value_name("PER_SECOND")
        .value_parser(value_parser!(u32).range(1..))
        .default_value(REPLAY_RATE_DEFAULT.to_string())
        .help("Letters per second");
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Say what would be replayed, and send nothing");
    Command::new("dlq")
        .about("List, show and replay the records of the dead-letter topic")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .subcommand(Command::new("list").about(list).args(filters()))
        .subcommand(Command::new("show").about(show).args(filters()))
        .subcommand(Command::new("replay").about(replay).args(filters()).arg(rate).arg(dry_run))
}

/// What `own`, the matches of the task, asks for.
pub(super) fn task(own: &ArgMatches) -> Option<DlqTask> {
    let (name, own) = own.subcommand()?;
    let selection = Selection {
        reason: own.get_one("reason").cloned(),
        since: own.get_one("since").copied(),
        until: own.get_one("until").copied(),
        partition: own.get_one("partition").copied(),
        offset: own.get_one("offset").copied(),
        limit: own.get_one("limit").copied(),
    };
    Some(match name {
        "list" => DlqTask::List(selection),
        "show" => DlqTask::Show(selection),
        _ => DlqTask::Replay {
            selection,
            rate: own.get_one("rate").copied().unwrap_or(REPLAY_RATE_DEFAULT),
            is_dry_run: own.get_flag("dry-run"),
        },
    })
}

fn filters() -> [Arg; 6] {
    let filter = |name: &'static str, value: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).help(help)
    };
    [
        filter("reason", "REASON", "Only letters set aside for this reason")
            .value_parser(DEAD_LETTER_REASONS.to_vec()),
        filter("since", "MOMENT", "Only from then on: 2026-01-31T12:00:00Z, or 90m ago as 90m")
            .value_parser(moment),
        filter("until", "MOMENT", "Only before then, written likewise").value_parser(moment),
        filter("partition", "NUMBER", "Only this partition of the dead-letter topic")
            .value_parser(value_parser!(i32).range(0..)),
        filter("offset", "NUMBER", "Only the letter at this offset of the partition")
            .value_parser(value_parser!(i64).range(0..))
            .requires("partition"),
        filter("limit", "NUMBER", "Only the first so many").value_parser(value_parser!(usize)),
    ]
}

fn moment(raw: &str) -> Result<Timestamp, String> {
    let moment = raw.parse().map_err(|error| format!("{error}, and not a duration such as 90m"));
    moment.or_else(|why| parse_duration(raw).map(Timestamp::ago).ok_or(why))
}
