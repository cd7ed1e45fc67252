//! Where a record lies: partitions and offsets. Pure, any thread.

/// A partition of the forwarded topic.
#[derive(Clone, Copy, Debug, Hash, PartialEq, Eq, PartialOrd, Ord)]
pub struct PartitionId(pub i32);

/// The offset after the last one done with: what Kafka calls the committed offset.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NextOffset(pub i64);
