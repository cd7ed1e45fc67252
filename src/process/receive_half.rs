//! OTLP to Kafka, put together: producers, workers, delivery loops and the receive runtimes.

use std::{
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Instant,
};

use crossbeam_channel::{Receiver, Sender, bounded};

use super::StartError;
use crate::{
    config::Config,
    health::Health,
    internal_telemetry::Telemetry,
    kafka::{DeliveryLoop, MetadataSource, Producer, TopicWatch},
    limits::PUBLISH_QUEUE_DEPTH,
    publish::{Acknowledgement, Request, Worker},
    receive::{Drain, ReceiveHalf, ReceiveThread, Surroundings},
    threads::{Layout, Threads},
};

/// The receive half as the main thread holds it.
pub(super) struct ReceiveSide {
    /// Where clients connect.
    pub(super) address: SocketAddr,
    pub(super) drain: Drain,
    producers: Vec<Arc<Producer<Acknowledgement>>>,
    /// Ends the delivery loops once nothing is outstanding.
    delivered: Arc<AtomicBool>,
    queues: Vec<Receiver<Request>>,
    threads: Vec<ReceiveThread>,
}

impl ReceiveSide {
    /// Creates the clients and binds the port, on the unpinned main thread.
    pub(super) fn prepare(
        config: &Config,
        layout: &Layout,
        topic: &Arc<TopicWatch>,
        telemetry: &Arc<Telemetry>,
        health: &Arc<Health>,
    ) -> Result<Self, StartError> {
        let (workers, queues): (Vec<Sender<Request>>, Vec<_>) =
            (0..layout.publish).map(|_| bounded(PUBLISH_QUEUE_DEPTH)).unzip();
        let surroundings = Surroundings {
            workers,
            topic: Arc::clone(topic),
            telemetry: Arc::clone(telemetry),
            health: Arc::clone(health),
        };
        let ReceiveHalf { address, drain, threads } =
            ReceiveHalf::bind(&config.receive, layout.receive, &surroundings)?;
        let producers = (0..layout.publish)
            .map(|index| Producer::create(config, index, telemetry))
            .collect::<Result<_, _>>()?;
        let delivered = Arc::new(AtomicBool::new(false));
        Ok(Self { address, drain, producers, delivered, queues, threads })
    }

    /// The clients that can be asked about the topic.
    pub(super) fn sources(&self) -> Vec<Arc<dyn MetadataSource>> {
        self.producers.iter().map(|it| Arc::clone(it) as Arc<dyn MetadataSource>).collect()
    }

    /// Starts the threads, last the ones that let requests in.
    pub(super) fn start(
        &mut self,
        config: &Config,
        layout: &Layout,
        topic: &Arc<TopicWatch>,
        telemetry: &Arc<Telemetry>,
        health: &Arc<Health>,
        threads: &mut Threads,
    ) -> Result<(), StartError> {
        for (index, (producer, queue)) in
            self.producers.iter().zip(self.queues.drain(..)).enumerate()
        {
            let delivery = DeliveryLoop {
                producer: Arc::clone(producer),
                stop: Arc::clone(&self.delivered),
                heartbeat: health.heartbeat(&format!("delivery-{index}")),
                flowing: health.condition("deliveries", true),
            };
            threads.spawn(format!("delivery-{index}"), None, || delivery.run())?;
            let worker = Worker {
                queue,
                queue_depth: telemetry.publish.queue_depth.with_label_values(&[&index.to_string()]),
                producer: Arc::clone(producer),
                topic: Arc::clone(topic),
                config: config.publish.clone(),
                request_bytes_max: config.receive.request_bytes_max,
                telemetry: Arc::clone(telemetry),
                heartbeat: health.heartbeat(&format!("publish-{index}")),
            };
            let core = layout.pinned.get(index).copied();
            threads.spawn(format!("publish-{index}"), core, || worker.run())?;
        }
        for (index, thread) in self.threads.drain(..).enumerate() {
            threads.spawn(format!("receive-{index}"), None, || {
                // Without its runtime the process cannot do its work: end it loudly.
                thread.run().expect("the system grants a runtime and a listener");
            })?;
        }
        Ok(())
    }

    /// Has every record reported: what Kafka has not acknowledged at `deadline` is purged, and
    /// purged records are reports, which are answers.
    pub(super) fn report_all(&self, deadline: Instant) {
        self.producers.iter().for_each(|producer| producer.drain(deadline));
    }

    /// The same, and nothing comes after it: the delivery loops may end.
    pub(super) fn end_deliveries(&self, deadline: Instant) {
        self.report_all(deadline);
        self.delivered.store(true, Ordering::Release);
    }
}
