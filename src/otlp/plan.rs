//! Which spans go into which record, and how long each part of a record becomes.
//!
//! Pure; called by the splitter once per request, twice if the first plan repeats headers beyond
//! the budget. Spans are sorted into buckets (traces or partitions) by counting, which keeps their
//! order; a bucket becomes a record, or several if it exceeds the record limit. A record is a list
//! of segments, one per ScopeSpans it takes spans from, with the lengths that `write` puts down.

use super::TraceId;
use super::group::Traces;
use super::scan::Scan;
use super::schema::REQUEST_RESOURCE_SPANS;
use super::size::{Size, framed};

/// One Kafka record of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecordPlan {
    /// The partition that the caller's `place` has answered for its traces.
    pub partition: u32,
    /// The trace that all its spans belong to; `None` if it holds all spans of one partition.
    pub key: Option<TraceId>,
    /// Spans in it; at least one.
    pub span_count: u32,
    /// Its exact length in bytes.
    pub bytes_len: usize,
    /// Range of `Plan::segments`. Empty: the request itself, untouched.
    pub(super) segments: (u32, u32),
}

impl RecordPlan {
    /// The request itself as a record.
    pub(super) fn request(
        partition: u32,
        key: Option<TraceId>,
        span_count: u32,
        bytes_len: usize,
    ) -> Self {
        Self { partition, key, span_count, bytes_len, segments: (0, 0) }
    }

    /// Whether this record is the request itself, untouched.
    pub fn is_request(&self) -> bool {
        self.segments.0 == self.segments.1
    }
}

/// What a record takes from one ScopeSpans.
#[derive(Clone, Copy)]
pub(super) struct Segment {
    pub(super) scope: u32,
    /// Range of `Plan::order`.
    pub(super) spans: (u32, u32),
    /// Content of the ScopeSpans, its header included.
    pub(super) scope_bytes: u32,
    /// Content of the ResourceSpans that begins here; 0 if the one before goes on.
    pub(super) resource_bytes: u32,
}

/// How spans are sorted into records.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Bucket {
    Trace,
    Partition { count: u32 },
}

/// The sizes a plan must keep.
#[derive(Clone, Copy)]
pub(super) struct Bounds {
    pub(super) record_bytes_max: usize,
    /// Of all records together.
    pub(super) total_bytes_max: usize,
    /// Whether a record can exceed its limit at all: not if the whole request is within it.
    pub(super) may_cut: bool,
}

/// The records hold more than [`Bounds::total_bytes_max`].
pub(super) struct OverBudget;

/// The records of a request. Reused: a request leaves its capacity to the next.
#[derive(Default)]
pub(super) struct Plan {
    pub(super) records: Vec<RecordPlan>,
    pub(super) segments: Vec<Segment>,
    /// Indices of spans, bucket by bucket.
    pub(super) order: Vec<u32>,
    /// Where each bucket begins in `order`, and at last where the last one ends.
    bucket_starts: Vec<u32>,
}

impl Plan {
    pub(super) fn clear(&mut self) {
        self.records.clear();
        self.segments.clear();
    }

    /// Plans the request itself as the one record.
    pub(super) fn pass_through(&mut self, record: RecordPlan) {
        self.clear();
        self.records.push(record);
    }

    /// Plans one record or more per bucket, in place of what was here.
    pub(super) fn regroup(
        &mut self,
        scan: &Scan,
        traces: &Traces,
        bucket: Bucket,
        bounds: Bounds,
    ) -> Result<(), OverBudget> {
        self.clear();
        self.sort(traces, bucket);
        let mut total_bytes = 0;
        for index in 0..self.bucket_starts.len() - 1 {
            let (mut start, end) = (self.bucket_starts[index], self.bucket_starts[index + 1]);
            let (key, partition) = match bucket {
                Bucket::Trace => {
                    let trace = traces.traces[index];
                    (Some(trace.id), trace.partition)
                }
                Bucket::Partition { .. } => (None, index as u32),
            };
            while start < end {
                let cut = if bounds.may_cut {
                    self.cut(scan, (start, end), bounds.record_bytes_max)
                } else {
                    end
                };
                let record = self.record(scan, (start, cut), key, partition);
                total_bytes += record.bytes_len;
                if total_bytes > bounds.total_bytes_max {
                    return Err(OverBudget);
                }
                self.records.push(record);
                start = cut;
            }
        }
        Ok(())
    }

