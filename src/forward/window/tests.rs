//! The window against a simulated topic, backend and group.

use std::time::{Duration, Instant};

use bytes::Bytes;
use proptest::{collection::vec, prelude::any, prop_assert, prop_assert_eq, proptest};

use super::*;
use crate::forward::{
    batch::PREFIX_BYTES,
    lane::Reason,
    outcome::{Class, Refusal},
};

const PARTITIONS: usize = 4;

fn config() -> ForwardConfig {
    ForwardConfig {
        endpoint: "http://127.0.0.1:1".to_owned(),
        group: "group".to_owned(),
        dead_letter_topic: "topic.dlq".to_owned(),
        batch_bytes_max: 40,
        batch_age_max: Duration::from_millis(10),
        requests_in_flight: 3,
        request_timeout: Duration::from_secs(10),
        retry_backoff_min: Duration::from_millis(1),
        retry_backoff_max: Duration::from_millis(20),
    }
}

fn refusal(class: Class) -> Refusal {
    Refusal { class, code: "internal", message: "expected".to_owned(), retry_after: None }
}

/// What a record of the simulated topic is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Good,
    /// The backend refuses any message that holds it.
    Poison,
    Misframed,
    Tombstone,
}

/// A value that names its partition and offset and, for the oracle, the assignment under which it
/// was consumed; framed as one field.
fn value(kind: Kind, partition: usize, offset: usize, assignment: usize) -> Option<Vec<u8>> {
    let poison = u8::from(kind == Kind::Poison);
    let body = [(assignment as u8) << 1 | poison, partition as u8, offset as u8];
    match kind {
        Kind::Good | Kind::Poison => Some([&[0x0a, 3][..], &body].concat()),
        Kind::Misframed => Some([&[0x0a, 200][..], &body].concat()),
        Kind::Tombstone => None,
    }
}

/// A record as the backend sees it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Body {
    poison: bool,
    assignment: usize,
    partition: usize,
    offset: usize,
}

impl From<&[u8]> for Body {
    fn from(value: &[u8]) -> Self {
        Self {
            poison: value[2] & 1 == 1,
            assignment: usize::from(value[2] >> 1),
            partition: usize::from(value[3]),
            offset: usize::from(value[4]),
        }
    }
}

/// The bodies in a message.
fn bodies(message: &Bytes) -> Vec<Body> {
    message[PREFIX_BYTES..].chunks(5).map(Body::from).collect()
}

/// Assignments of one partition that a value can name.
const ASSIGNMENTS_MAX: usize = 128;

/// A topic, a backend and a group around one window.
struct Simulation {
    window: Window,
    now: Instant,
    topic: [Vec<Kind>; PARTITIONS],
    /// Where consuming goes on, per partition; `None` while the partition is not ours.
    fetched: [Option<usize>; PARTITIONS],
    committed: [usize; PARTITIONS],
    /// Per record: reached the backend or the dead-letter topic.
    done: [Vec<bool>; PARTITIONS],
    /// The last offset that reached either, per partition and assignment of it, the present one
    /// last.
    last: [Vec<Option<usize>>; PARTITIONS],
    calls: Vec<(usize, Bytes)>,
    burials: Vec<usize>,
    consumed: usize,
    settled: usize,
    returned: usize,
}

impl Simulation {
    fn new(topic: [Vec<Kind>; PARTITIONS]) -> Self {
        let done = std::array::from_fn(|partition| vec![false; topic[partition].len()]);
        let mut simulation = Self {
            window: Window::new(&config(), 1),
            now: Instant::now(),
            topic,
            fetched: [None; PARTITIONS],
            committed: [0; PARTITIONS],
            done,
            last: Default::default(),
            calls: Vec::new(),
            burials: Vec::new(),
            consumed: 0,
            settled: 0,
            returned: 0,
        };
        (0..PARTITIONS).for_each(|partition| simulation.assign(partition));
        simulation
    }

    fn assign(&mut self, partition: usize) {
        self.window.assign(&[PartitionId(partition as i32)]);
        self.fetched[partition] = Some(self.committed[partition]);
        self.last[partition].push(None);
        assert!(self.last[partition].len() <= ASSIGNMENTS_MAX);
    }

    /// Takes a partition away and gives it back.
    fn rebalance(&mut self, partition: usize) {
        self.commit();
        self.returned += self.window.revoke(&[PartitionId(partition as i32)], self.now);
        self.assign(partition);
    }

    fn consume(&mut self, partition: usize) {
        let Some(offset) = self.fetched[partition] else { return };
        let Some(kind) = self.topic[partition].get(offset) else { return };
        let value = value(*kind, partition, offset, self.last[partition].len() - 1);
        let record = Record {
            partition: PartitionId(partition as i32),
            offset: offset as i64,
            timestamp_ms: None,
            key: None,
            value: value.as_deref(),
        };
        assert_eq!(self.window.accept(&record, self.now), Arrival::Taken);
        self.fetched[partition] = Some(offset + 1);
        self.consumed += 1;
    }

