//! What one test plays in: the shared Kafka and Jaeger, and names that no other test uses.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
    thread,
    time::Duration,
};

use super::{
    jaeger::{Jaeger, JaegerOptions},
    kafka::{Kafka, KafkaOptions},
    otlp::hex,
    pipeline::{self, Pipeline},
    placed_span::{self, Spans},
    process::Process,
    wait,
};

/// One broker for every test that does not harm it. Starting it takes longer than most tests.
static KAFKA: OnceLock<Kafka> = OnceLock::new();
/// One Jaeger for every test, with gRPC's default limit of 4 MiB as users run it.
static JAEGER: OnceLock<Jaeger> = OnceLock::new();

/// The real parts and the names of one test. A test that fails shows their logs.
pub(crate) struct Scene {
    pub(crate) topic: String,
    pub(crate) group: String,
    /// A service name, so that the test finds its own spans in Jaeger.
    pub(crate) service: String,
}

impl Scene {
    /// Names for a test; the shared parts start when the first test asks for them.
    pub(crate) fn new(test: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self {
            topic: format!("{test}-{number}.traces"),
            group: format!("{test}-{number}-group"),
            service: format!("{test}-{number}"),
        }
    }

    /// The shared broker.
    pub(crate) fn kafka(&self) -> &'static Kafka {
        KAFKA.get_or_init(|| Kafka::start(KafkaOptions::nodes(1)))
    }

    /// The shared Jaeger.
    pub(crate) fn jaeger(&self) -> &'static Jaeger {
        JAEGER.get_or_init(|| Jaeger::start(JaegerOptions { max_recv_msg_size_mib: None }))
    }

    /// A pipeline between the shared parts; `settings` come last and win.
    pub(crate) fn pipeline(&self, settings: &[(&str, &str)]) -> Pipeline {
        self.pipeline_on(self.kafka(), settings)
    }

    /// The same on a broker of the test's own.
    pub(crate) fn pipeline_on(&self, kafka: &Kafka, settings: &[(&str, &str)]) -> Pipeline {
        let brokers = kafka.brokers();
        let backend = self.jaeger().otlp_endpoint();
        let mut all = vec![
            ("KAFKA_BROKERS", brokers.as_str()),
            ("KAFKA_TOPIC", self.topic.as_str()),
            ("KAFKA_CONSUMER_GROUP", self.group.as_str()),
            ("JAEGER_ENDPOINT", backend.as_str()),
        ];
        all.extend(settings);
        Pipeline::start(BINARY, &all)
    }

    /// Starts the workspace's test-app: so many traces to `endpoint`, five a second, then its end.
    pub(crate) fn test_app(&self, endpoint: &str, trace_count: u32) -> Process {
        let settings = [
            ("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint),
            ("TEST_APP_INTERVAL", "200ms"),
            ("TEST_APP_TRACES", &trace_count.to_string()),
        ];
        pipeline::start_sibling(BINARY, "test-app", &settings)
    }

    /// What the test's topic holds of the acknowledged traces.
    pub(crate) fn acknowledged_spans(&self, kafka: &Kafka, acknowledged: &[[u8; 16]]) -> Spans {
        let acknowledged: BTreeSet<&[u8]> = acknowledged.iter().map(|id| id.as_slice()).collect();
        let records = kafka.read_topic(&self.topic);
        let mut spans = placed_span::decode(records.iter().map(|record| record.value.as_slice()));
        spans.retain(|(trace_id, _), _| acknowledged.contains(trace_id.as_slice()));
        spans
    }

    /// Waits until Jaeger lists a service.
    pub(crate) fn await_service(&self, name: &str) {
        wait::wait_for("the service's name", DELIVERED_WITHIN, || {
            self.jaeger().services().iter().any(|service| service == name).then_some(())
        });
    }

    /// Waits until Jaeger holds as many spans of each trace as were sent, and returns them all.
    pub(crate) fn await_in_jaeger(&self, sent: &Spans) -> Spans {
        let mut missing: BTreeMap<&[u8], usize> = BTreeMap::new();
        for (trace_id, _) in sent.keys() {
            *missing.entry(trace_id).or_default() += 1;
        }
        let mut held = Spans::new();
        let complete = wait::poll(DELIVERED_WITHIN, || {
            missing.retain(|trace_id, span_count| {
                let Some(data) = self.jaeger().trace(&hex(trace_id)) else { return true };
                let mut spans = Spans::new();
                placed_span::collect(data.resource_spans, &mut spans);
                let incomplete = spans.len() < *span_count;
                held.append(&mut spans);
                incomplete
            });
            missing.is_empty().then_some(())
        });
        if complete.is_none() {
            let (count, first) = (missing.len(), missing.keys().next().map(|id| hex(id)));
            panic!("after {DELIVERED_WITHIN:?} Jaeger lacks {count} traces, one is {first:?}");
        }
        held
    }
}

impl Drop for Scene {
    #[expect(clippy::print_stderr, reason = "the harness shows it beneath the failed test")]
    fn drop(&mut self) {
        if thread::panicking() {
            let kafka = KAFKA.get().map(Kafka::log_tail).unwrap_or_default();
            let jaeger = JAEGER.get().map(Jaeger::log_tail).unwrap_or_default();
            eprintln!("{kafka}{jaeger}");
        }
    }
}

/// The pipeline under test, built by cargo in the same profile as this binary.
const BINARY: &str = env!("CARGO_BIN_EXE_otel-event-pipeline");
/// From gRPC OK to Jaeger, a rebalance and a busy machine included.
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
