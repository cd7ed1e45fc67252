//! The HTTP pages for probes, Prometheus and people: `/healthz`, `/readyz`, `/metrics`, `/latency`.
//!
//! One thread, `admin`, owns the listener and every connection; it reads heartbeats, conditions and
//! metrics, and must never wait on the span path or on a client. It also beats once a second,
//! merges the latency histograms and logs the summary line.
//!
//! tiny_http supplies the vocabulary of HTTP (methods, statuses, the writing of responses). Its
//! server is not used, because a stranger could end the process with one request: dropping a
//! request allocates what its `Content-Length` announces and then waits for that many bytes, heads
//! are read without a bound, each connection has a thread of its own for as long as it likes, and
//! one failed accept ends the listener for good. Here everything has a bound, in `limits.rs`:
//! connections, bytes of a head, surplus bytes, and the life of a connection. Past the bound of
//! connections the oldest is closed, so that silent clients cannot keep a probe waiting.

mod connection;
mod latency_page;
mod request;
mod routes;
mod server;
mod summary;
#[cfg(test)]
mod tests;

pub use server::{Admin, AdminError, AdminStop};
