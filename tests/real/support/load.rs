//! Steady traffic that remembers what was acknowledged.
//!
//! loadgen measures; this proves. Each connection sends a trace, waits for its answer, and writes
//! down the traces answered with OK: those, and only those, must never be missing later.

use std::{
    panic::resume_unwind,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use super::otlp::{self, Client};

/// Spans of each trace.
pub(crate) const SPANS_PER_TRACE: u64 = 10;
/// Rest between an answer and the next request: a few hundred traces per second and connection,
/// so that a busy machine's Jaeger keeps up.
const REST: Duration = Duration::from_millis(4);

/// Running traffic; it ends when finished or dropped.
pub(crate) struct Load {
    ledger: Arc<Ledger>,
    threads: Vec<JoinHandle<()>>,
}

#[derive(Default)]
struct Ledger {
    acknowledged: Mutex<Vec<[u8; 16]>>,
    refused: AtomicUsize,
    stop: AtomicBool,
}

impl Load {
    /// Starts sending to `endpoint` as service `service`.
    #[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the tested process")]
    pub(crate) fn start(endpoint: &str, service: &str, connection_count: usize) -> Self {
        let ledger = Arc::new(Ledger::default());
        let connection = |_| {
            let (ledger, endpoint) = (ledger.clone(), endpoint.to_owned());
            let service = service.to_owned();
            thread::spawn(move || ledger.keep_sending(&endpoint, &service))
        };
        let threads = (0..connection_count).map(connection).collect();
        Self { ledger, threads }
    }

    /// Traces acknowledged so far.
    pub(crate) fn acknowledged_count(&self) -> usize {
        self.ledger.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    /// Requests answered with an error so far.
    pub(crate) fn refused_count(&self) -> usize {
        self.ledger.refused.load(Ordering::Relaxed)
    }

    /// Stops, and returns the id of every acknowledged trace.
    pub(crate) fn finish(mut self) -> Vec<[u8; 16]> {
        self.join();
        std::mem::take(&mut self.ledger.acknowledged.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn join(&mut self) {
        self.ledger.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // Its assertion is the test's own, unless another has failed already.
            if let Err(panic) = thread.join()
                && !thread::panicking()
            {
                resume_unwind(panic);
            }
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.join();
    }
}

impl Ledger {
    fn keep_sending(&self, endpoint: &str, service: &str) {
        let mut client = Client::new(endpoint);
        while !self.stop.load(Ordering::Relaxed) {
            let trace_id = otlp::unique_trace_id();
            let spans = otlp::trace(trace_id, SPANS_PER_TRACE, 64);
            match client.export(&otlp::request(service, spans)) {
                Ok(answer) => {
                    assert_eq!(answer.partial_success, None, "every span sent here is good");
                    self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).push(trace_id);
                }
                Err(_refused) => {
                    self.refused.fetch_add(1, Ordering::Relaxed);
                }
            }
            thread::sleep(REST);
        }
    }
}
