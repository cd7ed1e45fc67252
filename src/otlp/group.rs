//! Groups spans by trace id: a hash table that a small request neither fills nor has to clear.
//!
//! Pure; called by the splitter, one table per publish worker. The table is open-addressed; a slot
//! belongs to the current request only if it carries its generation, so nothing is cleared between
//! requests, and each request uses only as much of the table as it needs, which keeps a small
//! request in the cache after a large one. The hash is keyed by a seed of the process: a sender
//! cannot choose trace ids that collide.

use std::hash::{BuildHasher, RandomState};

use super::TraceId;
use super::scan::Span;
use crate::limits::{SPLIT_TABLE_BYTES_PER_SLOT, SPLIT_TABLE_SLOTS_MIN};

/// A trace of the request.
#[derive(Clone, Copy)]
pub(super) struct Trace {
    pub(super) id: TraceId,
    /// Where the caller places it.
    pub(super) partition: u32,
}

#[derive(Clone, Copy, Default)]
struct Slot {
    generation: u32,
    /// Index into `Traces::traces`.
    trace: u32,
}

/// The traces of a request, and which of them each span belongs to.
pub(super) struct Traces {
    /// In order of first appearance.
    pub(super) traces: Vec<Trace>,
    /// Per span, in the order of the request: an index into `traces`.
    pub(super) trace_of: Vec<u32>,
    slots: Vec<Slot>,
    /// Slots in use by this request less one; their number is a power of two.
    mask: usize,
    generation: u32,
    seeds: [u64; 2],
}

impl Traces {
    pub(super) fn new() -> Self {
        let random = RandomState::new();
        Self {
            traces: Vec::new(),
            trace_of: Vec::new(),
            slots: Vec::new(),
            mask: 0,
            generation: 0,
            seeds: [random.hash_one(0), random.hash_one(1)],
        }
    }

    /// Groups `spans` of `request`, in place of what was here. `place` is asked once per trace.
    pub(super) fn group(
        &mut self,
        request: &[u8],
        spans: &[Span],
        place: impl Fn(&TraceId) -> u32,
    ) {
        self.traces.clear();
        self.trace_of.clear();
        let slots = (request.len() / SPLIT_TABLE_BYTES_PER_SLOT).next_power_of_two();
        self.resize(slots.max(SPLIT_TABLE_SLOTS_MIN));

        // Spans of one trace mostly come in a row.
        let mut last: Option<(TraceId, u32)> = None;
        for span in spans {
            let id = trace_id(request, span);
            let index = match last {
                Some((last_id, index)) if last_id == id => index,
                _ => self.index(id, &place),
            };
            last = Some((id, index));
            self.trace_of.push(index);
        }
    }

    /// The trace's index; a trace not met before is added.
    fn index(&mut self, id: TraceId, place: impl Fn(&TraceId) -> u32) -> u32 {
        let mut at = self.hash(&id) & self.mask;
        loop {
            let slot = self.slots[at];
            if slot.generation != self.generation {
                break;
            }
            if self.traces[slot.trace as usize].id == id {
                return slot.trace;
            }
            at = (at + 1) & self.mask;
        }
        let trace = self.traces.len() as u32;
        self.traces.push(Trace { id, partition: place(&id) });
        self.slots[at] = Slot { generation: self.generation, trace };
        // Half full at most: probes stay short.
        if self.traces.len() * 2 > self.mask {
            self.resize((self.mask + 1) * 2);
        }
        trace
    }

    /// Begins a generation with `slots` slots, a power of two, and enters the traces met so far.
    fn resize(&mut self, slots: usize) {
        if self.slots.len() < slots {
            self.slots.resize(slots, Slot::default());
        }
        self.mask = slots - 1;
        self.generation = self.generation.wrapping_add(1);
        if self.generation == 0 {
            // Every 4 billion requests: slots of the first generation would come alive again.
            self.slots.fill(Slot::default());
            self.generation = 1;
        }
        for trace in 0..self.traces.len() {
            let mut at = self.hash(&self.traces[trace].id) & self.mask;
            while self.slots[at].generation == self.generation {
                at = (at + 1) & self.mask;
            }
            self.slots[at] = Slot { generation: self.generation, trace: trace as u32 };
        }
    }

    /// Both halves, each with its seed, multiplied and folded.
    fn hash(&self, id: &TraceId) -> usize {
        let whole = u128::from_le_bytes(id.0);
        let low = whole as u64 ^ self.seeds[0];
        let high = (whole >> 64) as u64 ^ self.seeds[1];
        let product = u128::from(low) * u128::from(high);
        (product as u64 ^ (product >> 64) as u64) as usize
    }

    /// Memory held, in bytes.
    pub(super) fn scratch_bytes(&self) -> usize {
        size_of::<Trace>() * self.traces.capacity()
            + size_of::<u32>() * self.trace_of.capacity()
            + size_of::<Slot>() * self.slots.capacity()
    }
}

#[inline]
fn trace_id(request: &[u8], span: &Span) -> TraceId {
    let id = request[span.trace_id_at as usize..].first_chunk();
    TraceId(*id.expect("the scan has seen 16 bytes there"))
}
