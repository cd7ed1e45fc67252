//! How long each stage takes: one histogram set per recording thread, merged by the admin thread.
//!
//! A recorder's lock is its own and is contended only while the admin thread takes the set away,
//! once a second, by exchanging two pointers: about ten nanoseconds per request, never per span.

use std::{
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use hdrhistogram::Histogram;

use super::{
    Registry,
    stage_seconds::StageSeconds,
    windows::{self, StageHistograms, Window, Windows},
};

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

impl Stage {
    /// All stages, in the order a span meets them.
    pub const ALL: [Self; 6] = [
        Self::ReceiveToReply,
        Self::QueueWait,
        Self::Split,
        Self::KafkaAcknowledgement,
        Self::RecordAge,
        Self::BackendCall,
    ];

    /// The name in metrics, reports and queries.
    pub fn name(self) -> &'static str {
        match self {
            Self::ReceiveToReply => "receive_to_reply",
            Self::QueueWait => "queue_wait",
            Self::Split => "split",
            Self::KafkaAcknowledgement => "kafka_acknowledgement",
            Self::RecordAge => "record_age",
            Self::BackendCall => "backend_call",
        }
    }

    /// What is timed, for people.
    pub fn about(self) -> &'static str {
        match self {
            Self::ReceiveToReply => "first byte of an export request to its reply",
            Self::QueueWait => "hand-over of a request to its publish worker taking it",
            Self::Split => "inflating, splitting and producing one request",
            Self::KafkaAcknowledgement => "last produce of a request to its last delivery report",
            Self::RecordAge => "Kafka timestamp of a record to its forwarding",
            Self::BackendCall => "one call of the backend",
        }
    }
}

/// The histograms of every recording thread, and what was merged from them.
pub struct Latency {
    shared: Arc<Shared>,
}

/// What the page and the metric read from.
pub(super) struct Shared {
    start: Instant,
    recorders: Mutex<Vec<Recorder>>,
    merged: Mutex<Merged>,
}

struct Merged {
    windows: Windows,
    /// Empty: goes to a recorder in exchange for its full set.
    spare: Box<StageHistograms>,
}

impl Latency {
    pub(super) fn new(registry: &mut Registry) -> Self {
        let shared = Arc::new(Shared {
            start: Instant::now(),
            recorders: Mutex::new(Vec::new()),
            merged: Mutex::new(Merged {
                windows: Windows::new(),
                spare: Box::new(windows::empty()),
            }),
        });
        StageSeconds::declare(registry, Arc::clone(&shared));
        Self { shared }
    }

    /// A recorder for the calling thread; threads do not share one.
    pub fn recorder(&self) -> Recorder {
        let recorder = Recorder::new();
        lock(&self.shared.recorders).push(recorder.clone());
        recorder
    }

    /// Takes over what was recorded since the last call. To be called once a second at least,
    /// else a window holds what is older than its name says.
    pub fn collect(&self) {
        self.shared.collect();
    }

    /// What one stage took in `window`, in nanoseconds, as of now.
    pub fn histogram(&self, stage: Stage, window: Window) -> Histogram<u64> {
        self.shared.collect();
        self.shared.histogram(stage, window)
    }
}

impl Shared {
    pub(super) fn collect(&self) {
        let second = self.start.elapsed().as_secs();
        let mut merged = lock(&self.merged);
        let Merged { windows, spare } = &mut *merged;
        for recorder in lock(&self.recorders).iter() {
            mem::swap(&mut *lock(&recorder.histograms), spare);
            windows.add(second, spare);
            windows::clear(spare);
        }
    }

    pub(super) fn histogram(&self, stage: Stage, window: Window) -> Histogram<u64> {
        let second = self.start.elapsed().as_secs();
        lock(&self.merged).windows.histogram(stage, window, second)
    }
}

/// Where one thread records.
#[derive(Clone)]
pub struct Recorder {
    histograms: Arc<Mutex<Box<StageHistograms>>>,
}

impl Recorder {
    /// One that nobody reads.
    pub(crate) fn new() -> Self {
        Self { histograms: Arc::new(Mutex::new(Box::new(windows::empty()))) }
    }

    /// Records one duration; longer than an hour counts as an hour.
    pub fn record(&self, stage: Stage, elapsed: Duration) {
        lock(&self.histograms)[stage as usize].saturating_record(elapsed.as_nanos() as u64);
    }
}

/// A poisoned lock is used as it is: counts are complete after every single write.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What several threads' recorders took is merged, nothing twice, nothing lost.
    #[test]
    fn recorders_are_merged_once() {
        let latency = Latency::new(&mut Registry::new());
        let recorders = [latency.recorder(), latency.recorder()];
        for round in 1..=3 {
            for recorder in &recorders {
                recorder.record(Stage::Split, Duration::from_micros(50));
            }
            latency.collect();
            let histogram = latency.histogram(Stage::Split, Window::SinceStart);
            assert_eq!(histogram.len(), 2 * round);
        }
    }

    /// Percentiles are within the histogram's precision of what was recorded.
    #[test]
    fn percentiles_are_precise() {
        let latency = Latency::new(&mut Registry::new());
        let recorder = latency.recorder();
        for milliseconds in 1..=1_000 {
            recorder.record(Stage::ReceiveToReply, Duration::from_millis(milliseconds));
        }
        let histogram = latency.histogram(Stage::ReceiveToReply, Window::SinceStart);
        for (quantile, milliseconds) in [(0.5, 500.0), (0.9, 900.0), (0.99, 990.0), (1.0, 1_000.0)]
        {
            let measured = histogram.value_at_quantile(quantile) as f64 / 1e6;
            assert!((measured / milliseconds - 1.0).abs() < 0.01, "{quantile}: {measured} ms");
        }
    }

    /// A duration beyond the histogram's range is kept at its end instead of being dropped.
    #[test]
    fn durations_saturate() {
        let latency = Latency::new(&mut Registry::new());
        latency.recorder().record(Stage::RecordAge, Duration::from_secs(90_000));
        assert_eq!(latency.histogram(Stage::RecordAge, Window::SinceStart).len(), 1);
    }
}
