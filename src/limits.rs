//! Every capacity, bound and default of the process, each with its reason.
//!
//! Defaults are what `--help` shows; bounds are what validation refuses to exceed. The constants at
//! the end add up every pool: what may be held in memory under overload is a number, not a hope.

use std::{ops::RangeInclusive, time::Duration};

/// One kibibyte.
pub const KIB: usize = 1024;
/// One mebibyte.
pub const MIB: usize = 1024 * KIB;
/// One gibibyte.
pub const GIB: usize = 1024 * MIB;

// receive

/// Default of `OTLP_BYTES_IN_FLIGHT_MAX`. Reply latency times throughput: 32 MiB carries 320 MB/s
/// at 100 ms. With it, a thousand busy connections fit into 256 MiB.
pub const BYTES_IN_FLIGHT_DEFAULT: usize = 32 * MIB;
/// Default of `OTLP_REQUEST_BYTES_MAX`; twice what a Collector's own receiver takes by default.
pub const REQUEST_BYTES_DEFAULT: usize = 8 * MIB;
/// A connection, like a single request, may hold one share in this many of the budget: one greedy
/// client cannot take it all.
pub const BUDGET_SHARES_PER_CONNECTION: usize = 4;
/// Delay that admission aims at under overload, from arrival to Kafka's acknowledgement: far below
/// [`MESSAGE_TIMEOUT`] and the clients' 10 s, so that work begun is work finished; long enough to
/// sit out a broker's pause without refusing.
pub const ADMISSION_DELAY: Duration = Duration::from_millis(1500);
/// How often admission looks at the rate of acknowledgements: a few times per [`ADMISSION_DELAY`].
pub const ADMISSION_INTERVAL: Duration = Duration::from_millis(250);
/// Least charge of a request: its stream, task, reply slot and countdown.
pub const REQUEST_CHARGE_BYTES_MIN: usize = 4 * KIB;
/// What librdkafka keeps per record beside key and value (176 B message, list and batch entries).
pub const RECORD_OVERHEAD_BYTES: usize = 256;
/// Default of `OTLP_REPLY_DEADLINE`: below the SDKs' export timeout of 10 s, so that the client
/// hears a status and not its own timer.
pub const REPLY_DEADLINE_DEFAULT: Duration = Duration::from_secs(9);
/// Default of `OTLP_CONNECTIONS_MAX`.
pub const CONNECTIONS_DEFAULT: usize = 1024;
/// Default of `OTLP_CONNECTIONS_PER_PEER_MAX`. A gateway or a balancer stands for many clients
/// under one address, so most of the places; the rest keeps the port open to everybody else.
pub const CONNECTIONS_PER_PEER_DEFAULT: usize = 1000;
/// Default of `OTLP_CONNECTION_AGE_MAX`: how long a new instance waits for its share of clients
/// that never reconnect by themselves.
pub const CONNECTION_AGE_DEFAULT: Duration = Duration::from_secs(30 * 60);
/// A connection may be sent away earlier by up to this much of its age, so that a fleet which came
/// at once does not return at once.
pub const CONNECTION_AGE_JITTER_PERCENT: u64 = 10;
/// Default of `OTLP_STREAMS_MAX`: concurrent requests of one connection; the rest waits in the
/// client. A client with 10 ms to Kafka and back sends 12,800 requests a second with it, and h2's
/// table of streams, which never shrinks, stays small.
pub const STREAMS_DEFAULT: u32 = 128;
/// Stream window: a whole typical batch without a round trip.
pub const STREAM_WINDOW_BYTES: u32 = 8 * MIB as u32;
/// Connection window; h2 also derives its tiny-frame budget from it.
pub const CONNECTION_WINDOW_BYTES: u32 = 24 * MIB as u32;
/// Requests of a connection that its client may take back before they were looked at; more is a
/// flood (CVE-2023-44487). A request sent whole and taken back is three frames, one of a flood two:
/// of the former a round ([`READ_ROUND_FRAMES`]) has fewer than this, of the latter more.
pub const PENDING_RESETS_MAX: usize = 20;
/// Largest frame we invite, HTTP/2's least: what a connection has sent of a frame is charged to the
/// budget only when the frame is whole. grpc-go and Java send no larger ones, whatever is invited.
pub const FRAME_BYTES_MAX: u32 = 16 * KIB as u32;
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
/// A new connection that has not shaken hands by then, however busily it talks, is closed.
pub const PREFACE_TIMEOUT: Duration = Duration::from_secs(5);
/// A frame or a header block must end this long after it began, and a client must read of what was
/// written to it; longer than a request may take, so that an honest one never sees it.
pub const STANDSTILL_MAX: Duration = Duration::from_secs(10);
/// How often a connection is looked at. It is the precision of every limit on its time, and ten
/// thousand idle connections cost a core 1 % with it.
pub const CONNECTION_TICK: Duration = Duration::from_secs(2);
/// Bytes that the connections of a receive thread may read before its requests have a turn to
/// charge them. HTTP/2's own windows bound bodies at 24 MiB a connection only, and headers not at
/// all: a field that is sent as one byte is 100 B of table, so this is 13 MiB of headers at most.
pub const READ_TURN_BYTES: usize = 128 * KIB;
/// Frames that one connection may read before the requests that they opened are taken: h2's tables
/// hold no more of them that are not charged. It is 768 KiB of bodies in frames as we invite them,
/// so that only tiny ones meet it.
pub const READ_ROUND_FRAMES: usize = 48;
/// Least charge of a frame of a request's body: 1 B of data costs its handle and, while no other
/// frame of the buffer it was read into is kept, framing around it.
pub const FRAME_CHARGE_BYTES_MIN: usize = 256;
/// Refused requests whose bodies are still read, per receive thread: a greedy connection's streams.
pub const LINGERING_MAX: usize = 1024;
/// A task and a stream without data.
pub const LINGERING_BYTES: usize = KIB;
/// Longest wait for the end of a refused request's body: what a client had on the wire when it
/// heard of the refusal, and no patience with one that dawdles.
pub const LINGER_MAX: Duration = Duration::from_secs(2);
/// Health checks at a time. They are answered when exports are refused, so they have their own
/// bound; probes ask a few times a second.
pub const HEALTH_CHECKS_MAX: usize = 64;
/// Largest health check: the name of a service.
pub const HEALTH_CHECK_BYTES_MAX: usize = KIB;
/// Clients get no descriptor of the last one in so many, nor ...
pub const DESCRIPTOR_SHARES_KEPT: u64 = 4;
/// ... of the last so many, when that is fewer: each of a few Kafka clients has a connection and a
/// pipe per broker, and there are the HTTP pages.
pub const DESCRIPTORS_KEPT_MAX: u64 = 256;
/// Pause after a failed accept: out of file descriptors, the next try would fail at once.
pub const ACCEPT_PAUSE: Duration = Duration::from_millis(50);
/// The retry delay that every UNAVAILABLE carries: long enough to matter, short against 10 s.
pub const RETRY_DELAY: Duration = Duration::from_millis(500);

