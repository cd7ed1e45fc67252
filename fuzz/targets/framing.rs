//! Walks any bytes and compares with prost reading the same top level.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otel_event_pipeline_fuzz::otlp::walk;
use prost::Message;

/// A request whose ResourceSpans stay closed.
#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(bytes = "vec", repeated, tag = "1")]
    resource_spans: Vec<Vec<u8>>,
}

fuzz_target!(|record: &[u8]| {
    let walked = walk(record);
    match Request::decode(record) {
        Ok(_) => assert!(walked.is_ok() || groups_too_deep(record)),
        Err(error) => assert!(walked.is_err(), "prost: {error}"),
    }
});

/// The one thing that is refused here and not by prost.
fn groups_too_deep(record: &[u8]) -> bool {
    walk(record).is_err_and(|malformed| malformed.what == "groups nested too deep")
}
