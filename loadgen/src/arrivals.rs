//! Which spans of which run arrived: a bit per span, and counts of what was wrong with them.
//!
//! Owned by whoever receives (the sink behind a lock taken once per request, or the topic reader
//! of `verify`). Takes input from outside, so nothing in a span may cost more memory than
//! [`SEQUENCE_MAX`] allows.

use std::collections::BTreeMap;
use std::path::Path;

use bytes::{Buf, BufMut, Bytes};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::bitmap::Bitmap;
use crate::checksum::{Checksums, ScopeHash};
use crate::content::SPANS_PER_TRACE_KEY;
use crate::end_to_end::EndToEnd;
use crate::files::{DamageError, FileError, Format};
use crate::ids::{RunId, SpanOrigin, TraceOrigin, WorkerId};
use crate::payload::SPAN_STAGGER_NANOS;

/// Everything that arrived.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Arrivals {
    /// Tells one sink's files from another's; 0 where there was no sink.
    pub(crate) sink: u64,
    pub(crate) workers: BTreeMap<(RunId, WorkerId), WorkerArrivals>,
    /// Spans that no loadgen made.
    pub(crate) foreign: u64,
    /// From the intended start of a span to its first arrival.
    pub(crate) end_to_end: EndToEnd,
}

/// The counts of every worker, added up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct ArrivalTotals {
    /// Different spans.
    pub(crate) arrived: u64,
    pub(crate) duplicate: u64,
    pub(crate) reordered: u64,
    pub(crate) corrupt: u64,
    pub(crate) bad: u64,
    pub(crate) foreign: u64,
}

/// What arrived from one worker of one run.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct WorkerArrivals {
    /// By sequence number.
    pub(crate) spans: Bitmap,
    /// Arrivals of a span that had arrived before.
    pub(crate) duplicate: u64,
    /// First arrivals of a span after a later one of its trace.
    pub(crate) reordered: u64,
    /// Spans whose ids contradict each other or whose content is not what was generated.
    pub(crate) corrupt: u64,
    /// Arrivals of deliberately bad spans; each is an arrival like any other as well.
    pub(crate) bad: u64,
}

/// Decoded spans on their way into [`Arrivals`], judged as far as one request goes.
#[derive(Debug, Default)]
pub(crate) struct Judged {
    spans: Vec<JudgedSpan>,
    foreign: u64,
}

#[derive(Debug)]
struct JudgedSpan {
    run: RunId,
    worker: WorkerId,
    /// `None` when the ids contradict each other.
    sequence: Option<u64>,
    intact: bool,
    /// Deliberately.
    bad: bool,
    /// When its request was meant to start, in nanoseconds since the epoch.
    intended_nanos: u64,
    /// Sequence numbers of the later spans of this trace: up to here, exclusive.
    trace_end: u64,
}

impl Judged {
    /// Reads ids and verifies content. Needs no lock: this is where the time goes.
    pub(crate) fn new(request: ExportTraceServiceRequest) -> Self {
        let mut judged = Self::default();
        let mut checksums = Checksums::default();
        for mut resource_spans in request.resource_spans {
            let spans_per_trace = spans_per_trace(&resource_spans);
            for mut scope_spans in std::mem::take(&mut resource_spans.scope_spans) {
                let spans = std::mem::take(&mut scope_spans.spans);
                judged.scope(&mut checksums, &resource_spans, &scope_spans, spans, spans_per_trace);
            }
        }
        judged
    }

    /// How many spans of ours and of others.
    pub(crate) fn len(&self) -> u64 {
        self.spans.len() as u64 + self.foreign
    }

    /// Drops up to `span_count` spans, as a receiver that loses them would; returns how many.
    pub(crate) fn lose(&mut self, span_count: u64) -> u64 {
        let lost = self.spans.len().min(usize::try_from(span_count).unwrap_or(usize::MAX));
        self.spans.drain(..lost).count() as u64
    }

    fn scope(
        &mut self,
        checksums: &mut Checksums,
        resource_spans: &ResourceSpans,
        scope_spans: &ScopeSpans,
        spans: Vec<Span>,
        spans_per_trace: Option<u64>,
    ) {
        let scope_hash = checksums.scope(resource_spans, scope_spans);
        for span in spans {
            match TraceOrigin::read(&span.trace_id) {
                Some(trace) => {
                    self.spans.push(judge(span, trace, checksums, scope_hash, spans_per_trace));
                }
                None => self.foreign += 1,
            }
        }
    }
}

impl Arrivals {
    /// Takes in the spans of one request, which arrived `arrived_nanos` after the epoch, if that
    /// is known.
    pub(crate) fn record(&mut self, judged: &Judged, arrived_nanos: Option<u64>) {
        self.foreign += judged.foreign;
        for span in &judged.spans {
            let worker = self.workers.entry((span.run, span.worker)).or_default();
            worker.corrupt += u64::from(!span.intact);
            worker.bad += u64::from(span.bad);
            let Some(sequence) = span.sequence else {
                continue;
            };
            if !worker.spans.insert(sequence) {
                worker.duplicate += 1;
                continue;
            }
            if worker.spans.count(sequence + 1..span.trace_end) > 0 {
                worker.reordered += 1;
            }
            if let Some(arrived_nanos) = arrived_nanos
                && span.intact
                && !span.bad
            {
                self.end_to_end.record(span.run, span.intended_nanos, arrived_nanos);
            }
        }
    }

