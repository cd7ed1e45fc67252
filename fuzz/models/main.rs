//! What is lock-free and the project's own, in every interleaving and with every value that the
//! memory model lets a load see.
//!
//! `RUSTFLAGS='--cfg loom' cargo test --test models`, in this folder. The file is included as the
//! product has it: its atomics are loom's under this flag. It is no model of the queue beside it.
#![cfg(loom)]

#[path = "../../src/receive/awake.rs"]
mod awake;

use awake::Awake;
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

const PUSHES: usize = 2;

/// A push that the drainer's look at its queue misses wakes the drainer again.
#[test]
fn no_push_is_left_unseen() {
    loom::model(|| {
        let awake = Arc::new(Awake::new());
        // The drainer is at work: an earlier push has woken it.
        assert!(awake.raise());
        // No more ordered than it must be: what the queue adds is not to be relied upon.
        let queue = Arc::new(AtomicUsize::new(0));
        let pushers: Vec<_> = (0..PUSHES)
            .map(|_| {
                let (awake, queue) = (Arc::clone(&awake), Arc::clone(&queue));
                thread::spawn(move || {
                    queue.fetch_add(1, Ordering::Relaxed);
                    awake.raise()
                })
            })
            .collect();
        awake.lower();
        let seen = queue.load(Ordering::Relaxed);
        let wakes = pushers.into_iter().map(|pusher| pusher.join().unwrap());
        let wakes = wakes.filter(|wakes| *wakes).count();
        assert!(wakes == 1 || seen == PUSHES, "nobody is told of a push");
        assert!(wakes <= 1, "a second system call for the same look");
    });
}