// split

/// What repeating Resources and scopes may add to a request, at the least, in bytes.
///
/// A request may grow by its own size when it is split; a small one may grow by this much, so that
/// 50 traces under one 10 KiB Resource still get a record each.
pub const SPLIT_HEADER_BUDGET_BYTES_MIN: usize = 1024 * 1024;

/// Scratch that a splitter keeps from one request to the next, in bytes.
///
/// About 30,000 spans of a trace each. A larger request is rare: what it needed is given back, so
/// that one of them does not hold memory in every worker for good.
pub const SPLIT_SCRATCH_BYTES_KEPT_MAX: usize = 4 * 1024 * 1024;

/// Scratch that a splitter may take per byte of a request, whatever the request holds.
///
/// An accepted span has at least 30 bytes, 34 in a ResourceSpans of its own, and costs at most
/// 320 bytes of tables just after they have doubled.
pub const SPLIT_SCRATCH_BYTES_PER_REQUEST_BYTE_MAX: usize = 12;

/// Spans of one request: eight of the largest batches that a Collector makes by default. It bounds
/// what a hostile request of the least spans costs in tables at 20 MiB.
pub const SPLIT_SPANS_MAX: usize = 64 * KIB;

/// Tables of one span, just after they have doubled.
pub const SPLIT_TABLE_BYTES_PER_SPAN_MAX: usize = 320;

/// Slots of the trace table for the smallest request; a power of two.
pub const SPLIT_TABLE_SLOTS_MIN: usize = 64;