    fn start_due(&mut self) {
        while let Some((lane, action)) = self.window.next(self.now) {
            match action {
                Action::Call { message, .. } => self.calls.push((lane, message)),
                Action::Bury => self.burials.push(lane),
                Action::Settle => self.settle(lane),
            }
        }
    }

    /// The backend answers one call; it refuses poison and, if `busy`, everything.
    fn answer(&mut self, pick: usize, busy: bool) {
        if self.calls.is_empty() {
            return;
        }
        let (lane, message) = self.calls.swap_remove(pick % self.calls.len());
        let bodies = bodies(&message);
        drop(message);
        if busy || bodies.iter().any(|body| body.poison) {
            let class = if busy { Class::Now } else { Class::Data };
            let (reaction, returned) = self.window.refused(lane, &refusal(class), self.now);
            assert!(!busy || matches!(reaction, Reaction::Retry(_)));
            self.returned += returned;
            return;
        }
        bodies.into_iter().for_each(|body| self.reached(body));
        self.settle(lane);
    }

    /// The dead-letter topic answers one letter.
    fn bury(&mut self, pick: usize, fails: bool) {
        if self.burials.is_empty() {
            return;
        }
        let lane = self.burials.swap_remove(pick % self.burials.len());
        if fails {
            self.returned += self.window.burial_failed(lane, "expected", self.now).1;
            return;
        }
        let (batch, verdict) = self.window.front(lane).expect("a letter is under way");
        assert_eq!(batch.entries().len(), 1);
        let record = batch.record(0);
        let (partition, offset) = (record.partition.0 as usize, record.offset as usize);
        let kind = self.topic[partition][offset];
        let expected = if kind == Kind::Misframed { Reason::Misframed } else { Reason::Refused };
        assert!(matches!(kind, Kind::Misframed | Kind::Poison), "{kind:?} is innocent");
        assert_eq!(verdict.map(|verdict| verdict.reason), Some(expected));
        let body = Body::from(record.value.expect("no tombstone is buried"));
        let sent = value(kind, partition, offset, body.assignment);
        assert_eq!(record.value.map(Vec::from), sent);
        self.reached(body);
        self.settle(lane);
    }

    /// The promised order: under one assignment each record comes once and after those before it,
    /// also when the answer is to a call from before a rebalance.
    fn reached(&mut self, body: Body) {
        let last = &mut self.last[body.partition][body.assignment];
        assert!(*last < Some(body.offset), "after {last:?}, sent again or too late: {body:?}");
        *last = Some(body.offset);
        self.done[body.partition][body.offset] = true;
    }

    fn settle(&mut self, lane: usize) {
        let settled = &mut self.settled;
        self.window.settle(lane, |batch, _| *settled += batch.entries().len());
    }

    /// Commits, and checks that nothing below the committed offsets is missing.
    fn commit(&mut self) {
        for (partition, next) in self.window.take_uncommitted() {
            let (partition, next) = (partition.0 as usize, next.0 as usize);
            for offset in 0..next {
                let sent = self.done[partition][offset];
                let tombstone = self.topic[partition][offset] == Kind::Tombstone;
                assert!(sent || tombstone, "offset {offset} of {partition} was skipped");
            }
            self.committed[partition] = next;
        }
    }

    fn is_finished(&self) -> bool {
        (0..PARTITIONS).all(|partition| self.committed[partition] == self.topic[partition].len())
    }
}

fn topic(kinds: &[u8]) -> [Vec<Kind>; PARTITIONS] {
    let mut topic: [Vec<Kind>; PARTITIONS] = Default::default();
    for (index, kind) in kinds.iter().enumerate() {
        topic[index % PARTITIONS].push(match kind % 16 {
            0 => Kind::Poison,
            1 => Kind::Misframed,
            2 => Kind::Tombstone,
            _ => Kind::Good,
        });
    }
    topic
}

