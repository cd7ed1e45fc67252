//! What a run found, as it is kept: the JSON of benches/record. Pure data.
//!
//! A record holds medians and spreads, never single rounds, and everything that a reader needs to
//! judge them. Nothing is computed from it but what is shown.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::stats::Figure;

/// One run of a plan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    pub(crate) plan: String,
    pub(crate) manifest: Manifest,
    pub(crate) rounds: usize,
    pub(crate) rows: Vec<Row>,
    pub(crate) idle: Option<Idle>,
    /// What could not be measured, and why: of these there is no row, or one of fewer rounds.
    pub(crate) failures: Vec<String>,
}

/// Where, when and with what.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    /// Of the day it began, UTC.
    pub(crate) date: String,
    pub(crate) commit: String,
    pub(crate) host_class: String,
    pub(crate) cpu: String,
    pub(crate) kernel: String,
    pub(crate) memory_gib: f64,
    /// Of the minute before, and of the minute after: foreign load shows in the first.
    pub(crate) load_average: [f64; 2],
    pub(crate) minutes: f64,
    /// What ran on which cores.
    pub(crate) placement: String,
    pub(crate) build: String,
    pub(crate) versions: BTreeMap<String, String>,
    pub(crate) settings: BTreeMap<String, String>,
}

/// One system under one load.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Row {
    pub(crate) case: String,
    pub(crate) load: String,
    pub(crate) system: String,
    /// Spans per second that were to be sent; without one, each round sent what was taken.
    pub(crate) offered: Option<f64>,
    /// Spans per second that were acknowledged, or that arrived at the backend.
    pub(crate) done: Figure,
    pub(crate) cpu_us: Figure,
    pub(crate) broker_cpu_us: Figure,
    /// Share of its core, or of all its cores, that the system kept busy.
    pub(crate) busy: Figure,
    pub(crate) memory_mib: Figure,
    /// Absent where nothing answers a client.
    pub(crate) reply: Option<Latency>,
    /// From the intended start of a span to its arrival at the backend.
    pub(crate) end_to_end: Option<Latency>,
    /// Spans of all rounds that were offered and not acknowledged.
    pub(crate) not_acknowledged: u64,
    /// Why latencies say nothing, round by round.
    pub(crate) void: Vec<String>,
    pub(crate) rounds: usize,
}

/// Percentiles in milliseconds, from the intended start.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Latency {
    pub(crate) p50: Figure,
    pub(crate) p99: Figure,
    pub(crate) p999: Figure,
}

/// What the pipeline costs while nothing happens.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct Idle {
    pub(crate) seconds: f64,
    pub(crate) cpu_ms_per_second: f64,
    pub(crate) wake_ups_per_second: f64,
    pub(crate) memory_mib: f64,
    pub(crate) connections: usize,
    pub(crate) kib_per_connection: f64,
}

impl Record {
    /// The name of its files without the ending.
    pub(crate) fn name(&self) -> String {
        let Manifest { date, host_class, .. } = &self.manifest;
        format!("{date}-{host_class}-{}", self.plan)
    }
}
