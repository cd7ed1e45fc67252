//! What is lock-free and the project's own, in every interleaving and with every value that the
//! memory model lets a load see.
//!
//! `RUSTFLAGS='--cfg loom' cargo test --test models`, in this folder. The files are included as the
//! product has them: their atomics are loom's under this flag. What is beside them is not modelled.
#![cfg(loom)]

#[path = "../../src/receive/awake.rs"]
mod awake;
#[allow(dead_code)] // Admission and the workers read more of it.
#[path = "../../src/publish/budget.rs"]
mod budget;

use awake::Awake;
use budget::{Budget, Charge};
use loom::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};
use otel_event_pipeline_fuzz::limits::{self, REQUEST_CHARGE_BYTES_MIN};

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

/// Two requests that grow never hold more than the process's budget between them; a refusal holds
/// nothing, and everything comes back.
#[test]
fn the_budget_is_never_exceeded() {
    loom::model(|| {
        let process = Arc::new(Budget::new(3 * REQUEST_CHARGE_BYTES_MIN));
        let connections = [(), ()].map(|()| Arc::new(Budget::new(3 * REQUEST_CHARGE_BYTES_MIN)));
        race(&process, &connections);
    });
}

/// Nor more than the share of the connection that they have in common.
#[test]
fn a_share_is_never_exceeded() {
    loom::model(|| {
        let process = Arc::new(Budget::new(64 * REQUEST_CHARGE_BYTES_MIN));
        let connection = Arc::new(Budget::new(3 * REQUEST_CHARGE_BYTES_MIN));
        race(&process, &[Arc::clone(&connection), connection]);
    });
}

/// Two requests that want two thirds each of the shorter budget.
fn race(process: &Arc<Budget>, connections: &[Arc<Budget>; 2]) {
    let held = Arc::new(AtomicUsize::new(0));
    let grow = |connection: &Arc<Budget>| {
        let (process, connection) = (Arc::clone(process), Arc::clone(connection));
        let held = Arc::clone(&held);
        move || {
            // Counted from when it is granted: what is held is never less.
            let hold = || {
                let all = held.fetch_add(REQUEST_CHARGE_BYTES_MIN, Ordering::Relaxed);
                let all = all + REQUEST_CHARGE_BYTES_MIN;
                assert!(all <= 3 * REQUEST_CHARGE_BYTES_MIN, "{all} bytes are held");
            };
            let mut charge = Charge::open(process, connection).ok()?;
            hold();
            if charge.resize_arriving(2 * REQUEST_CHARGE_BYTES_MIN).is_ok() {
                hold();
            }
            Some(charge)
        }
    };
    let other = thread::spawn(grow(&connections[1]));
    let charges = [grow(&connections[0])(), other.join().unwrap()];
    let held = held.load(Ordering::Relaxed);
    assert!(held >= REQUEST_CHARGE_BYTES_MIN, "both are refused");
    assert_eq!(process.bytes_used(), held);
    drop(charges);
    assert_eq!(process.bytes_used(), 0);
    assert!(connections.iter().all(|connection| connection.bytes_used() == 0));
}
