//! Sizes: records that are cut, headers that are budgeted, memory that is bounded.

use super::encode::{FieldOrder, Message};
use super::model::{bare_span, trace};
use crate::limits::{
    SPLIT_HEADER_BUDGET_BYTES_MIN, SPLIT_SCRATCH_BYTES_KEPT_MAX,
    SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX, SPLIT_SPANS_MAX,
};
use crate::otlp::{RecordMode, RejectReason, SplitError, SplitRules, Splitter, TraceId};

const RULES: SplitRules =
    SplitRules { mode: RecordMode::Trace, record_bytes_max: 900 * 1024, partition_count: 4 };

fn place(trace: &TraceId) -> u32 {
    u32::from(trace.0[15]) % RULES.partition_count
}

/// A trace id for tests, by a number that may be large.
fn wide_trace(number: u32) -> TraceId {
    TraceId([(number + 1).to_be_bytes(); 4].concat().try_into().unwrap())
}

/// A request of one Resource, whose header takes `header_bytes`, with one span per trace.
fn request_of_traces(trace_count: u32, header_bytes: usize) -> Vec<u8> {
    let spans = (0..trace_count).map(|number| bare_span(wide_trace(number), 1));
    let scope_spans = Message::new().messages(2, spans);
    let resource_spans = Message::new().bytes(3, vec![b'u'; header_bytes]).message(2, scope_spans);
    Message::new().message(1, resource_spans).encode(FieldOrder::Ascending)
}

/// A trace over the record limit is cut between spans: same key, headers in every piece, each
/// piece within the limit and none that could have taken the span after it.
#[test]
fn long_trace_is_cut_between_spans() {
    let span = |id: u64| bare_span(trace(1), id).bytes(5, "n".repeat(50));
    let block = |first: u64, last: u64| {
        let scope_spans = Message::new().message(1, Message::new().bytes(1, "scope"));
        let scope_spans = scope_spans.messages(2, (first..=last).map(span));
        (first <= last).then(|| Message::new().message(2, scope_spans).bytes(3, "schema"))
    };
    // Spans 1 to 5 lie in one ResourceSpans, 6 to 10 in another.
    let request_of = |first: u64, last: u64| {
        let blocks = [block(first, last.min(5)), block(first.max(6), last)];
        Message::new().messages(1, blocks.into_iter().flatten()).encode(FieldOrder::Descending)
    };
    let request = request_of(1, 10);
    let mut splitter = Splitter::new();
    for spans_per_record in 1..10 {
        let record_bytes_max = request_of(1, spans_per_record).len();
        let rules = SplitRules { record_bytes_max, ..RULES };
        let outcome = splitter.split(&request, &rules, place).unwrap();
        assert_eq!((outcome.span_count, outcome.rejected.total()), (10, 0));
        let mut first = 1;
        for record in splitter.records() {
            assert_eq!(record.key, Some(trace(1)));
            let last = first + u64::from(record.span_count) - 1;
            let bytes = splitter.write(&request, record, &mut Vec::new()).len();
            assert_eq!(bytes, request_of(first, last).len());
            assert!(bytes <= record_bytes_max);
            assert!(last == 10 || request_of(first, last + 1).len() > record_bytes_max);
            first = last + 1;
        }
        assert_eq!(first, 11);
    }
}

/// A span that exceeds a record with its headers is rejected alone; its neighbours are not.
#[test]
fn span_over_the_record_limit_is_rejected() {
    let span = |id: u64, name_len: usize| bare_span(trace(1), id).bytes(5, vec![b'n'; name_len]);
    let request_of = |spans: Vec<Message>| {
        let resource_spans =
            Message::new().bytes(3, "schema").message(2, Message::new().messages(2, spans));
        Message::new().message(1, resource_spans).encode(FieldOrder::Descending)
    };
    let fitting = request_of(vec![span(1, 300)]);
    let rules = SplitRules { record_bytes_max: fitting.len(), ..RULES };
    let request = request_of(vec![span(2, 301), span(1, 300), span(3, 900)]);
    let mut splitter = Splitter::new();
    let outcome = splitter.split(&request, &rules, place).unwrap();
    assert_eq!(outcome.span_count, 1);
    assert_eq!(outcome.rejected.count(RejectReason::SpanTooLarge), 2);
    let [record] = splitter.records() else { panic!("{:?}", splitter.records()) };
    assert_eq!(splitter.write(&request, record, &mut Vec::new()), fitting);
}

