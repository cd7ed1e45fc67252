//! The one file with `unsafe`: hands records to librdkafka by topic handle.
//!
//! `BaseProducer::send` looks the topic up by name for every record, under librdkafka's global
//! write lock, and allocates a C string for it. `rd_kafka_produce` on a handle does neither. Called
//! by the publish thread that owns the [`TopicHandle`]; never blocks.
#![expect(unsafe_code, reason = "librdkafka's produce call by handle has no safe wrapper")]

use std::{
    ffi::{CString, c_void},
    ptr,
    sync::Arc,
};

use rdkafka::{
    bindings::{
        RD_KAFKA_MSG_F_COPY, rd_kafka_last_error, rd_kafka_produce, rd_kafka_topic_destroy,
        rd_kafka_topic_new,
    },
    error::{KafkaError, RDKafkaErrorCode},
    producer::{BaseProducer, Producer},
    types::RDKafkaTopic,
};

use super::delivery::{Deliver, ProducerEvents};

/// A topic of one producer, ready to take records.
///
/// Invariant: `topic` is a live handle of `producer`'s client. It holds one reference that only
/// `drop` gives back, and `producer` outlives it because it is a field.
pub(super) struct TopicHandle<A: Deliver> {
    topic: ptr::NonNull<RDKafkaTopic>,
    producer: Arc<BaseProducer<ProducerEvents<A>>>,
}

// SAFETY: librdkafka's handles may be used from any thread (its INTRODUCTION.md, "Threads and
// callbacks"); the other field is an `Arc` of a type that is `Send` and `Sync` itself.
unsafe impl<A: Deliver> Send for TopicHandle<A> {}
// SAFETY: as above; every function called with the pointer locks inside librdkafka.
unsafe impl<A: Deliver> Sync for TopicHandle<A> {}

impl<A: Deliver> TopicHandle<A> {
    /// Opens `name`; nothing is asked of the broker.
    pub(super) fn open(
        producer: Arc<BaseProducer<ProducerEvents<A>>>,
        name: &str,
    ) -> Result<Self, KafkaError> {
        let c_name = CString::new(name)?;
        // SAFETY: the client is alive behind the `Arc`, the name is a terminated string that is
        // copied by the call, and a null configuration means the client's defaults.
        let topic = unsafe {
            rd_kafka_topic_new(producer.client().native_ptr(), c_name.as_ptr(), ptr::null_mut())
        };
        let topic = ptr::NonNull::new(topic)
            .ok_or_else(|| KafkaError::ClientCreation(format!("topic {name} has no handle")))?;
        Ok(Self { topic, producer })
    }

    /// The producer whose topic this is.
    pub(super) fn producer(&self) -> &BaseProducer<ProducerEvents<A>> {
        &self.producer
    }

    /// Enqueues a copy of one record; `opaque` comes back with its delivery report.
    ///
    /// # Errors
    /// librdkafka's refusal, with nothing enqueued and `opaque` dropped.
    pub(super) fn produce(
        &self,
        partition: i32,
        key: Option<&[u8]>,
        value: &[u8],
        opaque: Arc<A>,
    ) -> Result<(), RDKafkaErrorCode> {
        let (key, key_bytes) = key.map_or((ptr::null(), 0), |key| (key.as_ptr(), key.len()));
        let opaque = Arc::into_raw(opaque).cast_mut().cast::<c_void>();
        // SAFETY: the handle is live (invariant). MSG_F_COPY makes the call copy key and value
        // before it returns, and it writes through neither pointer. On success the opaque belongs
        // to librdkafka until the delivery report, where rdkafka turns it back into the
        // `Arc<A>` that `ProducerEvents<A>` declares as its opaque.
        let refused = unsafe {
            rd_kafka_produce(
                self.topic.as_ptr(),
                partition,
                RD_KAFKA_MSG_F_COPY,
                value.as_ptr().cast_mut().cast(),
                value.len(),
                key.cast(),
                key_bytes,
                opaque,
            )
        } != 0;
        if !refused {
            return Ok(());
        }
        // SAFETY: reads this thread's last error, set by the call above.
        let error = unsafe { rd_kafka_last_error() };
        // SAFETY: a refused record has no delivery report, so the pointer from `into_raw` above is
        // still ours and is turned back exactly once.
        drop(unsafe { Arc::from_raw(opaque.cast_const().cast::<A>()) });
        Err(error.into())
    }
}

impl<A: Deliver> Drop for TopicHandle<A> {
    /// Before the producer goes: librdkafka's destroy waits for open topic handles.
    fn drop(&mut self) {
        // SAFETY: gives back the one reference of `open`; the pointer is not used again.
        unsafe { rd_kafka_topic_destroy(self.topic.as_ptr()) };
    }
}
