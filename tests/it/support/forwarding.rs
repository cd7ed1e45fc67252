//! The forward half as a library, between a mock cluster and a scripted backend.

use std::{
    cell::RefCell,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use opentelemetry_proto::tonic::{
    collector::trace::v1::ExportTraceServiceRequest,
    trace::v1::{ResourceSpans, ScopeSpans, Span},
};
use otel_event_pipeline::{
    config::Config, forward::ForwardHalf, health::Health, internal_telemetry::Telemetry,
    threads::Threads,
};
use prost::Message;

use super::{backend::Backend, mock_kafka::MockKafka, settings};

/// The topic that is forwarded.
pub(crate) const TOPIC: &str = "otel.traces";
/// Where its dead letters go.
pub(crate) const DEAD_LETTER_TOPIC: &str = "otel.traces.dlq";
/// The group that forwards it.
pub(crate) const GROUP: &str = "jaeger";
/// Partitions of either.
pub(crate) const PARTITIONS: i32 = 4;

/// A forward half on its threads; [`Running::stop`] ends it in order.
pub(crate) struct Running {
    pub(crate) telemetry: Arc<Telemetry>,
    health: Health,
    stop: Arc<AtomicBool>,
    threads: RefCell<Threads>,
}

impl Running {
    /// Starts it with as many forward threads.
    pub(crate) fn start(config: &Config, threads: usize) -> Self {
        let telemetry = Arc::new(Telemetry::new());
        let health = Health::new();
        let half = ForwardHalf::prepare(config, threads, &telemetry, &health).unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut threads = Threads::new();
        for (index, forward) in half.loops.into_iter().enumerate() {
            let stop = Arc::clone(&stop);
            let body = move || forward.run(&stop).unwrap();
            threads.spawn(format!("forward-{index}"), None, body).unwrap();
        }
        threads.spawn("send".to_owned(), None, || half.backend.run()).unwrap();
        Self { telemetry, health, stop, threads: RefCell::new(threads) }
    }

    /// Ends it, and fails if a thread did not end well.
    pub(crate) fn stop(&self) {
        self.stop.store(true, Ordering::Relaxed);
        let late = self.threads.borrow_mut().join("", Instant::now() + Duration::from_secs(20));
        assert_eq!(late, Vec::<String>::new());
        assert!(self.threads.borrow().failures().is_empty(), "a thread panicked");
    }

    /// A condition as an operator reads it.
    pub(crate) fn condition(&self, name: &str) -> String {
        let described = self.health.conditions().into_iter().map(|it| it.describe());
        described.into_iter().find(|it| it.starts_with(name)).unwrap()
    }

    /// Checks the counts by outcome, and that they add up to what was consumed.
    pub(crate) fn reconciles(&self, outcomes: &[(&str, u64)]) {
        let metrics = &self.telemetry.forward;
        for outcome in ["forwarded", "divided", "dead_lettered", "tombstone", "returned"] {
            let expected = outcomes.iter().find(|(name, _)| *name == outcome);
            let counted = metrics.records.with_label_values(&[outcome]).get();
            assert_eq!(counted, expected.map_or(0, |(_, count)| *count), "{outcome}");
        }
        let all: u64 = outcomes.iter().map(|(_, count)| count).sum();
        assert_eq!((metrics.records_consumed.get(), metrics.records_pending.get()), (all, 0));
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        self.threads.borrow_mut().join("", Instant::now() + Duration::from_secs(20));
    }
}

/// A request with one span of this name.
pub(crate) fn record(span: &str) -> Vec<u8> {
    let span = Span { name: span.to_owned(), ..Span::default() };
    let scope = ScopeSpans { spans: vec![span], ..ScopeSpans::default() };
    let resource = ResourceSpans { scope_spans: vec![scope], ..ResourceSpans::default() };
    ExportTraceServiceRequest { resource_spans: vec![resource] }.encode_to_vec()
}

/// Settings of a test for this cluster and this backend.
pub(crate) fn config(kafka: &MockKafka, backend: &Backend) -> Config {
    let mut config = settings::config(&kafka.brokers(), &backend.endpoint());
    config.kafka.topic.name = TOPIC.to_owned();
    config.forward.group = GROUP.to_owned();
    config.forward.dead_letter_topic = DEAD_LETTER_TOPIC.to_owned();
    config
}
