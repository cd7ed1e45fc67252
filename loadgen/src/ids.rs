//! Span and trace ids that say where a span came from: run, worker, sequence number.
//!
//! Pure. The generator writes ids, the sink and `verify` read them back; nothing else knows the
//! layout:
//!
//! ```text
//! span_id  (8 B)   worker (2) | sequence (6)            big-endian, worker from 1
//! a bad span       span_id all zero, parent_span_id = worker (2) | 1 (1 bit) | sequence (47 bits)
//! trace_id (16 B)  run (4) | check (4) | mixed (8)      big-endian
//! mixed = mix(worker << 48 | trace  ^  mix(run))        a bijection: unique and readable back
//! check = low half of mix(mixed ^ run << 32)            tells our spans from anybody else's
//! ```
//!
//! `sequence` counts the spans of one worker, `trace` its traces. Mixing spreads consecutive
//! traces evenly over partitions whatever part of the id a partitioner looks at, and leaves the
//! last seven bytes random enough for a sampler that follows W3C Trace Context level 2.

use std::fmt;

/// One `loadgen run`; random unless given, so that two runs into one sink stay apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct RunId(pub(crate) u32);

/// One connection of a run, numbered from 1 so that no id is all zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct WorkerId(pub(crate) u16);

/// What a trace id of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TraceOrigin {
    pub(crate) run: RunId,
    pub(crate) worker: WorkerId,
    /// Number of the trace within its worker, from 0.
    pub(crate) trace: u64,
}

/// What a span id of ours says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct SpanOrigin {
    pub(crate) worker: WorkerId,
    /// Number of the span within its worker, from 0.
    pub(crate) sequence: u64,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}", self.0)
    }
}

impl TraceOrigin {
    /// The trace id that [`Self::read`] reads back.
    pub(crate) fn id(self) -> [u8; 16] {
        let mixed = mix(packed(self.worker, self.trace) ^ mix(u64::from(self.run.0)));
        let mut id = [0; 16];
        id[..4].copy_from_slice(&self.run.0.to_be_bytes());
        id[4..8].copy_from_slice(&check(self.run, mixed).to_be_bytes());
        id[8..].copy_from_slice(&mixed.to_be_bytes());
        id
    }

    /// `None` when the id is not one of ours.
    pub(crate) fn read(id: &[u8]) -> Option<Self> {
        let (run, rest) = id.split_first_chunk::<4>()?;
        let (checked, rest) = rest.split_first_chunk::<4>()?;
        let run = RunId(u32::from_be_bytes(*run));
        let mixed = u64::from_be_bytes(rest.try_into().ok()?);
        if check(run, mixed) != u32::from_be_bytes(*checked) {
            return None;
        }
        let (worker, trace) = unpacked(unmix(mixed) ^ mix(u64::from(run.0)));
        Some(Self { run, worker, trace })
    }
}

impl SpanOrigin {
    /// The span id that [`Self::read`] reads back.
    pub(crate) fn id(self) -> [u8; 8] {
        packed(self.worker, self.sequence).to_be_bytes()
    }

    /// Reads which span a deliberately bad one is; `None` when it is not one.
    pub(crate) fn read_bad(span_id: &[u8], parent_span_id: &[u8]) -> Option<Self> {
        let Self { worker, sequence } = Self::read(parent_span_id)?;
        let is_marked = sequence & BAD_BIT != 0 && span_id.iter().all(|&byte| byte == 0);
        is_marked.then_some(Self { worker, sequence: sequence & !BAD_BIT })
    }

    /// `None` when the id is not 8 bytes long; any 8 bytes name some worker and sequence.
    pub(crate) fn read(id: &[u8]) -> Option<Self> {
        let (worker, sequence) = unpacked(u64::from_be_bytes(id.try_into().ok()?));
        Some(Self { worker, sequence })
    }
}

