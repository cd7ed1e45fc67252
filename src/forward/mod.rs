//! Kafka to the backend: consumes the topic in a group and forwards it over OTLP/gRPC, at least
//! once, without decoding a span.
//!
//! ```text
//!                forward-N (one consumer each)                    send (tokio)
//!  Kafka ──poll──▶ framing walk ▶ lanes ▶ batches ──bounded queue──▶ backend
//!    ▲              offsets ◀── settle ◀──────────bounded queue────── answers
//!    │ commit            │ refused alone, or mis-framed
//!    └───────────────────┴──▶ dead-letter topic
//! ```
//!
//! # Guarantees
//!
//! - A partition's committed offset moves past a record only after the backend's OK or the dead
//!   letter's own acknowledgement. What a crash, a rebalance or a retry repeats is a duplicate.
//! - Order within a partition is kept on the way out: one lane per partition, one request at a time
//!   per lane.
//! - Memory is bounded: per thread three batches per lane, and librdkafka's prefetch.
//! - A refused batch is halved down to the record, a refused record of several traces down to the
//!   trace: only the guilty one is set aside, the innocent are delivered in their order, and the
//!   offset moves when all parts are done.
//! - A record that alone breaks the backend's connection is set aside, an outage never sets one
//!   aside: `trial` has the rule.
//! - Every record is counted: consumed = forwarded + divided (done trace by trace) +
//!   dead-lettered + tombstones + returned to the group + pending.
//!
//! # Modules, in the order a record meets them
//!
//! `half` builds it all. `consumer_loop` is the thread; `window` holds what is consumed and not yet
//! committed, in `lane`s of `batch`es, with `offsets`; `traces` takes a record apart; `backend`,
//! `call` and `trial` send; `outcome` says what an answer means, `retry` how long to wait; `stall`
//! and `watchdog` watch the consumer; `report` tells the outside. All but `consumer_loop`,
//! `backend`, `call`, `trial` and `report` are pure.
//! `backend_probe` asks the backend once, for the `check` task.

mod backend;
mod backend_probe;
mod batch;
mod call;
mod consumer_loop;
mod half;
mod lane;
mod offsets;
mod outcome;
mod report;
mod retry;
mod stall;
mod traces;
mod trial;
mod watchdog;
mod window;

pub use backend::{Backend, BackendError};
pub use backend_probe::probe_backend;
pub use consumer_loop::{ForwardError, ForwardLoop};
pub use half::{ForwardHalf, PrepareError};
