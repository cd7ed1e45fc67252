//! Criterion benchmarks of the pure modules: what a span costs on its way in, a record on its way
//! out. `cargo bench --bench micro` measures, `-- --test` only runs each once.
//!
//! Every benchmark asserts its result before it is measured. Private modules are compiled in by
//! path, so that no part of the library is public for a benchmark's sake; like the fuzz targets,
//! this works because they import little of their crate.

mod partitioner_bench;
mod requests;

use criterion::{criterion_group, criterion_main};
use otel_event_pipeline::{kafka, limits};

/// `src/otlp` with its steps in sight.
#[path = "../../src/otlp"]
#[expect(dead_code, unreachable_pub, reason = "what no benchmark calls, the library does")]
mod otlp {
    mod group;
    mod nesting;
    mod plan;
    mod reject;
    mod scan;
    mod schema;
    mod size;
    mod span;
    mod split;
    mod trace_id;
    mod wire;
    mod write;

    pub(crate) mod framing;
    #[path = "../../benches/micro/split_bench.rs"]
    pub(crate) mod split_bench;

    pub(crate) use trace_id::TraceId;
}

/// The pure half of `src/forward`.
#[path = "../../src/forward"]
#[expect(dead_code, reason = "the library uses what no benchmark calls")]
#[cfg_attr(test, expect(unused_imports, reason = "the tests of these files are not built here"))]
mod forward {
    pub(crate) mod batch;
    #[path = "../../benches/micro/forward_bench.rs"]
    pub(crate) mod bench;
    pub(crate) mod offsets;
}

criterion_group!(
    benches,
    otlp::split_bench::scan,
    otlp::split_bench::group,
    otlp::split_bench::split,
    partitioner_bench::partitioner,
    forward::bench::offsets,
    forward::bench::concatenation,
);
criterion_main!(benches);
