//! The loop of a `publish-N` thread: take a request, inflate it, split it, produce its records.
//!
//! Owns its inflater, splitter, scratch buffer and recorder. Blocks on its own queue and, when
//! librdkafka's queue is full, on deliveries; never on tokio or on another worker.

use std::{sync::Arc, thread, time::Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use prometheus::IntGauge;

use super::{
    Acknowledgement, Answer, Charge, Failure, Reply, Request, Spans, fnv1a_partition,
    inflate::{InflateError, Inflater},
    murmur2_partition,
};
use crate::{
    config::{Partitioner, PublishConfig},
    health::Heartbeat,
    internal_telemetry::{Recorder, Stage, Telemetry},
    kafka::{OpenClient, ProduceError, Producer, TopicWatch},
    limits::{QUEUE_FULL_PAUSE, RECORD_OVERHEAD_BYTES, SCRATCH_BYTES_KEPT, WORKER_WAIT},
    otlp::{Outcome, RecordPlan, RejectReason, SplitError, SplitRules, Splitter, TraceId},
};

/// What a worker is made of; `run` is the loop.
pub struct Worker {
    /// Its own queue.
    pub queue: Receiver<Request>,
    /// How many requests wait in it, as a metric.
    pub queue_depth: IntGauge,
    /// Its own producer.
    pub producer: Arc<Producer<Acknowledgement>>,
    /// How many partitions the topic has now.
    pub topic: Arc<TopicWatch>,
    /// Record mode, limit and placement.
    pub config: PublishConfig,
    /// Largest message after inflating.
    pub request_bytes_max: usize,
    /// Where it counts.
    pub telemetry: Arc<Telemetry>,
    /// Sign of life.
    pub heartbeat: Heartbeat,
}

impl Worker {
    /// Serves its queue until every sender is gone.
    pub fn run(self) {
        let mut bench = Bench {
            inflater: Inflater::new(),
            splitter: Splitter::new(),
            scratch: Vec::new(),
            recorder: self.telemetry.latency.recorder(),
        };
        loop {
            self.heartbeat.beat();
            self.queue_depth.set(self.queue.len() as i64);
            match self.queue.recv_timeout(WORKER_WAIT) {
                Ok(request) => self.serve(&mut bench, request),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        self.heartbeat.retire();
    }

    fn serve(&self, bench: &mut Bench, request: Request) {
        let start = Instant::now();
        bench.recorder.record(Stage::QueueWait, start - request.queued);
        let Request { frames, encoding, deadline, mut charge, reply, .. } = request;
        if reply.abandoned() {
            return reply.answer(Answer::Cancelled, charge);
        }
        let Bench { inflater, splitter, scratch, recorder } = bench;
        let answer = match inflater.linear(&frames, encoding, self.request_bytes_max, &mut charge) {
            Err(error) => Err(refuse_inflate(error)),
            Ok(message) => {
                self.telemetry.publish.bytes.inc_by(message.len() as u64);
                self.split(splitter, message).map(|outcome| (message, outcome))
            }
        };
        match answer {
            Err(answer) => reply.answer(answer, charge),
            Ok((message, outcome)) => {
                let records = splitter.records();
                let held = records.iter().map(bytes_held).sum();
                if let Err(short) = charge.resize(held) {
                    let failure = Failure::Budget(short);
                    let spans = Spans::default();
                    return reply.answer(Answer::Unavailable { failure, spans }, charge);
                }
                let request = self.open(&outcome, reply, charge, recorder);
                self.produce(splitter, message, scratch, request, deadline);
                recorder.record(Stage::Split, start.elapsed());
            }
        }
        inflater.shrink(SCRATCH_BYTES_KEPT);
        if scratch.capacity() > SCRATCH_BYTES_KEPT {
            *scratch = Vec::new();
        }
    }

    fn split(&self, splitter: &mut Splitter, message: &[u8]) -> Result<Outcome, Answer> {
        let partition_count = self.topic.partition_count();
        if partition_count == 0 {
            let failure = Failure::BrokerUnreachable;
            return Err(Answer::Unavailable { failure, spans: Spans::default() });
        }
        let rules = SplitRules {
            mode: self.config.record_mode,
            record_bytes_max: self.config.record_bytes_max,
            partition_count,
        };
        let place = match self.config.partitioner {
            Partitioner::Murmur2 => murmur2_partition,
            Partitioner::Fnv1a => fnv1a_partition,
        };
        splitter.split(message, &rules, |trace: &TraceId| place(trace, partition_count)).map_err(
            |error| match error {
                SplitError::Malformed(malformed) => Answer::Malformed(malformed.to_string()),
                SplitError::HeadersTooLarge | SplitError::TooManySpans => {
                    Answer::TooLarge(error.to_string())
                }
            },
        )
    }

    /// Counts what the split found and opens the countdown.
    fn open(
        &self,
        outcome: &Outcome,
        reply: Box<dyn Reply>,
        charge: Charge,
        recorder: &Recorder,
    ) -> Arc<Acknowledgement> {
        let metrics = &self.telemetry.publish;
        let rejected = outcome.rejected.total();
        metrics.spans_received.inc_by(outcome.span_count + rejected);
        metrics.spans_in_flight.add((outcome.span_count + rejected) as i64);
        if rejected > 0 {
            for reason in RejectReason::ALL {
                let count = outcome.rejected.count(reason);
                metrics.rejections.with_label_values(&[reason.as_str()]).inc_by(count);
            }
        }
        if outcome.fell_back {
            metrics.header_fallbacks.inc();
        }
        let spans = Spans {
            accepted: outcome.span_count,
            rejected,
            reason: outcome.rejected.first().map(RejectReason::sentence),
        };
        Acknowledgement::open(spans, reply, charge, recorder.clone())
    }

    /// Hands every record to librdkafka, waiting for room up to the deadline.
    fn produce(
        &self,
        splitter: &Splitter,
        message: &[u8],
        scratch: &mut Vec<u8>,
        request: Arc<Acknowledgement>,
        deadline: Instant,
    ) {
        let client = self.producer.open_client();
        let mut record_bytes = 0;
        for record in splitter.records() {
            let value = splitter.write(message, record, scratch);
            record_bytes += value.len();
            if let Err(failure) = self.produce_record(&client, record, value, &request, deadline) {
                return request.fail(failure);
            }
        }
        let records = splitter.records().len();
        self.telemetry.publish.records.inc_by(records as u64);
        self.telemetry.publish.record_bytes.inc_by(record_bytes as u64);
        request.seal(records as u32);
    }

    fn produce_record(
        &self,
        client: &OpenClient<'_, Acknowledgement>,
        record: &RecordPlan,
        value: &[u8],
        request: &Arc<Acknowledgement>,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let key = record.key.map(|trace| trace.key());
        let key = key.as_ref().map(|key| key.as_slice());
        loop {
            match client.produce(record.partition, key, value, Arc::clone(request)) {
                Ok(()) => return Ok(()),
                Err(ProduceError::Refused(error)) => return Err(Failure::Delivery(error)),
                Err(ProduceError::QueueFull) if Instant::now() >= deadline => {
                    return Err(Failure::QueueFull);
                }
                Err(ProduceError::QueueFull) => {
                    self.heartbeat.beat();
                    thread::sleep(QUEUE_FULL_PAUSE);
                }
            }
        }
    }
}

/// What a worker keeps from one request to the next.
struct Bench {
    inflater: Inflater,
    splitter: Splitter,
    scratch: Vec<u8>,
    recorder: Recorder,
}

/// What librdkafka holds for a record until its delivery report.
fn bytes_held(record: &RecordPlan) -> usize {
    let key_bytes = if record.key.is_some() { TraceId::KEY_LEN } else { 0 };
    record.bytes_len + key_bytes + RECORD_OVERHEAD_BYTES
}

fn refuse_inflate(error: InflateError) -> Answer {
    match error {
        InflateError::Malformed { .. } => Answer::Malformed(error.to_string()),
        InflateError::TooLarge { .. } => Answer::TooLarge(error.to_string()),
        InflateError::Short(short) => {
            Answer::Unavailable { failure: Failure::Budget(short), spans: Spans::default() }
        }
    }
}
