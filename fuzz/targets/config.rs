//! Loads any settings and holds the configuration, or its refusal, against what is promised of it.

#![no_main]

use libfuzzer_sys::fuzz_target;
use otel_event_pipeline_fuzz::check_settings;

fuzz_target!(|given: &[u8]| check_settings(given));