/// Headers may be repeated up to the budget; beyond it records are per partition, without a key;
/// if even that exceeds the budget, the request is refused and leaves no record.
#[test]
fn repeated_headers_are_budgeted() {
    let mut splitter = Splitter::new();
    let mut split = |request: &[u8], rules: &SplitRules| {
        let outcome = splitter.split(request, rules, |trace| place(trace) % rules.partition_count);
        let keyed = splitter.records().iter().filter(|record| record.key.is_some()).count();
        let bytes: usize = splitter.records().iter().map(|record| record.bytes_len).sum();
        (outcome.map(|outcome| outcome.fell_back), splitter.records().len(), keyed, bytes)
    };
    let header_bytes = 20_000;
    let within = request_of_traces(50, header_bytes);
    let (fell_back, records, keyed, _) = split(&within, &RULES);
    assert_eq!((fell_back, records, keyed), (Ok(false), 50, 50));

    let beyond = request_of_traces(60, header_bytes);
    let (fell_back, records, keyed, bytes) = split(&beyond, &RULES);
    assert_eq!((fell_back, records, keyed), (Ok(true), 4, 0));
    assert!(bytes <= beyond.len() + SPLIT_HEADER_BUDGET_BYTES_MIN);

    let header_bytes = 800_000;
    let refused = request_of_traces(8, header_bytes);
    let (error, records, ..) = split(&refused, &RULES);
    assert_eq!((error, records), (Err(SplitError::HeadersTooLarge), 0));
    let (fell_back, records, ..) = split(&refused, &SplitRules { partition_count: 1, ..RULES });
    assert_eq!((fell_back, records), (Ok(true), 1));
}

/// As many spans as a request may hold are split, one more is refused and leaves no record.
#[test]
fn span_count_is_bounded() {
    let spans_max = SPLIT_SPANS_MAX as u64;
    let request = |span_count| {
        let spans = (0..span_count).map(|id| bare_span(trace(1), id + 1));
        let scope_spans = Message::new().messages(2, spans);
        let resource_spans = Message::new().message(2, scope_spans);
        Message::new().message(1, resource_spans).encode(FieldOrder::Ascending)
    };
    let rules = SplitRules { record_bytes_max: usize::MAX, ..RULES };
    let mut splitter = Splitter::new();
    let outcome = splitter.split(&request(spans_max), &rules, place).unwrap();
    assert_eq!(outcome.span_count, spans_max);
    let refused = splitter.split(&request(spans_max + 1), &rules, place);
    assert_eq!(refused, Err(SplitError::TooManySpans));
    assert!(splitter.records().is_empty());
}

/// Requests built to fill the tables take no more memory than the stated multiple of their size,
/// and what a large one took is given back with the next.
#[test]
fn memory_is_bounded_and_given_back() {
    let span = |number: u32| bare_span(wide_trace(number), 1);
    let mut dense = request_of_traces(60_000, 0);
    let alone = |number| Message::new().message(2, Message::new().message(2, span(number)));
    let blocks = Message::new().messages(1, (0..60_000).map(alone));
    // Rejected spans of two bytes, each between header fields of two bytes.
    let pieces = [0x12, 0x00, 0x20, 0x00].repeat(200_000);
    let headers = Message::new().message(1, Message::new().bytes(2, &pieces));
    let [blocks, headers] = [blocks, headers].map(|it| it.encode(FieldOrder::Ascending));
    // One record over its limit, so that the plan has to cut too.
    dense.extend(request_of_traces(1, 0));
    for mode in [RecordMode::Trace, RecordMode::Partition] {
        for request in [&dense, &blocks, &headers] {
            let mut splitter = Splitter::new();
            splitter.split(request, &SplitRules { mode, ..RULES }, place).unwrap();
            let bytes_max = request.len() * SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX;
            assert!(splitter.scratch_bytes() <= bytes_max, "{}", splitter.scratch_bytes());
            splitter.split(&[], &RULES, place).unwrap();
            assert!(splitter.scratch_bytes() <= SPLIT_SCRATCH_BYTES_KEPT_MAX);
        }
    }
}

/// Tables grow to the requests that come, and then no more.
#[test]
fn steady_state_keeps_its_tables() {
    let requests = [request_of_traces(500, 100), request_of_traces(3, 10)];
    let mut splitter = Splitter::new();
    let round = |splitter: &mut Splitter| {
        for request in &requests {
            splitter.split(request, &RULES, place).unwrap();
        }
        splitter.scratch_bytes()
    };
    let grown = round(&mut splitter);
    for _ in 0..3 {
        assert_eq!(round(&mut splitter), grown);
    }
}