/// Bytes of request for which the trace table begins with one slot: about a span's size, so that
/// a request of one-span traces fits without growing the table.
pub const SPLIT_TABLE_BYTES_PER_SLOT: usize = 256;

/// How deep an attribute may nest, in protobuf messages with its own: an array in an array is four,
/// a key-value list in a list six, and what lies in the innermost one more.
///
/// Decoders that bound their recursion do so at 100 messages (prost, C++, Java). An attribute of an
/// event has four around it, so the deepest span that is let through is 92 deep and every such
/// decoder takes it. Older Collectors and Jaeger have no bound and die of stack overflow
/// (opentelemetry-collector issue 15301). No SDK emits more than a handful of levels.
pub const NESTING_MESSAGES_MAX: usize = 88;

/// How deep groups may nest in an unknown field. OTLP has no groups: this only bounds the work of
/// skipping what a future or foreign field might hold.
pub const GROUP_DEPTH_MAX: usize = 64;

const _: () = assert!(SPLIT_TABLE_SLOTS_MIN.is_power_of_two());

// publish

/// Requests waiting for one publish worker. The byte budget bounds memory; this bounds the wait.
pub const PUBLISH_QUEUE_DEPTH: usize = 1024;
/// Default of `KAFKA_RECORD_BYTES_MAX`: topics take batches of 1,048,588 B by default, and a batch
/// header, keys and record headers must fit beside the value.
pub const RECORD_BYTES_DEFAULT: usize = 900 * KIB;
/// Largest ratio of inflated to compressed bytes; deflate cannot honestly exceed 1032.
pub const INFLATE_RATIO_MAX: usize = 1000;

/// Output buffers grow by at least this much, and double from there.
pub const INFLATE_STEP_BYTES: usize = 64 * KIB;
/// Largest zstd window, 2^23 = 8 MiB: what RFC 8878 recommends decoders to support.
pub const ZSTD_WINDOW_LOG_MAX: u32 = 23;
/// Buffers larger than this are given back after the request that needed them.
pub const SCRATCH_BYTES_KEPT: usize = 4 * MIB;
/// How long a worker waits for a request before it gives a sign of life.
pub const WORKER_WAIT: Duration = Duration::from_secs(1);
/// librdkafka's queue is full: how long to leave it to the delivery thread before the next try.
pub const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(1);

// kafka

/// Default of `KAFKA_LINGER`: added to every reply, so short; load fills batches by itself.
pub const LINGER_DEFAULT: Duration = Duration::from_millis(2);
/// Default of `KAFKA_BATCH_BYTES`, below the topic's default `max.message.bytes` of 1,048,588.
pub const BATCH_BYTES_DEFAULT: usize = 1_000_000;
/// librdkafka gives a record up this long after produce: before our reply deadline, which is
/// before the client's.
pub const MESSAGE_TIMEOUT: Duration = Duration::from_millis(8000);
/// librdkafka's own bound on queued payload, at the least; twice a budget that is set higher, so
/// that ours is hit first.
pub const PRODUCER_QUEUE_KIB: usize = 128 * KIB;
/// librdkafka's own bound on queued records, at the least; more when the budget over
/// [`RECORD_OVERHEAD_BYTES`] is.
pub const PRODUCER_QUEUE_RECORDS: usize = 500_000;
/// Default of `KAFKA_TOPIC_PARTITIONS`: parallelism for consumers, few enough for full batches.
pub const TOPIC_PARTITIONS_DEFAULT: i32 = 8;
/// Metadata older than this makes the process not ready.
pub const METADATA_AGE_MAX: Duration = Duration::from_secs(10);
/// How often metadata is asked for.
pub const METADATA_INTERVAL: Duration = Duration::from_secs(1);
/// Longest wait for one metadata answer.
pub const METADATA_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a delivery thread or a watch sleeps at most before it looks at its stop flag.
pub const POLL_INTERVAL: Duration = Duration::from_millis(100);
/// Records that wait for the broker this long without one acknowledged mean "not ready".
pub const DELIVERY_STALL_MAX: Duration = Duration::from_secs(10);
/// A producer beyond repair is started anew at most this often: the cause may last.
pub const PRODUCER_RESTART_INTERVAL: Duration = Duration::from_secs(3);
/// While a topic is missing, its creation is tried this often.
pub const TOPIC_CREATE_INTERVAL: Duration = Duration::from_secs(10);
/// How often librdkafka reports its own figures.
pub const STATISTICS_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for an answer of the broker to an administrative question.
pub const ADMIN_TIMEOUT: Duration = Duration::from_secs(5);

