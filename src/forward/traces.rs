//! A refused record of many traces, taken apart so that only the guilty trace is set aside.
//!
//! Pure; called by a lane, rarely. The parts are requests again, in the order of their traces; they
//! are sent, halved and dead-lettered as records are, and only the last one moves the offset.

use std::time::Instant;

use super::batch::{Batch, OpenBatch, Part};
use crate::{
    kafka::Record,
    otlp::{RecordMode, SplitRules, Splitter},
};

/// The traces are not placed anew, and not cut: a part is all that the record holds of its trace.
const RULES: SplitRules =
    SplitRules { mode: RecordMode::Trace, record_bytes_max: usize::MAX, partition_count: 1 };

/// The only record of `batch` as one entry per trace; `None` when it cannot be taken apart: it
/// holds one trace, or something that is no good span of any (nothing may be left out), or its
/// headers are too large to be repeated.
pub(super) fn by_trace(batch: &Batch, now: Instant) -> Option<Batch> {
    let [entry] = batch.entries() else { return None };
    let record = batch.record(0);
    let request = record.value.filter(|_| entry.trace().is_none())?;
    let mut splitter = Splitter::new();
    let outcome = splitter.split(request, &RULES, |_| 0).ok()?;
    let parts = splitter.records();
    if parts.len() < 2 || outcome.fell_back || outcome.rejected.total() > 0 {
        return None;
    }
    let mut open = OpenBatch::default();
    let mut scratch = Vec::new();
    for (index, plan) in parts.iter().enumerate() {
        let part = Part::Trace { trace: plan.key?, is_last: index + 1 == parts.len() };
        let value = splitter.write(request, plan, &mut scratch);
        let record = Record { value: Some(value), ..record };
        open.append_part(&record, part, entry.generation, now);
    }
    Some(open.close())
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::{
        collector::trace::v1::ExportTraceServiceRequest,
        trace::v1::{ResourceSpans, ScopeSpans, Span},
    };
    use prost::Message;

    use super::*;
    use crate::{
        forward::batch::{Generation, record_count},
        kafka::PartitionId,
    };

    fn batch(traces: &[u8]) -> Batch {
        let span = |trace: &u8| Span {
            trace_id: vec![*trace; 16],
            span_id: vec![1; 8],
            ..Span::default()
        };
        let spans = traces.iter().map(span).collect();
        let scope_spans = vec![ScopeSpans { spans, ..ScopeSpans::default() }];
        let resource_spans = vec![ResourceSpans { scope_spans, ..ResourceSpans::default() }];
        let value = ExportTraceServiceRequest { resource_spans }.encode_to_vec();
        let mut open = OpenBatch::default();
        let record = Record {
            partition: PartitionId(2),
            offset: 7,
            timestamp_ms: None,
            key: Some(b"key"),
            value: Some(&value),
        };
        open.append(&record, Generation(1), Instant::now());
        open.close()
    }

    /// Each trace is a request of its own under the record's key, and they end it together.
    #[test]
    fn one_part_per_trace() {
        let parts = by_trace(&batch(&[1, 2, 1, 3]), Instant::now()).expect("three traces");
        let spans: Vec<Vec<u8>> = (0..3)
            .map(|index| {
                let record = parts.record(index);
                assert_eq!((record.key, record.offset), (Some(&b"key"[..]), 7));
                let request = ExportTraceServiceRequest::decode(record.value.expect("a value"));
                let request = request.expect("a request");
                let spans = &request.resource_spans[0].scope_spans[0].spans;
                spans.iter().map(|span| span.trace_id[0]).collect()
            })
            .collect();
        assert_eq!(spans, [vec![1, 1], vec![2], vec![3]]);
        assert_eq!((parts.entries().len(), record_count(parts.entries())), (3, 1));
        assert!(parts.entries()[2].ends_record());
    }

    /// One trace, a part, and a record with a span that has no trace stay whole.
    #[test]
    fn what_stays_whole() {
        let now = Instant::now();
        assert!(by_trace(&batch(&[1, 1]), now).is_none());
        assert!(by_trace(&batch(&[1, 0]), now).is_none(), "an all-zero trace id is no trace");
        let parts = by_trace(&batch(&[1, 2]), now).expect("two traces");
        let part = parts.retain(now, |entry| entry.ends_record()).close();
        assert!(by_trace(&part, now).is_none());
    }
}
