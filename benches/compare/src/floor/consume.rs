//! Bare librdkafka, consuming: alone, or in front of bare tonic.
//!
//! Forwarding concatenates record values up to the size and age that the pipeline uses, sends four
//! requests at a time and looks at none of them. It commits nothing and retries nothing: it is the
//! floor of the work, not a forwarder.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use bytes::Bytes;
use rdkafka::{
    ClientConfig, Message, Offset, TopicPartitionList,
    consumer::{BaseConsumer, Consumer},
    error::KafkaError,
};
use tokio::sync::{Semaphore, mpsc};
use tonic::{
    Request,
    client::Grpc,
    codegen::http::uri::PathAndQuery,
    transport::{Channel, Endpoint},
};

use super::{
    count::{Count, say},
    raw::{EXPORT, MESSAGE_BYTES_MAX, Raw},
};

/// What is read.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Options {
    #[arg(long)]
    pub(crate) brokers: String,
    #[arg(long)]
    pub(crate) topic: String,
    #[arg(long, default_value_t = 8)]
    pub(crate) partitions: i32,
}

/// Reads records for ever and counts them.
pub(crate) fn consume(options: &Options, count: &Count) -> Result<(), KafkaError> {
    let consumer = assigned(options)?;
    say("consuming");
    loop {
        if let Some(record) = consumer.poll(POLL) {
            record?;
            count.fetch_add(1, Ordering::Relaxed);
        }
    }
}

/// Reads records for ever and sends them to `backend`.
pub(crate) async fn forward(options: Options, backend: &str) -> Result<(), String> {
    let consumer = assigned(&options).map_err(|error| error.to_string())?;
    let endpoint = Endpoint::from_shared(backend.to_owned()).map_err(|error| error.to_string())?;
    let channel = endpoint.connect_lazy();
    let (batches, mut ready) = mpsc::channel(BATCHES_READY);
    start_batching(consumer, batches);
    say("forwarding");
    let in_flight = Arc::new(Semaphore::new(REQUESTS_IN_FLIGHT));
    while let Some(batch) = ready.recv().await {
        let permit = in_flight.clone().acquire_owned().await.expect("it is never closed");
        let channel = channel.clone();
        let sending = async move {
            let sent = send(channel, batch).await;
            drop(permit);
            if let Err(error) = sent {
                say(&format!("not sent: {error}"));
            }
        };
        start_task(sending);
    }
    Err("the consumer ended".to_owned())
}

#[expect(clippy::disallowed_methods, reason = "the pipeline's drain does not know this program")]
fn start_task(task: impl Future<Output = ()> + Send + 'static) {
    drop(tokio::spawn(task));
}

/// Polling blocks, so it has a thread of its own.
#[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the pipeline")]
fn start_batching(consumer: BaseConsumer, batches: mpsc::Sender<Bytes>) {
    drop(thread::spawn(move || {
        loop {
            let batch = next_batch(&consumer);
            if !batch.is_empty() && batches.blocking_send(batch.into()).is_err() {
                return;
            }
        }
    }));
}

/// Values of records in a row, until there are enough or the first has waited long enough.
fn next_batch(consumer: &BaseConsumer) -> Vec<u8> {
    let mut batch = Vec::new();
    let mut deadline = None;
    loop {
        let wait =
            deadline.map_or(POLL, |at: Instant| at.saturating_duration_since(Instant::now()));
        if let Some(Ok(record)) = consumer.poll(wait) {
            batch.extend_from_slice(record.payload().unwrap_or_default());
            deadline.get_or_insert_with(|| Instant::now() + BATCH_AGE);
        }
        let old = deadline.is_none_or(|at| at <= Instant::now());
        if batch.len() >= BATCH_BYTES || old {
            return batch;
        }
    }
}

async fn send(channel: Channel, batch: Bytes) -> Result<(), String> {
    let mut grpc = Grpc::new(channel).max_encoding_message_size(MESSAGE_BYTES_MAX);
    grpc.ready().await.map_err(|error| error.to_string())?;
    let path = PathAndQuery::from_static(EXPORT);
    let answer = grpc.unary(Request::new(batch), path, Raw).await;
    answer.map(|_empty| ()).map_err(|status| status.to_string())
}

/// A consumer of every partition from its beginning, in no group.
fn assigned(options: &Options) -> Result<BaseConsumer, KafkaError> {
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", &options.brokers)
        .set("group.id", "floor")
        .set("enable.auto.commit", "false")
        .set("auto.offset.reset", "earliest")
        .set("fetch.min.bytes", "65536")
        .set("fetch.wait.max.ms", "50")
        .set("fetch.queue.backoff.ms", "10")
        .set("queued.max.messages.kbytes", "16384")
        .set("enable.metrics.push", "false")
        .create()?;
    let mut from = TopicPartitionList::new();
    for partition in 0..options.partitions {
        from.add_partition_offset(&options.topic, partition, Offset::Beginning)?;
    }
    consumer.assign(&from)?;
    Ok(consumer)
}

const POLL: Duration = Duration::from_millis(100);
/// The pipeline's defaults: FORWARD_BATCH_BYTES, FORWARD_BATCH_AGE, FORWARD_REQUESTS_IN_FLIGHT.
const BATCH_BYTES: usize = 3_584 << 10;
const BATCH_AGE: Duration = Duration::from_millis(50);
const REQUESTS_IN_FLIGHT: usize = 4;
/// Finished batches that wait for a free request.
const BATCHES_READY: usize = 1;