/// Kafka's default of a topic's `max.message.bytes`: a batch, compressed, with its header.
pub const TOPIC_MESSAGE_BYTES_DEFAULT: usize = 1_048_588;
/// Room for a dead letter's headers and framing beside the record it carries.
pub const DEAD_LETTER_HEADROOM_BYTES: usize = 64 * KIB;

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
/// A commit that the group is not seen to have after this long was refused, and is repeated. Longer
/// than an answer takes; statistics that waited for a poll are older than what they are read for.
pub const FORWARD_COMMIT_PATIENCE: Duration = Duration::from_secs(3);
/// A window full for longer than this pauses the consumer. Pausing throws the prefetched records
/// away, so short stalls are sat out.
pub const FORWARD_STALL_MAX: Duration = Duration::from_secs(5);
/// Longest wait at a rebalance for calls in flight, short against the group's rebalance timeout.
pub const FORWARD_REVOKE_WAIT: Duration = Duration::from_secs(5);
/// A partition that lags and stays silent for this long is fetched anew from its position.
pub const FORWARD_SILENCE_MAX: Duration = Duration::from_secs(30);
/// How often librdkafka reports the high watermarks and the state of the group.
pub const CONSUMER_STATISTICS_INTERVAL: Duration = Duration::from_secs(1);
/// How often the brokers are asked for the ends of the partitions.
pub const FORWARD_ENDS_INTERVAL: Duration = Duration::from_secs(5);
/// Longest wait for the answer: the forward thread does nothing else meanwhile.
pub const FORWARD_ENDS_WAIT: Duration = Duration::from_millis(500);
/// Without a word of the coordinator for this long (librdkafka's session timeout), the member
/// counts as out of its group.
pub const GROUP_SILENCE_MAX: Duration = Duration::from_secs(45);
/// Answers INTERNAL and UNKNOWN to one batch after which the batch itself is suspected.
pub const FORWARD_SUSPECT_TRIES: u32 = 3;
/// Trials of a record alone that break the connection after which the record is set aside.
pub const FORWARD_CRASH_TRIES: u32 = 3;
/// Empty requests that the backend must accept before a broken call counts against the record: so
/// many that a backend which drops connections at random fails one of them.
pub const FORWARD_TRIAL_EMPTY_REQUESTS: u32 = 8;
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

/// Default of `dlq replay --rate`, in letters per second: what a backend in trouble can bear.
pub const REPLAY_RATE_DEFAULT: u32 = 100;

// logs

/// A cause of trouble that lasts is logged again after this long.
pub const TROUBLE_LOG_INTERVAL: Duration = Duration::from_secs(30);

// admin and shutdown

/// A loop that has not beaten for this long is dead or stuck.
pub const HEARTBEAT_AGE_MAX: Duration = Duration::from_secs(30);
/// HTTP connections served at a time. A probe, a scrape and a few people need less; one more closes
/// the oldest, so that silent connections cannot keep a probe out.
pub const ADMIN_CONNECTIONS_MAX: usize = 32;
/// Largest head of an HTTP request; curl and Prometheus send a few hundred bytes.
pub const ADMIN_HEAD_BYTES_MAX: usize = 8 * KIB;
/// What a client may send beyond its request's head (a body that no page wants) before its
/// connection is cut.
pub const ADMIN_SURPLUS_BYTES_MAX: usize = 64 * KIB;
/// Longest life of an HTTP connection; probes and scrapes give up after 1 to 10 s themselves.
pub const ADMIN_EXCHANGE_MAX: Duration = Duration::from_secs(5);
/// How often the admin thread beats, collects latencies and closes late connections.
pub const ADMIN_TICK: Duration = Duration::from_secs(1);
/// How often the summary is logged while there is traffic.
pub const SUMMARY_INTERVAL: Duration = Duration::from_secs(10);
/// Default of `DRAIN_DELAY`.
pub const DRAIN_DELAY_DEFAULT: Duration = Duration::from_millis(0);
/// Default of `SHUTDOWN_DEADLINE`: below the 30 s after which Kubernetes kills.
pub const SHUTDOWN_DEADLINE_DEFAULT: Duration = Duration::from_secs(25);
/// Longest wait of `healthcheck` for the admin page: below the timeouts of common probes.
pub const HEALTHCHECK_TIMEOUT: Duration = Duration::from_secs(2);
/// Most of the page that `healthcheck` reads: `/readyz` names its reasons in far less.
pub const HEALTHCHECK_ANSWER_BYTES_MAX: u64 = 16 * KIB as u64;

