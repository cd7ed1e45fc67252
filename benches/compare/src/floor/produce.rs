//! Bare librdkafka, producing: alone, or behind bare tonic.
//!
//! Records have the number and the sizes that the pipeline makes of the same requests, but nothing
//! is looked at: a request is cut at even lengths, and keys are counted up.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig, ClientContext,
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseRecord, DeliveryResult, Producer, ProducerContext, ThreadedProducer},
};
use tokio::sync::oneshot;

use super::count::Count;

/// What is produced, and where.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    pub(crate) brokers: String,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long, default_value_t = 8)]
    pub(crate) partitions: u64,
    /// Records that a request becomes
    #[arg(long, default_value_t = 1)]
    pub(crate) records_per_request: usize,
    /// Bytes of each
    #[arg(long)]
    pub(crate) record_bytes: usize,
}

/// Cuts requests into records and says when Kafka has them.
#[derive(Clone)]
pub(crate) struct Publisher {
    producer: Arc<ThreadedProducer<Deliveries>>,
    options: Arc<Options>,
    key: Arc<AtomicU64>,
}

/// A request whose records are on their way; dropped without a word when one of them failed.
struct Pending {
    records_left: AtomicUsize,
    done: Mutex<Option<oneshot::Sender<()>>>,
}

impl Publisher {
    pub(crate) fn new(options: Options) -> Result<Self, KafkaError> {
        let producer = settings(&options.brokers).create_with_context(Deliveries::default())?;
        Ok(Self { producer: Arc::new(producer), options: Arc::new(options), key: Arc::default() })
    }

    /// Produces the records of `request`; the receiver fails if one of them does.
    pub(crate) fn publish(&self, request: &[u8]) -> oneshot::Receiver<()> {
        let (done, acknowledged) = oneshot::channel();
        let Options { records_per_request: records, record_bytes, .. } = *self.options;
        let pending = Arc::new(Pending {
            records_left: AtomicUsize::new(records),
            done: Mutex::new(Some(done)),
        });
        // A Resource is in a request once and in every record: records overlap a little.
        let length = record_bytes.min(request.len());
        for index in 0..records {
            let start = (request.len() - length) * index / records.saturating_sub(1).max(1);
            let piece = &request[start..start + length];
            let number = self.key.fetch_add(1, Ordering::Relaxed);
            let sent = self.send(number, piece, Some(pending.clone()));
            if sent.is_err() {
                pending.fail();
            }
        }
        acknowledged
    }

    fn send(&self, number: u64, value: &[u8], opaque: Delivery) -> Result<(), KafkaError> {
        let key = format!("{number:032x}");
        let partition = number % self.options.partitions;
        let record = BaseRecord::with_opaque_to(&self.options.topic, Box::new(opaque))
            .partition(i32::try_from(partition).expect("there are few partitions"))
            .key(key.as_bytes())
            .payload(value);
        self.producer.send(record).map_err(|(error, _record)| error)
    }
}

/// Produces records of one size for ever, as fast as they are taken.
pub(crate) fn produce(options: Options, count: &Count) -> KafkaError {
    let producer = settings(&options.brokers).create_with_context(Deliveries(count.clone()));
    let producer = match producer {
        Ok(producer) => Arc::new(producer),
        Err(error) => return error,
    };
    // Not all zeros: nothing on the way should find them easier than spans.
    let value: Vec<u8> = (0..options.record_bytes).map(|at| (at % 251) as u8).collect();
    let publisher = Publisher { producer, options: Arc::new(options), key: Arc::default() };
    for number in 0.. {
        match publisher.send(number, &value, None) {
            Ok(()) => {}
            Err(KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull)) => {
                publisher.wait_for_room();
            }
            Err(error) => return error,
        }
    }
    KafkaError::Canceled
}

impl Publisher {
    /// Half of the queue must be free before it goes on, so that waiting costs little.
    fn wait_for_room(&self) {
        let began = Instant::now();
        while self.producer.in_flight_count() as usize > QUEUE_RECORDS / 2
            && began.elapsed() < ROOM_WITHIN
        {
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// What a record belongs to; nothing, where only their number matters.
type Delivery = Option<Arc<Pending>>;

/// Counts deliveries and completes requests.
#[derive(Default)]
struct Deliveries(Count);

impl ClientContext for Deliveries {}

impl ProducerContext for Deliveries {
    type DeliveryOpaque = Box<Delivery>;

    fn delivery(&self, result: &DeliveryResult<'_>, opaque: Box<Delivery>) {
        match (*opaque, result.is_ok()) {
            (Some(pending), true) => pending.one_delivered(),
            (Some(pending), false) => pending.fail(),
            (None, true) => {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
            (None, false) => {}
        }
    }
}

impl Pending {
    fn one_delivered(&self) {
        if self.records_left.fetch_sub(1, Ordering::AcqRel) == 1 {
            let done = self.done.lock().unwrap_or_else(PoisonError::into_inner).take();
            // A client that has gone away no longer waits.
            done.and_then(|done| done.send(()).ok());
        }
    }

    fn fail(&self) {
        drop(self.done.lock().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// What the pipeline sets as well: the floor differs in what is done, not in how it is tuned.
fn settings(brokers: &str) -> ClientConfig {
    let mut settings = ClientConfig::new();
    settings
        .set("bootstrap.servers", brokers)
        .set("acks", "all")
        .set("linger.ms", "2")
        .set("batch.size", "1000000")
        .set("batch.num.messages", "10000")
        .set("message.max.bytes", "1000000")
        .set("queue.buffering.max.messages", QUEUE_RECORDS.to_string())
        .set("queue.buffering.max.kbytes", "131072")
        .set("queue.buffering.backpressure.threshold", "16")
        .set("enable.metrics.push", "false");
    settings
}

/// Above what a plan has in flight at a time; alone, it is what keeps memory bounded.
const QUEUE_RECORDS: usize = 100_000;
const ROOM_WITHIN: Duration = Duration::from_secs(1);
