//! What the fuzz targets run: the parts of the pipeline that read what others wrote, and the
//! oracles of their tests.
//!
//! The sources are included by path. Depending on the pipeline's package would build librdkafka
//! with sanitizers, which takes minutes and tests nothing here. What is included imports nothing of
//! its crate but what is included too. Runs on the thread of the fuzzing engine, and must touch
//! neither the network nor the disk: a run has to repeat itself.

// The command line, which imports some of it, is not included.
#[allow(unused_imports)]
#[path = "../../src/config/mod.rs"]
pub mod config;
#[path = "../../src/limits.rs"]
pub mod limits;
#[path = "../../src/otlp/mod.rs"]
pub mod otlp;

/// What of `dlq` asks no broker.
#[path = "../../src/dlq"]
pub mod dlq {
    mod list;
    #[path = "tests/oracle.rs"]
    pub(crate) mod oracle;
    mod selection;
    mod show;
    mod timestamp;

    pub use selection::{DlqTask, Selection};
    pub use timestamp::Timestamp;
}

/// What of `kafka` needs no librdkafka.
#[path = "../../src/kafka"]
pub mod kafka {
    mod dead_letter_record;
    mod position;

    pub use dead_letter_record::{Found, Letter, LetterId, Origin};
    pub use position::{NextOffset, PartitionId};
}

/// What of `receive` knows no runtime.
#[cfg(not(loom))]
#[allow(dead_code)] // The runtimes' side of it is not included.
#[path = "../../src/receive"]
pub mod receive {
    mod frames;
    mod message;
    #[path = "tests/oracle.rs"]
    pub(crate) mod oracle;
}

/// What of `publish` knows neither requests nor Kafka. Under loom its budgets are loom's, which are
/// for the models alone.
#[cfg(not(loom))]
#[allow(dead_code)] // Nor is the worker.
#[path = "../../src/publish"]
pub mod publish {
    mod budget;
    mod inflate;
    pub(crate) mod oracle;

    pub use budget::{Budget, Charge, Shortage};
    pub use inflate::Encoding;
}

#[path = "../../src/otlp/tests/oracle.rs"]
mod oracle;
#[path = "../../src/config/tests/oracle.rs"]
mod settings_oracle;

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

/// Reads `input` as a client's bytes; panics where a promise is broken.
pub fn check_grpc(input: &[u8]) {
    #[cfg(not(loom))]
    receive::oracle::check(input);
    #[cfg(loom)]
    let _ = input;
}

/// Loads the settings that `given` holds; panics where a promise is broken.
pub fn check_settings(given: &[u8]) {
    settings_oracle::check(given);
}

/// Reads `record` as one of the dead-letter topic; panics where a promise is broken.
pub fn check_dead_letter(record: &[u8]) {
    dlq::oracle::check(record);
}
