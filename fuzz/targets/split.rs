//! Splits any bytes and compares the records with what prost reads in the request.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otel_event_pipeline_fuzz::compare_split_with_prost;

fuzz_target!(|request: &[u8]| compare_split_with_prost(request));
