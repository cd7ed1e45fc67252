//! Spans on a clock of their own: a journey through the shop takes no time to tell.
//!
//! A journey began [`TOLD_AFTER`] ago and is told at once; whatever "takes time" in it moves its
//! clock. So one thread tells any number of journeys, each with latencies of its own.

use std::time::{Duration, SystemTime};

use opentelemetry::{
    Context, KeyValue,
    trace::{Link, SpanContext, SpanKind, Status, TraceContextExt, Tracer},
};
use opentelemetry_sdk::trace::SdkTracer;

/// Longer than the slowest journey, so that no span ends in the future.
const TOLD_AFTER: Duration = Duration::from_secs(8);

/// Why an operation failed.
#[derive(Clone, Debug)]
pub(crate) struct Failure {
    /// The exception's type, as the service's language would name it.
    kind: &'static str,
    message: &'static str,
    /// What HTTP servers on the way answer their callers.
    pub(crate) status_code: i64,
    /// Whether the span in which it happened has recorded it.
    recorded: bool,
}

impl Failure {
    /// A failure that no span has recorded yet.
    pub(crate) const fn new(kind: &'static str, message: &'static str, status_code: i64) -> Self {
        Self { kind, message, status_code, recorded: false }
    }
}

/// What a span is, apart from who its parent is and how long it takes.
pub(crate) struct Operation {
    pub(crate) name: &'static str,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Vec<KeyValue>,
    pub(crate) links: Vec<SpanContext>,
}

impl Operation {
    /// An operation without links.
    pub(crate) fn new<const N: usize>(
        name: &'static str,
        kind: SpanKind,
        attributes: [KeyValue; N],
    ) -> Self {
        Self { name, kind, attributes: attributes.into(), links: Vec::new() }
    }
}

/// The clock of one journey, and the chance in it.
pub(crate) struct Timeline<'c> {
    now: SystemTime,
    pub(crate) chance: &'c mut Chance,
}

impl<'c> Timeline<'c> {
    /// A journey that began a while ago.
    pub(crate) fn begin(chance: &'c mut Chance) -> Self {
        Self { now: SystemTime::now() - TOLD_AFTER, chance }
    }

    /// Lets time pass: about `typical_ms`, seldom many times that.
    pub(crate) fn pass(&mut self, typical_ms: f64) {
        let milliseconds = self.chance.latency_ms(typical_ms);
        self.now += Duration::from_secs_f64(milliseconds / 1e3);
    }

    /// Lets exactly this time pass, as a timeout does.
    pub(crate) fn wait(&mut self, time: Duration) {
        self.now += time;
    }

    /// Tells one operation, with everything that `body` tells inside it.
    ///
    /// A failure marks every span that it ends, and is recorded by the first.
    pub(crate) fn within<T>(
        &mut self,
        tracer: &SdkTracer,
        parent: &Context,
        operation: Operation,
        body: impl FnOnce(&mut Self, &Context) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        let links = operation.links.into_iter().map(Link::with_context).collect();
        let span = tracer
            .span_builder(operation.name)
            .with_kind(operation.kind)
            .with_attributes(operation.attributes)
            .with_links(links)
            .with_start_time(self.now)
            .start_with_context(tracer, parent);
        let context = parent.with_span(span);
        let mut outcome = body(self, &context);
        if let Err(failure) = &mut outcome {
            self.mark_failed(&context, failure);
        }
        context.span().end_with_timestamp(self.now);
        outcome
    }

    fn mark_failed(&self, context: &Context, failure: &mut Failure) {
        let span = context.span();
        let error_type = if failure.recorded {
            // Further out, all that is known is the status code that came back.
            failure.status_code.to_string()
        } else {
            let exception = vec![
                KeyValue::new("exception.type", failure.kind),
                KeyValue::new("exception.message", failure.message),
            ];
            span.add_event_with_timestamp("exception", self.now, exception);
            failure.recorded = true;
            failure.kind.to_owned()
        };
        span.set_attribute(KeyValue::new("error.type", error_type));
        span.set_status(Status::error(failure.message));
    }
}

/// Numbers that look random (SplitMix64): the same shop at every start.
pub(crate) struct Chance(u64);

impl Chance {
    /// The first number of the sequence is yet to come.
    pub(crate) fn new() -> Self {
        Self(0)
    }

    /// Whether something of this probability happens.
    pub(crate) fn happens(&mut self, probability: f64) -> bool {
        self.unit() < probability
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.bits() % end
    }

    /// Half to twice the typical time; one in fifty takes up to five times longer.
    fn latency_ms(&mut self, typical_ms: f64) -> f64 {
        let usual = typical_ms * (0.5 - 0.6 * (1.0 - self.unit()).ln().max(-2.5));
        if self.happens(0.02) { usual * (2.0 + 3.0 * self.unit()) } else { usual }
    }

    /// 0 up to, not including, 1.
    fn unit(&mut self) -> f64 {
        (self.bits() >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn bits(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        bits ^ (bits >> 31)
    }
}