    /// Adds what arrived at another sink. What arrived at both is duplicate; order between two
    /// sinks is not judged.
    pub(crate) fn merge(&mut self, other: Self) {
        self.foreign += other.foreign;
        self.end_to_end.merge(&other.end_to_end);
        for (key, theirs) in other.workers {
            let ours = self.workers.entry(key).or_default();
            let arrivals = ours.spans.len() + theirs.spans.len();
            ours.spans.union(&theirs.spans);
            ours.duplicate += theirs.duplicate + arrivals - ours.spans.len();
            ours.reordered += theirs.reordered;
            ours.corrupt += theirs.corrupt;
            ours.bad += theirs.bad;
        }
    }

    pub(crate) fn totals(&self) -> ArrivalTotals {
        let mut totals = ArrivalTotals { foreign: self.foreign, ..ArrivalTotals::default() };
        for worker in self.workers.values() {
            totals.arrived += worker.spans.len();
            totals.duplicate += worker.duplicate;
            totals.reordered += worker.reordered;
            totals.corrupt += worker.corrupt;
            totals.bad += worker.bad;
        }
        totals
    }

    /// How many different spans arrived.
    pub(crate) fn distinct(&self) -> u64 {
        self.workers.values().map(|worker| worker.spans.len()).sum()
    }

    /// Writes the arrivals to `path`.
    pub(crate) fn save(&self, path: &Path) -> Result<(), FileError> {
        let mut content = Vec::new();
        content.put_u64_le(self.sink);
        content.put_u64_le(self.foreign);
        self.end_to_end.encode(&mut content);
        content.put_u32_le(self.workers.len() as u32);
        for ((run, id), worker) in &self.workers {
            content.put_u32_le(run.0);
            content.put_u16_le(id.0);
            content.put_u64_le(worker.duplicate);
            content.put_u64_le(worker.reordered);
            content.put_u64_le(worker.corrupt);
            content.put_u64_le(worker.bad);
            let words = worker.spans.words();
            content.put_u32_le(words.len() as u32);
            words.iter().for_each(|&word| content.put_u64_le(word));
        }
        FORMAT.save(path, &content)
    }

    /// Reads arrivals from `path`.
    pub(crate) fn load(path: &Path) -> Result<Self, FileError> {
        FORMAT.load(path, |content| {
            let mut arrivals = Self {
                sink: content.try_get_u64_le()?,
                foreign: content.try_get_u64_le()?,
                end_to_end: EndToEnd::decode(content)?,
                workers: BTreeMap::new(),
            };
            for _ in 0..content.try_get_u32_le()? {
                let run = RunId(content.try_get_u32_le()?);
                let worker = WorkerId(content.try_get_u16_le()?);
                arrivals.workers.insert((run, worker), WorkerArrivals::decode(content)?);
            }
            Ok(arrivals)
        })
    }
}

impl WorkerArrivals {
    fn decode(content: &mut Bytes) -> Result<Self, DamageError> {
        let duplicate = content.try_get_u64_le()?;
        let reordered = content.try_get_u64_le()?;
        let corrupt = content.try_get_u64_le()?;
        let bad = content.try_get_u64_le()?;
        let word_count = content.try_get_u32_le()? as usize;
        if content.remaining() / 8 < word_count {
            return Err(DamageError::Short);
        }
        let words = (0..word_count).map(|_| content.get_u64_le()).collect();
        Ok(Self { spans: Bitmap::from_words(words), duplicate, reordered, corrupt, bad })
    }
}

/// Compares what the ids of a span say, and its content with the checksum it carries. A bad span
/// has no id; its parent's says which it is.
fn judge(
    mut span: Span,
    trace: TraceOrigin,
    checksums: &mut Checksums,
    scope_hash: ScopeHash,
    spans_per_trace: Option<u64>,
) -> JudgedSpan {
    let TraceOrigin { run, worker, trace } = trace;
    let spans_per_trace = spans_per_trace.unwrap_or(1);
    let root_sequence = trace.saturating_mul(spans_per_trace);
    let trace_end = root_sequence.saturating_add(spans_per_trace);
    let bad = SpanOrigin::read_bad(&span.span_id, &span.parent_span_id);
    let sequence = bad
        .or_else(|| SpanOrigin::read(&span.span_id))
        .filter(|origin| origin.worker == worker && origin.sequence <= SEQUENCE_MAX)
        .map(|origin| origin.sequence)
        .filter(|sequence| (root_sequence..trace_end).contains(sequence));
    let parent_fits = match SpanOrigin::read(&span.parent_span_id) {
        Some(_) if bad.is_some() => true,
        Some(parent) => parent == SpanOrigin { worker, sequence: root_sequence },
        None => span.parent_span_id.is_empty() && sequence == Some(root_sequence),
    };
    let stagger = sequence.map_or(0, |sequence| sequence - root_sequence) * SPAN_STAGGER_NANOS;
    let intended_nanos = span.start_time_unix_nano.saturating_sub(stagger);
    let (computed, carried) = checksums.strip(scope_hash, &mut span);
    let intact = sequence.is_some() && parent_fits && carried == Some(computed);
    JudgedSpan { run, worker, sequence, intact, bad: bad.is_some(), intended_nanos, trace_end }
}

fn spans_per_trace(resource_spans: &ResourceSpans) -> Option<u64> {
    let attributes = &resource_spans.resource.as_ref()?.attributes;
    let attribute = attributes.iter().find(|attribute| attribute.key == SPANS_PER_TRACE_KEY)?;
    match attribute.value.as_ref()?.value {
        Some(Value::IntValue(spans)) => u32::try_from(spans).ok().map(u64::from),
        _ => None,
    }
}

const FORMAT: Format = Format { magic: *b"LGARRIVE", version: 2, name: "a loadgen arrivals file" };
/// Spans of one worker that can be recorded: a bitmap of 1 GiB, two hours at a million per second.
const SEQUENCE_MAX: u64 = (1 << 33) - 1;

#[cfg(test)]
mod tests;
