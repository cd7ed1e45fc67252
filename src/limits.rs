//! Every capacity and bound, each with the reason for its value.

/// What repeating Resources and scopes may add to a request, at the least, in bytes.
///
/// A request may grow by its own size when it is split; a small one may grow by this much, so that
/// 50 traces under one 10 KiB Resource still get a record each.
pub const SPLIT_HEADER_BUDGET_BYTES_MIN: usize = 1024 * 1024;

/// Scratch that a splitter keeps from one request to the next, in bytes.
///
/// About 30,000 spans of a trace each. A larger request is rare: what it needed is given back, so
/// that one of them does not hold memory in every worker for good.
pub const SPLIT_SCRATCH_BYTES_KEPT_MAX: usize = 4 * 1024 * 1024;

/// Scratch that a splitter may take per byte of a request, whatever the request holds.
///
/// An accepted span has at least 30 bytes, 34 in a ResourceSpans of its own, and costs at most
/// 320 bytes of tables just after they have doubled.
pub const SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX: usize = 12;

/// Slots of the trace table for the smallest request; a power of two.
pub const SPLIT_TABLE_SLOTS_MIN: usize = 64;

/// Bytes of request for which the trace table begins with one slot: about a span's size, so that
/// a request of one-span traces fits without growing the table.
pub const SPLIT_TABLE_BYTES_PER_SLOT: usize = 256;

/// How deep attribute values may nest: an array in an array is two levels.
///
/// Jaeger and the Collector decode values by unbounded recursion and die of stack overflow
/// (opentelemetry-collector issue 15301). No SDK emits more than a handful of levels.
pub const NESTING_DEPTH_MAX: usize = 64;

/// How deep groups may nest in an unknown field. OTLP has no groups: this only bounds the work of
/// skipping what a future or foreign field might hold.
pub const GROUP_DEPTH_MAX: usize = 64;

const _: () = assert!(SPLIT_TABLE_SLOTS_MIN.is_power_of_two());
