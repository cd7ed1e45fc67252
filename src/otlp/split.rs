//! The splitter: one request in, the Kafka records to make of it out.
//!
//! Pure; each publish worker owns one. The steps are those of the files beside it: `scan` finds the
//! spans, `group` their traces, `plan` the records, `write` the bytes. A request whose spans all go
//! into one record is not written anew: that record is the request.

use super::TraceId;
use super::group::Traces;
use super::plan::{Bounds, Bucket, Plan, RecordPlan};
use super::reject::{RejectReason, Rejections};
use super::scan::Scan;
use super::size::Size;
use super::wire::Malformed;
use super::write::write_record;
use crate::limits::{SPLIT_HEADER_BUDGET_BYTES_MIN, SPLIT_SCRATCH_BYTES_KEPT_MAX, SPLIT_SPANS_MAX};

/// What a record holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RecordMode {
    /// The spans of one trace, under its key.
    Trace,
    /// The spans of one partition, without a key: fewer and larger records, traces placed alike.
    Partition,
}

/// What the records of a request must keep to.
#[derive(Clone, Copy, Debug)]
pub struct SplitRules {
    /// What a record holds, unless that would repeat headers beyond the budget.
    pub mode: RecordMode,
    /// The longest record, in bytes, key and Kafka's own framing not counted.
    pub record_bytes_max: usize,
    /// Partitions of the topic.
    pub partition_count: u32,
}

/// What became of a request's spans.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// Spans that the records hold.
    pub span_count: u64,
    /// Spans left out, by reason.
    pub rejected: Rejections,
    /// Whether records are per partition although the rules ask for one per trace: with one per
    /// trace, repeated headers would have exceeded the budget.
    pub fell_back: bool,
}

/// Why a request cannot be split. Nothing of it may be produced.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SplitError {
    /// Even with a record per partition, repeated headers exceed the budget. The request is too
    /// large in effect: RESOURCE_EXHAUSTED without RetryInfo.
    #[error("repeating resources and scopes in every record exceeds its budget")]
    HeadersTooLarge,
    /// The bytes are not an ExportTraceServiceRequest: INVALID_ARGUMENT.
    #[error("malformed request: {0}")]
    Malformed(#[from] Malformed),
    /// Tables for so many spans would take more memory than a request may: RESOURCE_EXHAUSTED
    /// without RetryInfo.
    #[error("a request may hold {SPLIT_SPANS_MAX} spans")]
    TooManySpans,
}

/// Splits requests by trace, reusing its tables from one to the next.
///
/// Tables take at most `limits::SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX` bytes per byte of
/// request besides a few KiB and 8 bytes per partition, and nothing is allocated once they have
/// grown to the requests that come.
pub struct Splitter {
    scan: Scan,
    traces: Traces,
    plan: Plan,
}

impl Splitter {
    /// A splitter with empty tables.
    pub fn new() -> Self {
        Self { scan: Scan::default(), traces: Traces::new(), plan: Plan::default() }
    }

    /// Splits `request`, an uncompressed ExportTraceServiceRequest, in place of the one before.
    ///
    /// `place` maps a trace to its partition, below `rules.partition_count`; it is asked once per
    /// trace. After an error there are no records.
    pub fn split(
        &mut self,
        request: &[u8],
        rules: &SplitRules,
        place: impl Fn(&TraceId) -> u32,
    ) -> Result<Outcome, SplitError> {
        if self.scratch_bytes() > SPLIT_SCRATCH_BYTES_KEPT_MAX {
            *self = Self::new();
        }
        self.plan.clear();
        self.scan.read(request)?;
        if self.scan.spans.len() > SPLIT_SPANS_MAX {
            return Err(SplitError::TooManySpans);
        }
        if request.len() > rules.record_bytes_max {
            self.reject_too_large(rules.record_bytes_max);
        }
        self.traces.group(request, &self.scan.spans, |trace| {
            let partition = place(trace);
            assert!(partition < rules.partition_count, "a trace placed beyond the partitions");
            partition
        });
        let fell_back = self.plan_records(request.len(), rules)?;
        Ok(Outcome {
            span_count: self.scan.spans.len() as u64,
            rejected: self.scan.rejections,
            fell_back,
        })
    }

    /// The records of the request last split; in trace mode by first appearance of their traces.
    pub fn records(&self) -> &[RecordPlan] {
        &self.plan.records
    }

    /// The bytes of a record: `request` itself if it passes untouched, else written to `scratch`.
    ///
    /// `request` must be the request last split, and `record` one of its
    /// [`records`](Self::records).
    pub fn write<'a>(
        &self,
        request: &'a [u8],
        record: &RecordPlan,
        scratch: &'a mut Vec<u8>,
    ) -> &'a [u8] {
        if record.is_request() {
            return request;
        }
        write_record(request, &self.scan, &self.plan, record, scratch);
        scratch
    }

    /// Memory that the tables hold, in bytes.
    pub fn scratch_bytes(&self) -> usize {
        self.scan.scratch_bytes() + self.traces.scratch_bytes() + self.plan.scratch_bytes()
    }

    /// Plans the records and answers whether it fell back to one per partition.
    fn plan_records(&mut self, request_len: usize, rules: &SplitRules) -> Result<bool, SplitError> {
        let by_partition = Bucket::Partition { count: rules.partition_count };
        let bucket = match rules.mode {
            RecordMode::Trace => Bucket::Trace,
            RecordMode::Partition => by_partition,
        };
        let bounds = Bounds {
            record_bytes_max: rules.record_bytes_max,
            total_bytes_max: request_len + request_len.max(SPLIT_HEADER_BUDGET_BYTES_MIN),
            may_cut: request_len > rules.record_bytes_max,
        };
        if self.pass_through(bucket, request_len, &bounds) {
            return Ok(false);
        }
        if self.plan.regroup(&self.scan, &self.traces, bucket, bounds).is_ok() {
            return Ok(false);
        }
        if bucket == Bucket::Trace && self.pass_through(by_partition, request_len, &bounds) {
            return Ok(true);
        }
        if bucket == Bucket::Trace
            && self.plan.regroup(&self.scan, &self.traces, by_partition, bounds).is_ok()
        {
            return Ok(true);
        }
        self.plan.clear();
        Err(SplitError::HeadersTooLarge)
    }

    /// Plans the request itself as its only record, if all of it belongs into one.
    fn pass_through(&mut self, bucket: Bucket, request_len: usize, bounds: &Bounds) -> bool {
        let [first, rest @ ..] = self.traces.traces.as_slice() else { return false };
        let key = match bucket {
            Bucket::Trace if rest.is_empty() => Some(first.id),
            Bucket::Partition { .. } if rest.iter().all(|it| it.partition == first.partition) => {
                None
            }
            _ => return false,
        };
        if bounds.may_cut || self.scan.rejections.total() > 0 {
            return false;
        }
        let span_count = self.scan.spans.len() as u32;
        self.plan.pass_through(RecordPlan::request(first.partition, key, span_count, request_len));
        true
    }

    /// Rejects the spans that would not fit into a record alone.
    fn reject_too_large(&mut self, record_bytes_max: usize) {
        let mut spans = std::mem::take(&mut self.scan.spans);
        let scanned = spans.len();
        spans.retain(|span| Size::of(&self.scan, span).total(&self.scan) <= record_bytes_max);
        self.scan.rejections.add(RejectReason::SpanTooLarge, scanned - spans.len());
        self.scan.spans = spans;
    }
}

impl Default for Splitter {
    fn default() -> Self {
        Self::new()
    }
}
