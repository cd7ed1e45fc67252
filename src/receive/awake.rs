//! Whether a runtime has to be woken: only the push that finds it asleep pays the system call.
//!
//! Raised by the threads that push into a reply queue, lowered by the runtime's drainer. Neither
//! may block, and no push may be left in the queue with nobody told of it: `fuzz/models` tries
//! every interleaving.

#[cfg(not(loom))]
use std::sync::atomic::{AtomicBool, Ordering};

#[cfg(loom)]
use loom::sync::atomic::{AtomicBool, Ordering};

/// True while a wake-up is on its way or the drainer is at work.
pub(super) struct Awake(AtomicBool);

impl Awake {
    /// Asleep.
    pub(super) fn new() -> Self {
        Self(AtomicBool::new(false))
    }

    /// To be called after a push; true when the caller has to wake the drainer.
    pub(super) fn raise(&self) -> bool {
        !self.0.swap(true, Ordering::AcqRel)
    }

    /// To be called before the drainer looks at its queue: a push after the last look wakes again.
    pub(super) fn lower(&self) {
        // What a raise before this has pushed must be seen by that look, so this reads the flag
        // as well. A store could be overtaken by the look, and then neither side sees the other.
        self.0.swap(false, Ordering::AcqRel);
    }
}
