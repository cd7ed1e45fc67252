//! Waiting for a condition with a deadline: the only way anything here waits.

use std::{
    thread,
    time::{Duration, Instant},
};

/// Pause between two looks: short against any start-up, long against the cost of a look.
const PAUSE: Duration = Duration::from_millis(50);

/// Looks until `look` finds something; `None` when `within` has passed.
pub fn poll<T>(within: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = Instant::now() + within;
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if Instant::now() >= deadline {
            return None;
        }
        thread::sleep(PAUSE);
    }
}

/// Looks until `look` finds something; panics naming `what` when `within` has passed.
#[track_caller]
pub fn wait_for<T>(what: &str, within: Duration, look: impl FnMut() -> Option<T>) -> T {
    poll(within, look).unwrap_or_else(|| panic!("waited {within:?} in vain for {what}"))
}