/// The finaliser of SplitMix64: every input bit reaches every output bit, and no two inputs meet.
pub(crate) const fn mix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    bits ^ (bits >> 31)
}

/// The inverse of [`mix`]: its multipliers are the modular inverses, its shifts are undone twice.
const fn unmix(mut bits: u64) -> u64 {
    bits = (bits ^ (bits >> 31) ^ (bits >> 62)).wrapping_mul(0x3196_42b2_d24d_8ec3);
    bits = (bits ^ (bits >> 27) ^ (bits >> 54)).wrapping_mul(0x96de_1b17_3f11_9089);
    bits ^ (bits >> 30) ^ (bits >> 60)
}

const fn check(run: RunId, mixed: u64) -> u32 {
    mix(mixed ^ ((run.0 as u64) << 32)) as u32
}

const fn packed(worker: WorkerId, number: u64) -> u64 {
    debug_assert!(number <= NUMBER_MAX);
    (worker.0 as u64) << 48 | number
}

const fn unpacked(bits: u64) -> (WorkerId, u64) {
    (WorkerId((bits >> 48) as u16), bits & NUMBER_MAX)
}

/// Six bytes of sequence: nine years of one worker at a million spans per second.
const NUMBER_MAX: u64 = (1 << 48) - 1;
/// Half of those years are enough for spans, and leave a bit.
const BAD_BIT: u64 = 1 << 47;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::{NUMBER_MAX, RunId, SpanOrigin, TraceOrigin, WorkerId, mix, unmix};

    /// What is written into an id is what is read from it, at both ends of every range.
    #[test]
    fn ids_are_read_back() {
        for run in [0, 1, 0xdead_beef, u32::MAX] {
            for worker in [1, 2, u16::MAX] {
                for number in [0, 1, 511, NUMBER_MAX] {
                    let worker = WorkerId(worker);
                    let trace = TraceOrigin { run: RunId(run), worker, trace: number };
                    assert_eq!(TraceOrigin::read(&trace.id()), Some(trace));
                    assert_ne!(trace.id(), [0; 16]);
                    let span = SpanOrigin { worker, sequence: number };
                    assert_eq!(SpanOrigin::read(&span.id()), Some(span));
                    assert_ne!(span.id(), [0; 8]);
                }
            }
        }
    }

    /// An id with any single bit changed, or of a wrong length, is not taken for one of ours.
    #[test]
    fn foreign_trace_ids_are_recognised() {
        let id = TraceOrigin { run: RunId(7), worker: WorkerId(1), trace: 3 }.id();
        for bit in 0..128 {
            let mut foreign = id;
            foreign[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(TraceOrigin::read(&foreign), None, "bit {bit}");
        }
        assert_eq!(TraceOrigin::read(&id[..15]), None);
        assert_eq!(TraceOrigin::read(&[]), None);
    }

    /// Mixing loses nothing.
    #[test]
    fn mix_is_inverted() {
        for bits in [0, 1, u64::MAX, 0x0123_4567_89ab_cdef] {
            assert_eq!(unmix(mix(bits)), bits);
        }
    }

    /// Consecutive traces fall evenly into buckets chosen by the first varying or the last bytes.
    #[test]
    fn traces_spread_evenly() {
        const BUCKETS: usize = 16;
        const TRACES: u64 = 16_000;
        let (mut low, mut high) = ([0_u32; BUCKETS], [0_u32; BUCKETS]);
        let mut distinct = HashSet::new();
        for trace in 0..TRACES {
            let id = TraceOrigin { run: RunId(1), worker: WorkerId(1), trace }.id();
            low[usize::from(id[15]) % BUCKETS] += 1;
            high[usize::from(id[4]) % BUCKETS] += 1;
            distinct.insert(id);
        }
        assert_eq!(distinct.len() as u64, TRACES);
        for count in low.iter().chain(&high) {
            // 1000 expected in each; six standard deviations are 184.
            assert!((816..=1184).contains(count), "{count}");
        }
    }
}
