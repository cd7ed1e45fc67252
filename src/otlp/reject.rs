//! Why a span is left out, and how many were: what `partial_success` and the metrics say.
//!
//! One bad span in a record would make Jaeger refuse the record, or worse, so it is taken out here,
//! where its sender can still be told (OTLP specification, "Partial Success").

/// Why a span is rejected. A closed set: each is a metric label.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectReason {
    /// The trace id is not 16 bytes, or all zero.
    TraceId,
    /// The span id is not 8 bytes, or all zero.
    SpanId,
    /// The parent's span id is neither absent nor 8 bytes.
    ParentSpanId,
    /// A link's trace id or span id has a wrong length.
    LinkId,
    /// An attribute of the span, of an event or of a link nests too deep.
    Nesting,
    /// An attribute of the span's Resource nests too deep.
    ResourceNesting,
    /// An attribute of the span's scope nests too deep.
    ScopeNesting,
    /// With its Resource and scope the span exceeds a record.
    SpanTooLarge,
}

impl RejectReason {
    /// Every reason, in the order of declaration.
    pub const ALL: [Self; 8] = [
        Self::TraceId,
        Self::SpanId,
        Self::ParentSpanId,
        Self::LinkId,
        Self::Nesting,
        Self::ResourceNesting,
        Self::ScopeNesting,
        Self::SpanTooLarge,
    ];

    /// The reason as a metric label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id",
            Self::SpanId => "span_id",
            Self::ParentSpanId => "parent_span_id",
            Self::LinkId => "link_id",
            Self::Nesting => "nesting",
            Self::ResourceNesting => "resource_nesting",
            Self::ScopeNesting => "scope_nesting",
            Self::SpanTooLarge => "span_too_large",
        }
    }

    /// The reason as a sentence for the span's sender.
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::TraceId => "trace_id must be 16 bytes and not all zero",
            Self::SpanId => "span_id must be 8 bytes and not all zero",
            Self::ParentSpanId => "parent_span_id must be 8 bytes or absent",
            Self::LinkId => "a link's trace_id must be 16 bytes and its span_id 8",
            Self::Nesting => "an attribute of a span, event or link nests over 88 messages deep",
            Self::ResourceNesting => "an attribute of a Resource nests over 88 messages deep",
            Self::ScopeNesting => "an attribute of a scope nests over 88 messages deep",
            Self::SpanTooLarge => "a span with its Resource and scope exceeds the record limit",
        }
    }
}

/// How many spans of a request were rejected, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Rejections {
    counts: [u64; RejectReason::ALL.len()],
    first: Option<RejectReason>,
}

impl Rejections {
    /// Spans rejected for any reason.
    pub fn total(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// Spans rejected for `reason`.
    pub fn count(&self, reason: RejectReason) -> u64 {
        self.counts[reason as usize]
    }

    /// The reason met first, for the message to the sender; `None` if no span was rejected.
    pub fn first(&self) -> Option<RejectReason> {
        self.first
    }

    pub(super) fn add(&mut self, reason: RejectReason, span_count: usize) {
        if span_count > 0 {
            self.counts[reason as usize] += span_count as u64;
            self.first = self.first.or(Some(reason));
        }
    }
}

const _: () = assert!(crate::limits::NESTING_MESSAGES_MAX == 88, "the sentences name the depth");
