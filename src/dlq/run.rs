//! Does what is asked of the dead letters, one after the other.
//!
//! The topic is read twice: marks of what was replayed stand behind the letters that they are for.

use std::{
    collections::BTreeSet,
    io::{self, Write},
    ops::ControlFlow,
    thread,
    time::{Duration, Instant},
};

use super::{
    DlqTask, Selection,
    list::{line, original, titles},
    show::page,
};
use crate::{
    config::Config,
    kafka::{
        DeadLetterError, DeadLetterReader, DeadLetterReplay, Found, Letter, LetterId, PartitionId,
        ReadError,
    },
};

/// Why the task was not finished.
#[derive(Debug, thiserror::Error)]
pub enum DlqError {
    /// The dead-letter topic.
    #[error(transparent)]
    Read(#[from] ReadError),
    /// A letter was not sent back, or not marked; those before it were.
    #[error("{0}; letters before this one are replayed and marked, run it again for the rest")]
    Replay(#[from] DeadLetterError),
    /// Standard output.
    #[error("write the answer: {0}")]
    Output(#[from] io::Error),
}

/// Does `task` and writes what there is to say to `output`.
///
/// # Errors
/// [`DlqError`]: what was done until then is done, and was said.
pub fn run(config: &Config, task: &DlqTask, output: &mut dyn Write) -> Result<(), DlqError> {
    let letters = Letters::open(config)?;
    match task {
        DlqTask::List(selection) => {
            output.write_all(titles().as_bytes())?;
            letters.each(selection, |letter, is_replayed| {
                Ok(output.write_all(line(letter, is_replayed).as_bytes())?)
            })
        }
        DlqTask::Show(selection) => letters.each(selection, |letter, is_replayed| {
            Ok(output.write_all(page(letter, is_replayed).as_bytes())?)
        }),
        DlqTask::Replay { selection, rate, is_dry_run } => {
            let replay = DeadLetterReplay::create(config)?;
            let mut replaying = Replaying {
                replay: (!is_dry_run).then_some(replay),
                interval: Duration::from_secs(1) / *rate,
                due: Instant::now(),
                replayed: 0,
                passed_over: 0,
            };
            letters.each(selection, |letter, is_replayed| {
                replaying.letter(letter, is_replayed, output)
            })?;
            Ok(replaying.conclude(output)?)
        }
    }
}

/// The dead-letter topic, and which of its letters were replayed.
struct Letters {
    reader: DeadLetterReader,
    partitions: Vec<PartitionId>,
    replayed: BTreeSet<LetterId>,
}

impl Letters {
    fn open(config: &Config) -> Result<Self, ReadError> {
        let reader = DeadLetterReader::create(config)?;
        let partitions = reader.partitions()?;
        let mut replayed = BTreeSet::new();
        for partition in &partitions {
            let note = |found| {
                if let Found::Replayed(id) = found {
                    replayed.insert(id);
                }
                Ok::<_, ReadError>(ControlFlow::Continue(()))
            };
            reader.read(*partition, note)?.is_break();
        }
        Ok(Self { reader, partitions, replayed })
    }

    /// Shows `visit` the letters selected, by partition and offset, and whether each was replayed.
    fn each(
        &self,
        selection: &Selection,
        mut visit: impl FnMut(&Letter, bool) -> Result<(), DlqError>,
    ) -> Result<(), DlqError> {
        let mut left = selection.limit.unwrap_or(usize::MAX);
        for partition in &self.partitions {
            if selection.partition.is_some_and(|only| only != partition.0) {
                continue;
            }
            let select = |found| {
                if left == 0 {
                    return Ok(ControlFlow::Break(()));
                }
                if let Found::Letter(letter) = found
                    && selection.wants(&letter)
                {
                    left -= 1;
                    visit(&letter, self.replayed.contains(&letter.id))?;
                }
                Ok::<_, DlqError>(ControlFlow::Continue(()))
            };
            if self.reader.read(*partition, select)?.is_break() {
                break;
            }
        }
        Ok(())
    }
}

/// A replay under way.
struct Replaying {
    /// `None` when nothing is to be sent.
    replay: Option<DeadLetterReplay>,
    interval: Duration,
    due: Instant,
    replayed: u64,
    passed_over: u64,
}

impl Replaying {
    fn letter(
        &mut self,
        letter: &Letter,
        is_replayed: bool,
        output: &mut dyn Write,
    ) -> Result<(), DlqError> {
        let (id, original) = (letter.id, original(letter));
        let Some(origin) = letter.origin().filter(|_| !is_replayed) else {
            self.passed_over += 1;
            let why = if is_replayed { "replayed before" } else { "it does not say where to" };
            return Ok(writeln!(output, "{id} passed over: {why}")?);
        };
        if let Some(replay) = &self.replay {
            thread::sleep(self.due.saturating_duration_since(Instant::now()));
            self.due = Instant::now() + self.interval;
            replay.replay(letter, origin)?;
        }
        self.replayed += 1;
        let (topic, partition) = (origin.topic, origin.partition.0);
        Ok(writeln!(output, "{id} of {original} to {topic:?} partition {partition}")?)
    }

    fn conclude(self, output: &mut dyn Write) -> io::Result<()> {
        let verb = if self.replay.is_some() { "replayed" } else { "would be replayed" };
        writeln!(output, "{} {verb}, {} passed over", self.replayed, self.passed_over)
    }
}