// what a setting may be: narrower would forbid sensible choices, wider would hide typing errors

/// A file named by `*_FILE`: room for a bundle of certificates, not for a wrong path.
pub const SETTING_FILE_BYTES_MAX: usize = MIB;
/// `OTLP_REQUEST_BYTES_MAX`: one batch of an SDK fits, and four shares fit the largest budget.
pub const REQUEST_BYTES_RANGE: RangeInclusive<usize> = 64 * KIB..=GIB;
/// `OTLP_BYTES_IN_FLIGHT_MAX`: four of the smallest requests, up to a large machine's memory.
pub const BYTES_IN_FLIGHT_RANGE: RangeInclusive<usize> = 256 * KIB..=64 * GIB;
/// librdkafka looks for records past [`MESSAGE_TIMEOUT`] once a second, so a reply must wait for
/// one more second, and longer than minutes no client waits.
pub const REPLY_DEADLINE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(MESSAGE_TIMEOUT.as_secs() + 1)..=Duration::from_secs(300);
/// `OTLP_CONNECTIONS_MAX`, `OTLP_CONNECTIONS_PER_PEER_MAX`: one file descriptor each.
pub const CONNECTIONS_RANGE: RangeInclusive<usize> = 1..=65_536;
/// `OTLP_CONNECTION_AGE_MAX`: 0 is never; a balancer's patience ends within a day.
pub const CONNECTION_AGE_RANGE: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(24 * 3600);
/// `OTLP_STREAMS_MAX`.
pub const STREAMS_RANGE: RangeInclusive<u32> = 1..=65_536;
/// `KAFKA_RECORD_BYTES_MAX`: a span of a few KiB fits, below what brokers take in one request.
pub const RECORD_BYTES_RANGE: RangeInclusive<usize> = 4 * KIB..=64 * MIB;
/// `KAFKA_LINGER`: every reply waits for it.
pub const LINGER_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(1);
/// `KAFKA_BATCH_BYTES`: a broker's `socket.request.max.bytes` is 100 MiB by default.
pub const BATCH_BYTES_RANGE: RangeInclusive<usize> = 16 * KIB..=96 * MIB;
/// Beside key and value, a batch of one record holds a header of 61 B and up to 36 B of lengths.
pub const BATCH_FRAMING_BYTES: usize = 128;
/// `KAFKA_TOPIC_PARTITIONS`.
pub const TOPIC_PARTITIONS_RANGE: RangeInclusive<i32> = 1..=10_000;
/// `KAFKA_TOPIC_REPLICATION`: the protocol's 16 bits.
pub const TOPIC_REPLICATION_MAX: i32 = i16::MAX as i32;
/// `FORWARD_BATCH_BYTES`: backends that take more than 4 MiB are configured to.
pub const FORWARD_BATCH_BYTES_RANGE: RangeInclusive<usize> = 64 * KIB..=64 * MIB;
/// `FORWARD_BATCH_AGE`: 0 sends what one poll returned.
pub const FORWARD_BATCH_AGE_RANGE: RangeInclusive<Duration> =
    Duration::ZERO..=Duration::from_secs(10);
/// `FORWARD_REQUESTS_IN_FLIGHT`: each may hold a whole batch.
pub const FORWARD_REQUESTS_RANGE: RangeInclusive<usize> = 1..=64;
/// `FORWARD_REQUEST_TIMEOUT`.
pub const FORWARD_TIMEOUT_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(100)..=Duration::from_secs(300);
/// `FORWARD_RETRY_BACKOFF_MIN` and `_MAX`.
pub const FORWARD_BACKOFF_RANGE: RangeInclusive<Duration> =
    Duration::from_millis(1)..=Duration::from_secs(600);
