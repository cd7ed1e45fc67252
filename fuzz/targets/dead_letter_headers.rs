//! Reads any record of the dead-letter topic as the `dlq` task does, and judges what people see.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otel_event_pipeline_fuzz::check_dead_letter;

fuzz_target!(|record: &[u8]| check_dead_letter(record));
