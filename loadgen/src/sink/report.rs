//! What a sink says at the end: what arrived, and how long it took to arrive. Pure but for
//! writing its file.

use std::io;
use std::path::Path;
use std::sync::atomic::Ordering;

use serde::Serialize;

use super::State;
use crate::arrivals::ArrivalTotals;
use crate::latency::Percentiles;
use crate::report::distribution::{self, Curves};
use crate::timeline::{SpansPerSecond, Timeline};

/// The report of `loadgen sink`.
#[derive(Debug, Serialize)]
#[serde(tag = "report", rename = "sink")]
pub(super) struct SinkReport {
    loadgen_version: &'static str,
    debug_build: bool,
    requests: u64,
    /// Those that the script made fail.
    failed_requests: u64,
    bytes: u64,
    /// Of every run that sent to this sink.
    spans: ArrivalTotals,
    /// Left out of latency.
    warm_up_spans: u64,
    /// From the intended start of a span to the arrival of its request, in microseconds.
    end_to_end_us: Option<Percentiles>,
    latency_curves: Curves,
    spans_per_second: SpansPerSecond,
}

impl SinkReport {
    pub(super) fn new(state: &State, timeline: &Timeline) -> Self {
        let kept = state.kept();
        let end_to_end = &kept.arrivals.end_to_end;
        Self {
            loadgen_version: env!("CARGO_PKG_VERSION"),
            debug_build: cfg!(debug_assertions),
            requests: state.requests.load(Ordering::Relaxed),
            failed_requests: state.failed_requests.load(Ordering::Relaxed),
            bytes: state.bytes.load(Ordering::Relaxed),
            spans: kept.arrivals.totals(),
            warm_up_spans: end_to_end.warm_up_spans(),
            end_to_end_us: end_to_end.percentiles(),
            latency_curves: distribution::curves(&[end_to_end.named()]),
            spans_per_second: [("arrived", timeline.clone())].into(),
        }
    }

    /// Writes the report as JSON, where that is asked for.
    pub(super) fn write(&self, path: Option<&Path>) -> io::Result<()> {
        let Some(path) = path else {
            return Ok(());
        };
        let mut document = serde_json::to_vec_pretty(self)?;
        document.push(b'\n');
        distribution::save(path, &document)
    }
}
