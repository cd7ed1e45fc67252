//! Properties of the split over generated requests, in both field orders.

use proptest::prelude::{ProptestConfig, any, prop_assert, prop_assert_eq, proptest};

use super::encode::FieldOrder;
use super::model::{Request, requests};
use super::oracle::{check, place};
use crate::otlp::{RecordMode, RejectReason, SplitRules, Splitter, TraceId};

pub(super) const ORDERS: [FieldOrder; 2] = [FieldOrder::Ascending, FieldOrder::Descending];

/// Both modes, with records that hold any request and records that hold a few spans.
pub(super) fn rules() -> impl Iterator<Item = SplitRules> {
    [RecordMode::Trace, RecordMode::Partition].into_iter().flat_map(|mode| {
        [900 * 1024, 700].map(|record_bytes_max| SplitRules {
            mode,
            record_bytes_max,
            partition_count: 3,
        })
    })
}

/// Traces with an accepted span, in order of first appearance, and how many each has.
fn traces(request: &Request) -> Vec<(TraceId, u32)> {
    let mut traces: Vec<(TraceId, u32)> = Vec::new();
    for (span, _) in request.spans().filter(|(_, reason)| reason.is_none()) {
        match traces.iter_mut().find(|(trace, _)| *trace == span.trace) {
            Some((_, count)) => *count += 1,
            None => traces.push((span.trace, 1)),
        }
    }
    traces
}

/// Failures are shrunk and printed, not stored in files beside the tests.
fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(128))]

    /// Trace mode writes, byte for byte, the record that the request's model gives for each trace,
    /// in order of first appearance; a request of one trace and no fault passes untouched; and
    /// every rejected span is counted under its reason.
    #[test]
    fn trace_records_are_exact(model in requests()) {
        let mut splitter = Splitter::new();
        let mut scratch = Vec::new();
        let rules = SplitRules {
            mode: RecordMode::Trace,
            record_bytes_max: 900 * 1024,
            partition_count: 3,
        };
        for order in ORDERS {
            let request = model.encode(order);
            let outcome = splitter.split(&request, &rules, |trace| place(trace, 3)).unwrap();
            for reason in RejectReason::ALL {
                let expected = model.spans().filter(|(_, found)| *found == Some(reason)).count();
                prop_assert_eq!(outcome.rejected.count(reason), expected as u64, "{:?}", reason);
            }
            let traces = traces(&model);
            prop_assert_eq!(splitter.records().len(), traces.len());
            for (record, (trace, span_count)) in splitter.records().iter().zip(&traces) {
                prop_assert_eq!(record.key, Some(*trace));
                prop_assert_eq!(record.span_count, *span_count);
                let untouched = traces.len() == 1 && outcome.rejected.total() == 0;
                let expected =
                    if untouched { request.clone() } else { model.record(order, *trace) };
                prop_assert_eq!(record.is_request(), untouched);
                prop_assert_eq!(splitter.write(&request, record, &mut scratch), &expected[..]);
            }
        }
    }

    /// In both modes, with and without cutting, prost finds in the records the spans of the
    /// request, each with its Resource, scope and schema URLs, and no record over the limit.
    #[test]
    fn prost_finds_every_span_in_context(model in requests()) {
        let mut splitter = Splitter::new();
        for order in ORDERS {
            for rules in rules() {
                check(&mut splitter, &model.encode(order), &rules);
            }
        }
    }

    /// A request with bytes changed is malformed exactly where prost says so, and never panics.
    #[test]
    fn changed_bytes_are_judged_as_prost_does(
        model in requests(),
        changes in proptest::collection::vec((any::<usize>(), any::<u8>()), 1..4),
    ) {
        let mut splitter = Splitter::new();
        for order in ORDERS {
            let mut request = model.encode(order);
            if !request.is_empty() {
                for (at, byte) in &changes {
                    let at = at % request.len();
                    request[at] = *byte;
                }
            }
            for rules in rules() {
                check(&mut splitter, &request, &rules);
            }
        }
    }

    /// A splitter that has split other requests before answers as a new one does.
    #[test]
    fn reuse_leaves_no_trace(first in requests(), second in requests()) {
        let [first, second] = [first, second].map(|it| it.encode(FieldOrder::Ascending));
        let mut reused = Splitter::new();
        for rules in rules() {
            let mut fresh = Splitter::new();
            let expected = fresh.split(&second, &rules, |trace| place(trace, 3));
            prop_assert!(reused.split(&first, &rules, |trace| place(trace, 3)).is_ok());
            prop_assert_eq!(reused.split(&second, &rules, |trace| place(trace, 3)), expected);
            prop_assert_eq!(reused.records(), fresh.records());
        }
    }
}

proptest! {
    #![proptest_config(cases(16))]

    /// A request cut off at any byte is malformed exactly where prost says so, and never panics.
    #[test]
    fn truncation_at_every_byte_is_judged_as_prost_does(model in requests()) {
        let mut splitter = Splitter::new();
        for order in ORDERS {
            let request = model.encode(order);
            for len in (0..request.len()).take(2000) {
                for rules in rules().take(1) {
                    check(&mut splitter, &request[..len], &rules);
                }
            }
        }
    }
}
