//! What the fuzz targets run: the pipeline's `otlp` module and its test oracle.
//!
//! The sources are included by path. Depending on the pipeline's package would build librdkafka
//! with sanitizers, which takes minutes and tests nothing here. `otlp` makes that possible by
//! importing nothing of its crate but `limits`.

#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/otlp/mod.rs"]
pub mod otlp;

#[path = "../../src/otlp/tests/oracle.rs"]
mod oracle;

use otlp::{RecordMode, SplitRules, Splitter};

/// Splits `request` in both modes, with large and small records; panics where prost disagrees.
pub fn compare_split_with_prost(request: &[u8]) {
    for mode in [RecordMode::Trace, RecordMode::Partition] {
        for record_bytes_max in [900 * 1024, 120] {
            let rules = SplitRules { mode, record_bytes_max, partition_count: 3 };
            oracle::check(&mut Splitter::new(), request, &rules);
        }
    }
}
