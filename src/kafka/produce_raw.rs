//! The one file with `unsafe`: hands records to librdkafka by topic handle, and reads headers.
//!
//! `BaseProducer::send` looks the topic up by name for every record, under librdkafka's global
//! write lock, and allocates a C string for it. `rd_kafka_produce` on a handle does neither. Called
//! by the publish thread that owns the [`TopicHandle`]; never blocks.
//!
//! rdkafka's `Headers` panics on a name that is not UTF-8. What others write to a topic must not
//! end the thread that reads it: [`each_header`] takes names as bytes. Any thread.
#![expect(unsafe_code, reason = "neither call of librdkafka has a safe wrapper that will do")]

use std::{
    ffi::{CStr, CString, c_void},
    ptr, slice,
    sync::Arc,
};

use rdkafka::{
    bindings::{
        RD_KAFKA_MSG_F_COPY, rd_kafka_header_get_all, rd_kafka_last_error, rd_kafka_produce,
        rd_kafka_topic_destroy, rd_kafka_topic_new,
    },
    error::{KafkaError, RDKafkaErrorCode},
    message::{BorrowedHeaders, Headers},
    producer::{BaseProducer, Producer},
    types::{RDKafkaRespErr, RDKafkaTopic},
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

/// Shows `visit` every header in order: its name, and its value unless that is null.
pub(super) fn each_header(headers: &BorrowedHeaders, mut visit: impl FnMut(&[u8], Option<&[u8]>)) {
    let native = ptr::from_ref(headers).cast();
    for index in 0..headers.count() {
        let (mut name, mut value, mut value_bytes) = (ptr::null(), ptr::null(), 0);
        // SAFETY: a `BorrowedHeaders` is only ever librdkafka's list behind a reference, which
        // rdkafka makes and uses by this same cast. The list is alive and unchanged while it is
        // borrowed, and the call writes to nothing but the three places given.
        let status = unsafe {
            rd_kafka_header_get_all(native, index, &mut name, &mut value, &mut value_bytes)
        };
        if status != RDKafkaRespErr::RD_KAFKA_RESP_ERR_NO_ERROR {
            return;
        }
        // SAFETY: after a good status the name is a terminated string inside the borrowed list.
        let name = unsafe { CStr::from_ptr(name) };
        let value = (!value.is_null()).then(|| {
            // SAFETY: a value that is not null has that many bytes inside the borrowed list.
            unsafe { slice::from_raw_parts(value.cast::<u8>(), value_bytes) }
        });
        visit(name.to_bytes(), value);
    }
}

#[cfg(test)]
pub(super) mod tests {
    use rdkafka::{
        bindings::{rd_kafka_header_add, rd_kafka_headers_destroy, rd_kafka_headers_new},
        message::OwnedHeaders,
    };

    use super::*;

    /// A header whose name is not UTF-8, as other clients can write it.
    pub(crate) const FOREIGN_NAME: &[u8] = b"caf\xe9";

    /// Headers that begin with [`FOREIGN_NAME`] and go on with a null value named `name`.
    pub(crate) fn foreign_headers(name: &str) -> OwnedHeaders {
        // SAFETY: a new list, which only this function has; names and values are copied with the
        // lengths given, and the list is destroyed after its last use, the copy by `detach`.
        unsafe {
            let native = rd_kafka_headers_new(2);
            for (name, value) in [(FOREIGN_NAME, Some(&b"value"[..])), (name.as_bytes(), None)] {
                let (start, bytes) = value.map_or((ptr::null(), 0), |it| (it.as_ptr(), it.len()));
                rd_kafka_header_add(
                    native,
                    name.as_ptr().cast(),
                    name.len() as isize,
                    start.cast(),
                    bytes as isize,
                );
            }
            let headers = (*native.cast_const().cast::<BorrowedHeaders>()).detach();
            rd_kafka_headers_destroy(native);
            headers
        }
    }

    /// Names are shown as the bytes that they are, and a null value is told from an empty one.
    #[test]
    fn foreign_names_are_bytes() {
        let headers = foreign_headers("null")
            .insert(rdkafka::message::Header { key: "empty", value: Some("") });
        let mut seen = Vec::new();
        each_header(headers.as_borrowed(), |name, value| {
            seen.push((name.to_vec(), value.map(<[u8]>::to_vec)));
        });
        let expected: [(&[u8], Option<&[u8]>); 3] =
            [(FOREIGN_NAME, Some(b"value")), (b"null", None), (b"empty", Some(b""))];
        let seen: Vec<_> = seen.iter().map(|(name, value)| (&name[..], value.as_deref())).collect();
        assert_eq!(seen, expected);
    }
}
