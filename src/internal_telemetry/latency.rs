//! How long each stage takes: one histogram set per recording thread, merged by the admin thread.
//!
//! A recorder's lock is its own and is contended only while the admin thread collects, once a
//! second: about ten nanoseconds per request, never per span.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hdrhistogram::Histogram;

use super::Registry;

/// What is timed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// First byte of a request to its reply.
    ReceiveToReply,
    /// Hand-over of a request to its worker taking it.
    QueueWait,
    /// Inflating, splitting and producing one request.
    Split,
    /// Last produce of a request to its last delivery report.
    KafkaAcknowledgement,
    /// Kafka timestamp of a record to its forwarding.
    RecordAge,
    /// One backend call.
    BackendCall,
}

/// All stages, in the order a span meets them.
pub const STAGES: [(Stage, &str); 6] = [
    (Stage::ReceiveToReply, "receive_to_reply"),
    (Stage::QueueWait, "queue_wait"),
    (Stage::Split, "split"),
    (Stage::KafkaAcknowledgement, "kafka_acknowledgement"),
    (Stage::RecordAge, "record_age"),
    (Stage::BackendCall, "backend_call"),
];

type StageHistograms = [Histogram<u64>; STAGES.len()];

/// The histograms of every recording thread.
pub struct Latency {
    recorders: Mutex<Vec<Recorder>>,
}

impl Latency {
    pub(super) fn new(_registry: &mut Registry) -> Self {
        Self { recorders: Mutex::new(Vec::new()) }
    }

    /// A recorder for the calling thread; threads do not share one.
    pub fn recorder(&self) -> Recorder {
        let recorder = Recorder { histograms: Arc::new(Mutex::new(empty())) };
        self.recorders.lock().unwrap_or_else(PoisonError::into_inner).push(recorder.clone());
        recorder
    }
}

/// Where one thread records.
#[derive(Clone)]
pub struct Recorder {
    histograms: Arc<Mutex<StageHistograms>>,
}

impl Recorder {
    /// Records one duration; longer than an hour counts as an hour.
    pub fn record(&self, stage: Stage, elapsed: Duration) {
        let mut histograms = self.histograms.lock().unwrap_or_else(PoisonError::into_inner);
        histograms[stage as usize].saturating_record(elapsed.as_nanos() as u64);
    }
}

/// Nanoseconds from 1 us to 1 h at two significant digits: 50 KiB per stage and thread.
fn empty() -> StageHistograms {
    std::array::from_fn(|_| {
        Histogram::new_with_bounds(1_000, 3_600_000_000_000, 2).expect("bounds are in order")
    })
}
