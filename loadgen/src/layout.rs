//! Which span of which trace stands where in a request.
//!
//! Pure arithmetic: sequence numbers are cut into traces and into requests independently, so a
//! request begins and ends anywhere within a trace. Whole traces stand in the order of their
//! numbers; interleaved, the traces of a request take turns, span by span. Either way the spans of
//! a trace keep their order.

/// The spans of one request.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Layout {
    first_sequence: u64,
    spans: u64,
    spans_per_trace: u64,
    interleaved: bool,
}

/// The part of one trace that a request holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Slice {
    /// Of the trace within the request, from 0.
    pub(crate) index: u64,
    /// Of the trace within its worker.
    pub(crate) trace: u64,
    /// Number of the slice's first span within its trace.
    pub(crate) first_span: u64,
    pub(crate) span_count: u64,
}

impl Layout {
    pub(crate) fn new(
        request: u64,
        spans_per_request: u32,
        spans_per_trace: u32,
        interleaved: bool,
    ) -> Self {
        let spans = u64::from(spans_per_request);
        let spans_per_trace = u64::from(spans_per_trace);
        Self { first_sequence: request * spans, spans, spans_per_trace, interleaved }
    }

    /// The traces of the request, in order.
    pub(crate) fn slices(self) -> impl Iterator<Item = Slice> {
        let end = self.first_sequence + self.spans;
        let first_trace = self.first_sequence / self.spans_per_trace;
        let traces = first_trace..end.div_ceil(self.spans_per_trace);
        traces.map(move |trace| {
            let trace_start = trace * self.spans_per_trace;
            let start = trace_start.max(self.first_sequence);
            let span_count = (trace_start + self.spans_per_trace).min(end) - start;
            let first_span = start - trace_start;
            Slice { index: trace - first_trace, trace, first_span, span_count }
        })
    }

    /// Where span `number` of the slice at `index` stands in the request.
    pub(crate) fn position(self, index: u64, number: u64) -> u64 {
        // Only the first slice may begin within its trace, and only the last end within it.
        let head =
            (self.spans_per_trace - self.first_sequence % self.spans_per_trace).min(self.spans);
        let full = (self.spans - head) / self.spans_per_trace;
        let tail = self.spans - head - full * self.spans_per_trace;
        if !self.interleaved {
            let before = if index == 0 { 0 } else { head + (index - 1) * self.spans_per_trace };
            return before + number;
        }
        // Spans of earlier rounds, then those that come earlier in this round.
        let earlier_rounds = number.min(head) + number * full + number.min(tail);
        let this_round = if index == 0 { 0 } else { u64::from(number < head) + index - 1 };
        earlier_rounds + this_round
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::Layout;

    /// (trace, number within the trace) by position.
    fn spans(request: u64, per_request: u32, per_trace: u32, interleaved: bool) -> Vec<(u64, u64)> {
        let layout = Layout::new(request, per_request, per_trace, interleaved);
        let mut spans = BTreeMap::new();
        for slice in layout.slices() {
            for number in 0..slice.span_count {
                let position = layout.position(slice.index, number);
                assert!(spans.insert(position, (slice.trace, slice.first_span + number)).is_none());
            }
        }
        assert!(spans.keys().copied().eq(0..u64::from(per_request)), "every position has a span");
        spans.into_values().collect()
    }

    /// Requests of four, traces of three: a request may begin and end within a trace.
    #[test]
    fn traces_need_not_divide_requests() {
        assert_eq!(spans(0, 4, 3, false), [(0, 0), (0, 1), (0, 2), (1, 0)]);
        assert_eq!(spans(1, 4, 3, false), [(1, 1), (1, 2), (2, 0), (2, 1)]);
        assert_eq!(spans(2, 4, 3, false), [(2, 2), (3, 0), (3, 1), (3, 2)]);
        assert_eq!(spans(1, 4, 3, true), [(1, 1), (2, 0), (1, 2), (2, 1)]);
        assert_eq!(spans(2, 4, 3, true), [(2, 2), (3, 0), (3, 1), (3, 2)]);
    }

    /// Whatever the numbers, each span stands in one place, no round is left out, and the spans
    /// of a trace keep their order.
    #[test]
    fn every_span_has_one_place() {
        for per_request in [1, 2, 5, 7, 12] {
            for per_trace in [1, 2, 3, 5, 7, 8, 30] {
                for request in 0..9 {
                    let whole = spans(request, per_request, per_trace, false);
                    let mut interleaved = spans(request, per_request, per_trace, true);
                    assert!(whole.is_sorted());
                    for (trace, _) in &whole {
                        assert!(interleaved.iter().filter(|span| span.0 == *trace).is_sorted());
                    }
                    interleaved.sort_unstable();
                    assert_eq!(whole, interleaved);
                }
            }
        }
    }
}
