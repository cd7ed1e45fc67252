//! The `dlq` task: lists the dead letters, shows what is in them, and sends them back.
//!
//! Runs on the main thread of a process of its own, beside the pipeline and without disturbing it.
//! What was replayed is marked in the dead-letter topic itself (`kafka::DeadLetterReplay` says
//! how), so that a letter is not sent back twice, by whomever and with whatever selection. The only
//! part of the program that decodes spans: somebody wants to read them.
//!
//! `run` does what is asked, with `selection` (which letters), `list` and `show` (in words),
//! `timestamp` (moments in words). All but `run` are pure, and fuzzed.

mod list;
mod run;
mod selection;
mod show;
#[cfg(test)]
mod tests;
mod timestamp;

pub use run::{DlqError, run};
pub use selection::{DlqTask, Selection};
pub use timestamp::Timestamp;