/// `RECEIVE_THREADS`, `PUBLISH_THREADS`, `FORWARD_THREADS`.
pub const THREADS_RANGE: RangeInclusive<usize> = 1..=256;
/// `DRAIN_DELAY`.
pub const DRAIN_DELAY_RANGE: RangeInclusive<Duration> = Duration::ZERO..=Duration::from_secs(600);
/// `SHUTDOWN_DEADLINE`.
pub const SHUTDOWN_DEADLINE_RANGE: RangeInclusive<Duration> =
    Duration::from_secs(1)..=Duration::from_secs(3600);

// What must hold between them.

const _: () =
    assert!(REQUEST_BYTES_DEFAULT * BUDGET_SHARES_PER_CONNECTION <= BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(BATCH_BYTES_DEFAULT < TOPIC_MESSAGE_BYTES_DEFAULT);
const _: () = assert!(RECORD_BYTES_DEFAULT + BATCH_FRAMING_BYTES <= BATCH_BYTES_DEFAULT);
const _: () = assert!(2 * ADMISSION_DELAY.as_millis() < MESSAGE_TIMEOUT.as_millis());
const _: () = assert!(4 * ADMISSION_INTERVAL.as_millis() < ADMISSION_DELAY.as_millis());
const _: () = assert!(MESSAGE_TIMEOUT.as_millis() < REPLY_DEADLINE_DEFAULT.as_millis());
const _: () = assert!(READ_ROUND_FRAMES / 3 < PENDING_RESETS_MAX);
const _: () = assert!(PENDING_RESETS_MAX < READ_ROUND_FRAMES / 2);
const _: () = assert!(PRODUCER_QUEUE_KIB * KIB > BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(PRODUCER_QUEUE_RECORDS * RECORD_OVERHEAD_BYTES >= BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(RECORD_BYTES_DEFAULT < FORWARD_BATCH_BYTES_DEFAULT);

/// What may be held at one time by a process with one thread of each kind and default settings, in
/// bytes: every pool at its limit. The program itself, librdkafka's own tables, those of request
/// headers (see [`READ_TURN_BYTES`]) and what h2 keeps of every connection that was once busy are
/// beside it.
pub const MEMORY_BYTES_MAX_DEFAULT: usize = {
    // Requests from arrival to reply; records that librdkafka holds are charged to the same budget.
    let in_flight = BYTES_IN_FLIGHT_DEFAULT;
    // The request in the worker's hands, as sent and inflated: its charge is that of its records.
    let in_hand = 2 * REQUEST_BYTES_DEFAULT;
    // Tables of its split, just after they have doubled.
    let split_tables = SPLIT_SPANS_MAX * SPLIT_TABLE_BYTES_PER_SPAN_MAX;
    // The record being written, in the scratch that is kept.
    let record_scratch = SCRATCH_BYTES_KEPT;
    // Per connection one frame that is not whole yet, or what was read beyond a round, and h2's
    // buffers (8 KiB in, 16 KiB out).
    let connections = CONNECTIONS_DEFAULT * (FRAME_BYTES_MAX as usize + 24 * KIB);
    // Read and not charged yet: one turn, and what is left of it when the next begins.
    let read_turn = 2 * READ_TURN_BYTES;
    // Refused requests that are still read.
    let lingering = LINGERING_MAX * LINGERING_BYTES;
    // Prefetched records of one consumer, and one fetch that began just below the limit.
    let prefetch = 2 * CONSUMER_QUEUE_KIB * KIB;
    // Batches of every lane.
    let batches = FORWARD_REQUESTS_DEFAULT * FORWARD_BATCHES_PER_LANE * FORWARD_BATCH_BYTES_DEFAULT;
    // An answer per lane, as long as a backend can make it.
    let answers = FORWARD_REQUESTS_DEFAULT * BACKEND_ANSWER_BYTES_MAX;
    // A dead letter per lane, copied by librdkafka.
    let letters = FORWARD_REQUESTS_DEFAULT * (RECORD_BYTES_DEFAULT + DEAD_LETTER_HEADROOM_BYTES);
    // Heads of HTTP requests; a page is written from one text, counted as large as a MiB.
    let admin = ADMIN_CONNECTIONS_MAX * ADMIN_HEAD_BYTES_MAX + MIB;

    let receive =
        in_flight + in_hand + split_tables + record_scratch + connections + read_turn + lingering;
    let forward = prefetch + batches + answers + letters;
    receive + forward + admin
};
const _: () = assert!(MEMORY_BYTES_MAX_DEFAULT <= 256 * MIB);
