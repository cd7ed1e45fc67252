//! What a floor program has done so far, told to the harness as lines `count N`.
//!
//! One thread writes; the work itself only adds to a number. A program runs until it is killed,
//! and the harness chooses the window that it measures.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// A number that grows.
pub(crate) type Count = Arc<AtomicU64>;

/// Starts to tell `count` whenever it has changed.
#[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the pipeline")]
pub(crate) fn tell(count: &Count) {
    let count = count.clone();
    // It ends with the process, which is killed.
    drop(thread::spawn(move || {
        let mut told = 0;
        loop {
            let now = count.load(Ordering::Relaxed);
            if now != told {
                told = now;
                say(&format!("count {now}"));
            }
            thread::sleep(PAUSE);
        }
    }));
}

/// Writes a line at once. Without a reader there is nobody to tell that it failed.
pub(crate) fn say(line: &str) {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{line}").and_then(|()| stdout.flush()).ok();
}

/// Fine enough for a window of a second, and few enough lines to be read again and again.
const PAUSE: Duration = Duration::from_millis(20);