    /// Sorts the spans by bucket, keeping their order within each: a counting sort.
    fn sort(&mut self, traces: &Traces, bucket: Bucket) {
        let bucket_of = |trace: u32| match bucket {
            Bucket::Trace => trace as usize,
            Bucket::Partition { .. } => traces.traces[trace as usize].partition as usize,
        };
        let bucket_count = match bucket {
            Bucket::Trace => traces.traces.len(),
            Bucket::Partition { count } => count as usize,
        };
        // Counts go two places up: after the sums, entry n + 1 is where bucket n begins, and
        // filling the bucket moves it to where bucket n ends, which is where n + 1 begins.
        let starts = &mut self.bucket_starts;
        starts.clear();
        starts.resize(bucket_count + 2, 0);
        for &trace in &traces.trace_of {
            starts[bucket_of(trace) + 2] += 1;
        }
        for index in 2..starts.len() {
            starts[index] += starts[index - 1];
        }
        self.order.clear();
        self.order.resize(traces.trace_of.len(), 0);
        for (span, &trace) in traces.trace_of.iter().enumerate() {
            let next = &mut starts[bucket_of(trace) + 1];
            self.order[*next as usize] = span as u32;
            *next += 1;
        }
        starts.pop();
    }

    /// How far a record may reach that begins with the first of `spans`, a range of the order.
    fn cut(&self, scan: &Scan, (start, end): (u32, u32), record_bytes_max: usize) -> u32 {
        let span = |at: u32| &scan.spans[self.order[at as usize] as usize];
        let mut size = Size::of(scan, span(start));
        for at in start + 1..end {
            size = size.with(scan, span(at));
            if size.total(scan) > record_bytes_max {
                return at;
            }
        }
        end
    }

    /// Plans a record of `spans`, a range of the order.
    fn record(
        &mut self,
        scan: &Scan,
        (start, end): (u32, u32),
        key: Option<TraceId>,
        partition: u32,
    ) -> RecordPlan {
        let segments_start = self.segments.len();
        let order = &self.order[..end as usize];
        let span = |at: usize| order.get(at).map(|&index| &scan.spans[index as usize]);

        let mut bytes_len = scan.request_header.bytes as usize;
        let mut at = start as usize;
        let mut next = span(at);
        while let Some(first) = next {
            let block_start = self.segments.len();
            let resource = scan.scopes[first.scope as usize].resource;
            let mut resource_bytes = scan.resources[resource as usize].bytes as usize;
            while let Some(first) = next
                && scan.scopes[first.scope as usize].resource == resource
            {
                let scope = &scan.scopes[first.scope as usize];
                let mut scope_bytes = scope.header.bytes as usize;
                let segment_start = at;
                while let Some(member) = next
                    && member.scope == first.scope
                {
                    scope_bytes += member.len();
                    at += 1;
                    next = span(at);
                }
                resource_bytes += framed(scope.field_number, scope_bytes);
                self.segments.push(Segment {
                    scope: first.scope,
                    spans: (segment_start as u32, at as u32),
                    scope_bytes: scope_bytes as u32,
                    resource_bytes: 0,
                });
            }
            self.segments[block_start].resource_bytes = resource_bytes as u32;
            bytes_len += framed(REQUEST_RESOURCE_SPANS, resource_bytes);
        }
        let segments = (segments_start as u32, self.segments.len() as u32);
        RecordPlan { partition, key, span_count: end - start, bytes_len, segments }
    }

    /// Memory held, in bytes.
    pub(super) fn scratch_bytes(&self) -> usize {
        size_of::<RecordPlan>() * self.records.capacity()
            + size_of::<Segment>() * self.segments.capacity()
            + size_of::<u32>() * (self.order.capacity() + self.bucket_starts.capacity())
    }
}
