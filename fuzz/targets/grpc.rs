//! Reads any gRPC message, compressed or not, or HTTP/2 frames, cut anyhow, and compares with a
//! plain reading of the whole.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otel_event_pipeline_fuzz::check_grpc;

fuzz_target!(|input: &[u8]| check_grpc(input));