proptest! {
    /// Whatever the backend, the dead-letter topic and the group do, and in whatever order: nothing
    /// is committed that was not delivered or dead-lettered, only the guilty are dead-lettered,
    /// every record gets through in the end, in order under each assignment of its partition, and
    /// the counts reconcile.
    #[test]
    fn nothing_is_lost_or_skipped(
        kinds in vec(any::<u8>(), 0..160),
        moves in vec(any::<(u8, u8)>(), 0..600),
    ) {
        let mut simulation = Simulation::new(topic(&kinds));
        for (kind, pick) in moves {
            let pick = usize::from(pick);
            match kind % 16 {
                0..=5 if simulation.window.has_room() => simulation.consume(pick % PARTITIONS),
                6 | 7 => simulation.start_due(),
                8 | 9 => simulation.answer(pick, pick.is_multiple_of(3)),
                10 => simulation.bury(pick, pick.is_multiple_of(3)),
                11 => simulation.commit(),
                12 => simulation.window.commit_failed(),
                13 if pick < 40 => simulation.rebalance(pick % PARTITIONS),
                _ => simulation.now += Duration::from_millis(4),
            }
            let accounted = simulation.settled + simulation.returned + simulation.window.pending();
            prop_assert_eq!(simulation.consumed, accounted);
        }
        for _ in 0..10_000 {
            if simulation.is_finished() {
                break;
            }
            if simulation.window.has_room() {
                (0..PARTITIONS).for_each(|partition| simulation.consume(partition));
            }
            simulation.start_due();
            (0..3).for_each(|pick| simulation.answer(pick, false));
            (0..3).for_each(|pick| simulation.bury(pick, false));
            simulation.commit();
            simulation.now += Duration::from_millis(25);
        }
        prop_assert!(simulation.is_finished(), "stuck at {:?}", simulation.committed);
        prop_assert_eq!(simulation.window.pending(), 0);
        prop_assert_eq!(simulation.consumed, simulation.settled + simulation.returned);
    }

    /// Without a rebalance, each record of a partition is delivered once and in order.
    #[test]
    fn order_is_kept(kinds in vec(any::<u8>(), 0..160), moves in vec(any::<(u8, u8)>(), 0..600)) {
        let mut simulation = Simulation::new(topic(&kinds));
        for (kind, pick) in moves {
            let pick = usize::from(pick);
            match kind % 8 {
                0..=2 if simulation.window.has_room() => simulation.consume(pick % PARTITIONS),
                3 => simulation.start_due(),
                4 | 5 => {
                    let next = simulation.calls.get(pick % simulation.calls.len().max(1)).cloned();
                    let next = next.map(|(_, message)| bodies(&message)).unwrap_or_default();
                    let mut last = simulation.last.clone();
                    for Body { partition, offset, .. } in next {
                        let last = &mut last[partition][0];
                        prop_assert!(*last < Some(offset), "sent again or too early");
                        *last = Some(offset);
                    }
                    simulation.answer(pick, pick.is_multiple_of(3));
                }
                6 => simulation.bury(pick, false),
                _ => simulation.now += Duration::from_millis(4),
            }
        }
    }
}

/// A window of one partition with `count` records in it.
fn single(count: usize, kind: Kind) -> Simulation {
    let mut simulation = Simulation::new([vec![kind; count], vec![], vec![], vec![]]);
    (0..count).for_each(|_| simulation.consume(0));
    simulation.now += Duration::from_millis(20);
    simulation
}

/// A full lane closes the window, and the backend's answer opens it.
#[test]
fn full_window_has_no_room() {
    let mut simulation = single(8, Kind::Good);
    simulation.start_due();
    assert!(simulation.window.has_room(), "one batch in flight, another filling");
    simulation.topic[0].extend([Kind::Good; 16]);
    simulation.done[0].extend([false; 16]);
    (0..9).for_each(|_| simulation.consume(0));
    assert!(!simulation.window.has_room());
    simulation.answer(0, false);
    simulation.start_due();
    assert!(simulation.window.has_room());
}

/// What waits for a partition that was taken away is not sent; what its lane holds of others is.
#[test]
fn revoked_records_are_returned() {
    // Partitions 0 and 3 share a lane of three.
    let mut simulation =
        Simulation::new([vec![Kind::Good; 2], vec![], vec![], vec![Kind::Good; 2]]);
    (0..4).for_each(|turn| simulation.consume(if turn % 2 == 0 { 0 } else { 3 }));
    simulation.now += Duration::from_millis(20);
    simulation.start_due();
    simulation.answer(0, true);
    assert_eq!(simulation.window.revoke(&[PartitionId(0)], simulation.now), 2);
    assert_eq!(simulation.window.pending(), 2);
    simulation.now += Duration::from_secs(1);
    simulation.start_due();
    let (_, message) = simulation.calls.pop().expect("the retry is due");
    let sent = bodies(&message).into_iter().map(|body| (body.partition, body.offset));
    assert_eq!(sent.collect::<Vec<_>>(), [(3, 0), (3, 1)]);
}

