//! From a request's bytes to acknowledged records: pinned, synchronous, one producer per worker.
//!
//! ```text
//! receive ──Request──▶ worker: inflate ▸ split ▸ produce ──▶ librdkafka ──▶ Kafka
//!    ▲                    │ holds one share of                   │
//!    └──────Answer──── Acknowledgement ◀──one delivery report per record
//! ```
//!
//! A worker owns its scratch buffers, its grouping table and its recorder. It blocks on its own
//! queue and, when librdkafka's is full, on deliveries; never on tokio or another worker.

mod acknowledgement;
mod answer;
mod budget;
mod inflate;
#[cfg(test)]
pub(crate) mod oracle;
mod partitioner;
mod request;
mod worker;

pub use acknowledgement::{Acknowledgement, Spans};
pub use answer::{Answer, Failure};
pub use budget::{Budget, Charge, Shortage};
pub use inflate::Encoding;
pub use partitioner::{fnv1a_partition, murmur2_partition};
pub use request::{Reply, Request};
pub use worker::Worker;
