//! Every capacity, bound and default of the process, each with its reason.
//!
//! Defaults are what `--help` shows; bounds are what validation refuses to exceed. The constants at
//! the end add up every pool: what may be held in memory under overload is a number, not a hope.

use std::time::Duration;

/// One kibibyte.
pub const KIB: usize = 1024;
/// One mebibyte.
pub const MIB: usize = 1024 * KIB;

// receive

/// Default of `OTLP_BYTES_IN_FLIGHT_MAX`. Reply latency times throughput: 64 MiB carries
/// 640 MB/s at 100 ms, and mimalloc keeps a set this size mapped without page faults.
pub const BYTES_IN_FLIGHT_DEFAULT: usize = 64 * MIB;
/// Default of `OTLP_REQUEST_BYTES_MAX`; four times the largest batch a Collector sends by default.
pub const REQUEST_BYTES_DEFAULT: usize = 16 * MIB;
/// A connection, like a single request, may hold one share in this many of the budget: one greedy
/// client cannot take it all.
pub const BUDGET_SHARES_PER_CONNECTION: usize = 4;
/// Least charge of a request: its stream, task, reply slot and countdown.
pub const REQUEST_CHARGE_BYTES_MIN: usize = 4 * KIB;
/// What librdkafka keeps per record beside key and value (176 B message, list and batch entries).
pub const RECORD_OVERHEAD_BYTES: usize = 256;
/// Default of `OTLP_REPLY_DEADLINE`: below the SDKs' export timeout of 10 s, so that the client
/// hears a status and not its own timer.
pub const REPLY_DEADLINE_DEFAULT: Duration = Duration::from_secs(9);
/// Default of `OTLP_CONNECTIONS_MAX`.
pub const CONNECTIONS_DEFAULT: usize = 1024;
/// Default of `OTLP_STREAMS_MAX`: concurrent requests of one connection.
pub const STREAMS_DEFAULT: u32 = 1024;
/// Stream window: a whole typical batch without a round trip.
pub const STREAM_WINDOW_BYTES: u32 = 8 * MIB as u32;
/// Connection window; h2 also derives its tiny-frame budget from it.
pub const CONNECTION_WINDOW_BYTES: u32 = 24 * MIB as u32;
/// Largest frame we invite; grpc-go sends 16 KiB whatever is invited.
pub const FRAME_BYTES_MAX: u32 = MIB as u32;
/// Header list of a request, as hyper's default.
pub const HEADER_LIST_BYTES_MAX: u32 = 16 * KIB as u32;
/// A silent peer is asked for a sign of life this often ...
pub const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(30);
/// ... and closed when it gives none within this.
pub const KEEPALIVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Connections the kernel queues between two accepts (a fleet reconnecting after a restart).
pub const LISTEN_BACKLOG: i32 = 4096;
/// Accepted connections on their way to a receive thread.
pub const ACCEPT_QUEUE_DEPTH: usize = 128;
/// The retry delay that every UNAVAILABLE carries: long enough to matter, short against 10 s.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);

// publish

/// Requests waiting for one publish worker. The byte budget bounds memory; this bounds the wait.
pub const PUBLISH_QUEUE_DEPTH: usize = 1024;
/// Default of `KAFKA_RECORD_BYTES_MAX`: topics take batches of 1,048,588 B by default, and a batch
/// header, keys and record headers must fit beside the value.
pub const RECORD_BYTES_DEFAULT: usize = 900 * KIB;
/// Largest ratio of inflated to compressed bytes; deflate cannot honestly exceed 1032.
pub const INFLATE_RATIO_MAX: usize = 1000;

// kafka

/// Default of `KAFKA_LINGER`: added to every reply, so short; load fills batches by itself.
pub const LINGER_DEFAULT: Duration = Duration::from_millis(2);
/// Default of `KAFKA_BATCH_BYTES`, below the topic's default `max.message.bytes` of 1,048,588.
pub const BATCH_BYTES_DEFAULT: usize = 1_000_000;
/// librdkafka gives a record up this long after produce: before our reply deadline, which is
/// before the client's.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_millis(8000);
/// librdkafka's own bound on queued payload; above the byte budget, so that ours is hit first.
pub const PRODUCER_QUEUE_KIB: usize = 128 * KIB;
/// librdkafka's own bound on queued records: the budget over the least record (256 B + key).
pub const PRODUCER_QUEUE_RECORDS: usize = 500_000;
/// Default of `KAFKA_TOPIC_PARTITIONS`: parallelism for consumers, few enough for full batches.
pub const TOPIC_PARTITIONS_DEFAULT: i32 = 8;
/// Metadata older than this makes the process not ready.
pub const METADATA_AGE_MAX: Duration = Duration::from_secs(10);
/// How often metadata is asked for.
pub const METADATA_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for an answer of the broker to an administrative question.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

// forward