/// A record in parts counts once: it is pending until its last part is settled, and given back
/// whole when its partition is taken away in between.
#[test]
fn record_in_parts_counts_once() {
    // Spans with a trace id and a span id, in one ScopeSpans of one ResourceSpans.
    let span = |trace| [&[0x12, 28, 0x0a, 16][..], &[trace; 16], &[0x12, 8], &[1; 8]].concat();
    let mut request: Vec<u8> = (1..=3).flat_map(span).collect();
    request.splice(..0, [0x0a, 92, 0x12, 90]);
    let mut simulation = Simulation::new(Default::default());
    let record = Record {
        partition: PartitionId(0),
        offset: 0,
        timestamp_ms: None,
        key: None,
        value: Some(&request),
    };
    assert_eq!(simulation.window.accept(&record, simulation.now), Arrival::Taken);
    simulation.now += Duration::from_millis(20);
    let now = simulation.now;
    simulation.start_due();
    let (lane, _message) = simulation.calls.pop().expect("a call is due");
    let reaction = simulation.window.refused(lane, &refusal(Class::Data), now).0;
    assert_eq!((reaction, simulation.window.pending()), (Reaction::Halve, 1));
    simulation.start_due();
    let (lane, _part) = simulation.calls.pop().expect("the first part is due");
    simulation.settle(lane);
    assert_eq!((simulation.settled, simulation.window.pending()), (1, 1));
    assert_eq!(simulation.window.take_uncommitted(), []);
    assert_eq!(simulation.window.revoke(&[PartitionId(0)], now), 1);
    assert_eq!(simulation.window.pending(), 0);
}

/// INTERNAL and UNKNOWN blame the data after three tries, not before.
#[test]
fn suspicion_needs_three_tries() {
    let mut simulation = single(1, Kind::Good);
    for attempt in 1..=limits::FORWARD_SUSPECT_TRIES {
        simulation.start_due();
        let (lane, _message) = simulation.calls.pop().expect("a call is due");
        let reaction = simulation.window.refused(lane, &refusal(Class::Suspect), simulation.now).0;
        let blamed = attempt == limits::FORWARD_SUSPECT_TRIES;
        assert_eq!(reaction == Reaction::Bury, blamed, "try {attempt}: {reaction:?}");
        simulation.now += Duration::from_secs(1);
    }
}

/// A record breaks the connection in three trials in a row before it is set aside; a break that was
/// none of its own begins the count anew.
#[test]
fn crash_needs_three_trials() {
    let mut simulation = single(1, Kind::Good);
    let mut broken = |class| {
        simulation.now += Duration::from_secs(1);
        simulation.start_due();
        let (lane, _message) = simulation.calls.pop().expect("a call is due");
        simulation.window.refused(lane, &refusal(class), simulation.now).0 == Reaction::Bury
    };
    let breaks = [Class::Broken, Class::Crash, Class::Crash, Class::Broken, Class::Crash];
    assert!(breaks.into_iter().all(|class| !broken(class)));
    assert!([Class::Now, Class::Crash, Class::Now].into_iter().all(|class| !broken(class)));
    assert!(broken(Class::Crash), "the third in a row");
}

/// A wrong token or path never dead-letters anything, however long it lasts.
#[test]
fn configuration_is_never_the_datas_fault() {
    let mut simulation = single(1, Kind::Good);
    for _ in 0..1000 {
        simulation.start_due();
        let (lane, _message) = simulation.calls.pop().expect("a call is due");
        let refusal = refusal(Class::Configuration);
        let reaction = simulation.window.refused(lane, &refusal, simulation.now).0;
        assert!(matches!(reaction, Reaction::Retry(_)), "{reaction:?}");
        simulation.now += Duration::from_secs(1);
    }
}

/// After a hundred dead letters without a success nothing is blamed on the data, until the backend
/// accepts something.
#[test]
fn storm_stops_dead_lettering() {
    let letters = limits::FORWARD_STORM_LETTERS as usize;
    let mut simulation = Simulation::new([vec![Kind::Poison; letters + 5], vec![], vec![], vec![]]);
    for _ in 0..20_000 {
        if simulation.window.has_room() {
            simulation.consume(0);
        }
        simulation.start_due();
        simulation.answer(0, false);
        simulation.bury(0, false);
        simulation.now += Duration::from_millis(25);
    }
    let buried = simulation.done[0].iter().filter(|done| **done).count();
    assert_eq!(buried, letters);
    assert!(simulation.window.is_storm());
    simulation.topic[1] = vec![Kind::Good];
    simulation.done[1] = vec![false];
    simulation.consume(1);
    for _ in 0..2_000 {
        simulation.start_due();
        simulation.answer(0, false);
        simulation.answer(0, false);
        simulation.bury(0, false);
        if simulation.window.has_room() {
            simulation.consume(0);
        }
        simulation.now += Duration::from_millis(25);
    }
    assert!(simulation.done[0].iter().all(|done| *done), "a success ends the storm");
}
