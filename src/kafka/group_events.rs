//! What happens to a member of the consumer group, translated from librdkafka's callbacks.
//!
//! All callbacks run on the thread that polls the consumer; they only note events, which the same
//! thread takes after its poll.

use std::sync::{
    Mutex, MutexGuard, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use rdkafka::{
    ClientContext, Statistics, TopicPartitionList,
    config::RDKafkaLogLevel,
    consumer::{BaseConsumer, Consumer, ConsumerContext, RebalanceProtocol},
    error::{KafkaError, KafkaResult},
    statistics::Partition,
    types::RDKafkaRespErr,
};

use super::{NextOffset, PartitionId, client_log};

/// What happened to the member beside records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupEvent {
    /// The group gives these partitions: answer with [`super::GroupConsumer::assign`].
    Assigned(Vec<PartitionId>),
    /// The group takes these back: answer with [`super::GroupConsumer::revoke`].
    Revoked {
        /// What is taken.
        partitions: Vec<PartitionId>,
        /// The session is lost already: somebody else may own them, a commit would be refused.
        lost: bool,
    },
    /// The coordinator was heard of, and the member has its place in the group.
    Steady,
    /// The extent of each partition known, as last seen; not all need be this member's.
    Extents(Vec<Extent>),
    /// An asynchronous commit failed.
    CommitFailed(String),
    /// A record was handed over that `dlq replay` had sent back.
    Replayed(PartitionId),
    /// The group has a member that knows none of our assignors: whoever comes second stays out.
    KeptOut,
    /// librdkafka reports trouble that it goes on trying to overcome.
    Trouble(String),
    /// What was committed is not there any more: a partition is read from its earliest record on.
    OffsetReset(String),
    /// The client is of no use any more (another member took its `group.instance.id`).
    Fatal(String),
}

/// Where a partition's records lie.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Extent {
    /// The partition.
    pub partition: PartitionId,
    /// What the group has committed, as this client was last told: at the assignment, and by the
    /// good answers to its commits.
    pub committed: Option<NextOffset>,
    /// The group's committed offset or, without one, the first record kept.
    pub start: NextOffset,
    /// After the last record.
    pub end: NextOffset,
}

/// Turns librdkafka's callbacks into events. All run on the polling thread.
pub(super) struct GroupContext {
    client: String,
    topic: String,
    events: Mutex<Vec<GroupEvent>>,
    /// Nobody takes events any more: revocations are answered at once.
    closing: AtomicBool,
}

impl GroupContext {
    pub(super) fn new(client: String, topic: String) -> Self {
        Self { client, topic, events: Mutex::new(Vec::new()), closing: AtomicBool::new(false) }
    }

    /// Notes an event that the owner finds out by polling.
    pub(super) fn push(&self, event: GroupEvent) {
        self.lock().push(event);
    }

    /// The events since the last call, oldest first.
    pub(super) fn take(&self) -> Vec<GroupEvent> {
        std::mem::take(&mut *self.lock())
    }

    /// From now on nobody takes events.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, Vec<GroupEvent>> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl ClientContext for GroupContext {
    fn log(&self, level: RDKafkaLogLevel, facility: &str, message: &str) {
        // With a policy other than `error`, this line is all that librdkafka tells of it.
        if facility == "OFFSET" && message.contains("offset reset") {
            self.push(GroupEvent::OffsetReset(message.to_owned()));
        } else {
            client_log::log(&self.client, level, facility, message);
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(client = self.client, %error, reason, "consumer reports an error");
    }

    fn stats(&self, statistics: Statistics) {
        let group = statistics.cgrp.as_ref();
        if group.is_some_and(|group| group.state == "up" && group.join_state == "steady") {
            self.push(GroupEvent::Steady);
        }
        let Some(topic) = statistics.topics.get(&self.topic) else { return };
        self.push(GroupEvent::Extents(topic.partitions.values().filter_map(extent).collect()));
    }
}

impl ConsumerContext for GroupContext {
    fn rebalance(
        &self,
        consumer: &BaseConsumer<Self>,
        code: RDKafkaRespErr,
        list: &mut TopicPartitionList,
    ) {
        let partitions =
            list.elements().iter().map(|element| PartitionId(element.partition())).collect();
        let assigned = code == RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS;
        if self.closing.load(Ordering::Relaxed) {
            if !assigned && let Err(error) = release(consumer, list) {
                tracing::warn!(client = self.client, %error, "partitions not given back in order");
            }
        } else if assigned {
            self.push(GroupEvent::Assigned(partitions));
        } else {
            self.push(GroupEvent::Revoked { partitions, lost: consumer.assignment_lost() });
        }
    }

    fn commit_callback(&self, result: KafkaResult<()>, _offsets: &TopicPartitionList) {
        if let Err(error) = result {
            self.push(GroupEvent::CommitFailed(error.to_string()));
        }
    }
}

fn extent(partition: &Partition) -> Option<Extent> {
    // Negative numbers stand for "not known yet".
    let known = |offset: i64| (offset >= 0).then_some(NextOffset(offset));
    let committed = known(partition.committed_offset);
    Some(Extent {
        partition: PartitionId(partition.partition),
        committed,
        start: committed.or_else(|| known(partition.lo_offset))?,
        end: known(partition.hi_offset)?,
    })
}

/// Gives partitions back, in whichever protocol the group speaks.
pub(super) fn release(
    consumer: &BaseConsumer<GroupContext>,
    list: &TopicPartitionList,
) -> KafkaResult<()> {
    match consumer.rebalance_protocol() {
        RebalanceProtocol::Cooperative => consumer.incremental_unassign(list),
        RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
    }
}