/// Default of `FORWARD_BATCH_BYTES`: Jaeger and the Collector refuse more than 4 MiB by default,
/// and a gRPC frame, headers and one more record's framing must stay below it.
pub const FORWARD_BATCH_BYTES_DEFAULT: usize = 3 * MIB + 512 * KIB;
/// Default of `FORWARD_BATCH_AGE`.
pub const FORWARD_BATCH_AGE_DEFAULT: Duration = Duration::from_millis(50);
/// Default of `FORWARD_REQUESTS_IN_FLIGHT`.
pub const FORWARD_REQUESTS_DEFAULT: usize = 4;
/// Default of `FORWARD_REQUEST_TIMEOUT`.
pub const FORWARD_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);
/// Default of `FORWARD_RETRY_BACKOFF_MIN`.
pub const FORWARD_BACKOFF_MIN_DEFAULT: Duration = Duration::from_millis(100);
/// Default of `FORWARD_RETRY_BACKOFF_MAX`.
pub const FORWARD_BACKOFF_MAX_DEFAULT: Duration = Duration::from_secs(10);
/// librdkafka's prefetch per consumer.
pub const CONSUMER_QUEUE_KIB: usize = 16 * KIB;
/// Batch buffers of a lane: one being sent, one full and waiting, one filling. The third takes one
/// record before nothing is polled any more, but its memory may have been a full batch before.
pub const FORWARD_BATCHES_PER_LANE: usize = 3;
/// Records taken in one turn of a forward loop before answers and timers are looked at again.
pub const FORWARD_TURN_RECORDS_MAX: usize = 512;
/// Longest wait for a record while nothing is in flight.
pub const FORWARD_IDLE_WAIT: Duration = Duration::from_millis(100);
/// Longest wait for a record while a backend call is in flight: its answer cannot end the wait.
pub const FORWARD_CALL_WAIT: Duration = Duration::from_millis(5);
/// Acknowledged offsets are committed this often: what a crash repeats is about this much.
pub const FORWARD_COMMIT_INTERVAL: Duration = Duration::from_secs(1);
/// A window full for longer than this pauses the consumer. Pausing throws the prefetched records
/// away, so short stalls are sat out.
pub const FORWARD_STALL_MAX: Duration = Duration::from_secs(5);
/// Longest wait at a rebalance for calls in flight, short against the group's rebalance timeout.
pub const FORWARD_REVOKE_WAIT: Duration = Duration::from_secs(5);
/// A partition that lags and stays silent for this long is fetched anew from its position.
pub const FORWARD_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often librdkafka reports the high watermarks and the state of the group.
pub const CONSUMER_STATISTICS_INTERVAL: Duration = Duration::from_secs(1);
/// Without a word of the coordinator for this long (librdkafka's session timeout), the member
/// counts as out of its group.
pub const GROUP_SILENCE_MAX: Duration = Duration::from_secs(45);
/// Answers INTERNAL and UNKNOWN to one batch after which the batch itself is suspected.
pub const FORWARD_SUSPECT_TRIES: u32 = 3;
/// Dead letters without a success between them after which the backend is at fault, not the data.
pub const FORWARD_STORM_LETTERS: u32 = 100;
/// A backend's wish for a pause is honoured up to this long.
pub const FORWARD_RETRY_AFTER_MAX: Duration = Duration::from_secs(300);
/// Largest answer read from the backend, as OTLP asks of clients; the rest is discarded.
pub const BACKEND_ANSWER_BYTES_MAX: usize = 4 * MIB;
/// Characters of a backend's message that reach a log line or a dead letter.
pub const BACKEND_MESSAGE_CHARS_MAX: usize = 300;
/// Longest wait for a connection to the backend.
pub const BACKEND_CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Window of a backend's answers: small ones, but h2 derives its tiny-frame budget from it.
pub const BACKEND_WINDOW_BYTES: u32 = MIB as u32;
/// The client's bound on a dead letter is out of the way: the topic's own limit decides.
pub const DEAD_LETTER_BYTES_MAX: usize = 64 * MIB;
/// How often a troubled dead-letter topic is looked at again.
pub const DEAD_LETTER_CHECK_INTERVAL: Duration = Duration::from_secs(10);
/// Longest wait for the answer: the forward thread does nothing else meanwhile.
pub const DEAD_LETTER_CHECK_WAIT: Duration = Duration::from_secs(1);

// logs

/// A cause of trouble that lasts is logged again after this long.
pub const TROUBLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

// admin and shutdown

/// A loop that has not beaten for this long is dead or stuck.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);
/// Default of `DRAIN_DELAY`.
pub const DRAIN_DELAY_DEFAULT: Duration = Duration::from_millis(0);
/// Default of `SHUTDOWN_DEADLINE`: below the 30 s after which Kubernetes kills.
pub const SHUTDOWN_DEADLINE_DEFAULT: Duration = Duration::from_secs(25);

// What must hold between them.

const _: () =
    assert!(REQUEST_BYTES_DEFAULT * BUDGET_SHARES_PER_CONNECTION <= BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(BATCH_BYTES_DEFAULT < 1_048_588);
const _: () = assert!(RECORD_BYTES_DEFAULT < BATCH_BYTES_DEFAULT);
const _: () = assert!(MESSAGE_TIMEOUT.as_millis() < REPLY_DEADLINE_DEFAULT.as_millis());
const _: () = assert!(PRODUCER_QUEUE_KIB * KIB > BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(RECORD_BYTES_DEFAULT < FORWARD_BATCH_BYTES_DEFAULT);
