//! The pages as a client sees them, over a real socket. The test's thread is the client, `admin`
//! the server; no test depends on how long anything takes.

use std::{
    io::{Read, Write},
    net::{IpAddr, Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::Value;
use socket2::{Domain, Socket, Type};

use super::{Admin, AdminError, AdminStop};
use crate::{
    config::{AdminConfig, Role},
    health::Health,
    internal_telemetry::{Stage, Telemetry},
    limits::{ADMIN_CONNECTIONS_MAX, ADMIN_HEAD_BYTES_MAX, KIB, MIB},
    threads::Threads,
};

/// Longer than anything here takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);

struct Pages {
    address: SocketAddr,
    telemetry: Arc<Telemetry>,
    health: Arc<Health>,
    stop: Arc<AdminStop>,
    threads: Threads,
}

impl Pages {
    fn serve() -> Self {
        Self::serve_with(Health::new())
    }

    fn serve_with(health: Health) -> Self {
        let (telemetry, health) = (Arc::new(Telemetry::new()), Arc::new(health));
        let admin = Admin::bind(&config(0), Arc::clone(&telemetry), Arc::clone(&health), Role::All)
            .unwrap();
        let address = admin.local_addr();
        let stop = admin.stopper();
        let mut threads = Threads::new();
        threads.spawn("admin".to_owned(), None, move || admin.run()).unwrap();
        Self { address, telemetry, health, stop, threads }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends `request` and reads to the end of the answer.
    fn exchange(&self, request: &str) -> Reply {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).unwrap();
        Reply::read(&mut stream)
    }

    fn get(&self, target: &str) -> Reply {
        self.exchange(&format!("GET {target} HTTP/1.1\r\nHost: test\r\n\r\n"))
    }

    fn dropped(&self, reason: &str) -> u64 {
        self.telemetry.admin.connections_dropped.with_label_values(&[reason]).get()
    }
}

impl Drop for Pages {
    fn drop(&mut self) {
        self.stop.stop();
        let late = self.threads.join("admin", Instant::now() + PATIENCE);
        assert_eq!(late, Vec::<String>::new());
    }
}

struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    fn read(stream: &mut TcpStream) -> Self {
        let mut text = String::new();
        stream.read_to_string(&mut text).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head: head.to_owned(), body: body.to_owned() }
    }
}

fn config(http_port: u16) -> AdminConfig {
    AdminConfig { listen_address: IpAddr::V4(Ipv4Addr::LOCALHOST), http_port }
}

/// The root page names every other page.
#[test]
fn root_lists_pages() {
    let reply = Pages::serve().get("/");
    assert_eq!(reply.status, 200);
    for path in ["/healthz", "/readyz", "/metrics", "/latency"] {
        assert!(reply.body.contains(path), "{}", reply.body);
    }
}

/// A process whose loops turn is alive, and says so in one word.
#[test]
fn alive() {
    let reply = Pages::serve().get("/healthz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
}

/// A stuck loop makes the process unhealthy, by name.
#[test]
fn stuck_loop_is_named() {
    let reply = Pages::serve_with(Health::with_stuck_loop("publish-0")).get("/healthz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.starts_with("stuck: publish-0 (silent for "), "{}", reply.body);
}

/// Readiness follows the required conditions, and names those that fail.
#[test]
fn readiness_follows_conditions() {
    let pages = Pages::serve();
    let broker = pages.health.condition("broker", true);
    let backend = pages.health.condition("backend", false);
    broker.set(false, "no leader for partition 3");
    backend.set(false, "connection refused");
    let reply = pages.get("/readyz");
    assert_eq!(reply.status, 503);
    assert!(reply.body.starts_with("not ready: broker: "), "{}", reply.body);
    assert!(reply.body.contains("no leader for partition 3"), "{}", reply.body);
    assert!(!reply.body.contains("backend"), "{}", reply.body);
    broker.set(true, "8 partitions, each with a leader");
    let reply = pages.get("/readyz");
    assert_eq!((reply.status, reply.body.as_str()), (200, "ok\n"));
}

/// The verbose form describes every condition, those too that do not decide.
#[test]
fn readiness_in_words() {
    let pages = Pages::serve();
    pages.health.condition("broker", true).set(true, "8 partitions, each with a leader");
    pages.health.condition("backend", false).set(false, "connection refused");
    let reply = pages.get("/readyz?verbose");
    assert_eq!(reply.status, 200);
    let lines: Vec<&str> = reply.body.lines().collect();
    assert_eq!(lines.len(), 3, "{}", reply.body);
    assert!(lines[1].starts_with("broker: ok for "), "{}", reply.body);
    assert!(lines[2].ends_with("connection refused"), "{}", reply.body);
}

/// HEAD answers with the head that GET has, and nothing after it.
#[test]
fn head_has_no_body() {
    let pages = Pages::serve();
    let reply = pages.exchange("HEAD /healthz HTTP/1.1\r\n\r\n");
    assert_eq!((reply.status, reply.body.as_str()), (200, ""));
    assert!(reply.head.contains("Content-Length: 3"), "{}", reply.head);
}

/// An unknown page is a 404 that lists the known ones.
#[test]
fn unknown_page() {
    let reply = Pages::serve().get("/metric");
    assert_eq!(reply.status, 404);
    assert!(reply.body.contains("/metrics"), "{}", reply.body);
}

/// Pages are read, never written to; a body that comes along does not cut the answer off.
#[test]
fn other_methods_are_refused() {
    let pages = Pages::serve();
    let body = "x".repeat(2_000);
    let reply = pages.exchange(&format!(
        "POST /healthz HTTP/1.1\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    ));
    assert_eq!(reply.status, 405);
    assert!(reply.head.contains("Allow: GET, HEAD"), "{}", reply.head);
}

/// What is not HTTP/1, or has no end, gets a status of its own.
#[test]
fn bad_heads() {
    let pages = Pages::serve();
    assert_eq!(pages.exchange("hello\r\n\r\n").status, 400);
    let long = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(ADMIN_HEAD_BYTES_MAX));
    assert_eq!(pages.exchange(&long).status, 431);
}

/// An announced body costs nothing: neither memory nor the thread's time.
#[test]
fn announced_bodies_are_ignored() {
    let pages = Pages::serve();
    for length in [5_000, u64::MAX] {
        let request = format!("GET /healthz HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        let mut held = pages.connect();
        held.write_all(request.as_bytes()).unwrap();
        assert_eq!(Reply::read(&mut held).status, 200);
        assert_eq!(pages.get("/healthz").status, 200, "while the sender is still connected");
    }
}

/// A head may come in pieces.
#[test]
fn head_in_pieces() {
    let pages = Pages::serve();
    let mut stream = pages.connect();
    stream.set_nodelay(true).unwrap();
    for piece in ["GET /hea", "lthz HTTP/1.1\r", "\n\r", "\n"] {
        stream.write_all(piece.as_bytes()).unwrap();
        // Another exchange in between: the thread has seen the piece, and did not wait for more.
        assert_eq!(pages.get("/healthz").status, 200);
    }
    assert_eq!(Reply::read(&mut stream).body, "ok\n");
}

/// However many clients hold connections and say nothing, a probe is answered, and what was
/// closed for it is counted.
#[test]
fn silent_clients_are_crowded_out() {
    let pages = Pages::serve();
    let silent: Vec<TcpStream> = (0..ADMIN_CONNECTIONS_MAX + 5).map(|_| pages.connect()).collect();
    assert_eq!(pages.get("/healthz").status, 200);
    assert_eq!(pages.dropped("crowded_out"), 6);
    drop(silent);
}

/// A client that is silent for too long is closed, and counted.
#[test]
fn late_clients_are_closed() {
    let pages = Pages::serve();
    let mut silent = pages.connect();
    assert_eq!(silent.read(&mut [0]).unwrap(), 0, "closed by the server");
    assert_eq!(pages.dropped("timed_out"), 1);
}

/// A client that does not take its answer keeps nobody waiting, and gets the rest when it does.
#[test]
fn slow_reader_waits_alone() {
    let pages = Pages::serve();
    // More than the kernel buffers on both sides of a loopback connection.
    for series in 0..8 {
        let lag = &pages.telemetry.forward.lag_records;
        lag.with_label_values(&[&format!("{series}{}", "x".repeat(MIB))]).set(1);
    }
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    socket.set_recv_buffer_size(4 * KIB).unwrap();
    socket.connect(&pages.address.into()).unwrap();
    let mut slow = TcpStream::from(socket);
    slow.set_read_timeout(Some(PATIENCE)).unwrap();
    slow.write_all(b"GET /metrics HTTP/1.1\r\n\r\n").unwrap();
    let mut first = [0; 1];
    slow.read_exact(&mut first).unwrap();
    assert_eq!(pages.get("/healthz").status, 200);
    let reply = Reply::read(&mut slow);
    assert!(reply.body.len() > 8 * MIB, "{}", reply.body.len());
    assert!(reply.head.contains(&format!("Content-Length: {}", reply.body.len())));
}

/// A client that closes its sending side after the request still gets its answer.
#[test]
fn half_closed_client() {
    let pages = Pages::serve();
    let mut stream = pages.connect();
    stream.write_all(b"GET /healthz HTTP/1.0\r\n\r\n").unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    assert_eq!(Reply::read(&mut stream).body, "ok\n");
}

/// The exposition is in Prometheus's format: every sample belongs to a family with help and type,
/// and ends in a number.
#[test]
fn metrics_parse() {
    let pages = Pages::serve();
    pages.telemetry.receive.requests_received.inc_by(3);
    let reply = pages.get("/metrics");
    assert_eq!(reply.status, 200);
    assert!(reply.head.contains("Content-Type: text/plain; version=0.0.4"), "{}", reply.head);
    assert!(reply.body.contains("\notel_pipeline_receive_requests_received_total 3\n"));
    assert!(reply.body.contains("otel_pipeline_build_info{"), "{}", reply.body);
    let mut families = Vec::new();
    for line in reply.body.lines() {
        if let Some(described) = line.strip_prefix("# TYPE ") {
            families.push(described.split(' ').next().unwrap());
        } else if !line.starts_with('#') {
            let (series, value) = line.rsplit_once(' ').unwrap();
            value.parse::<f64>().unwrap_or_else(|_| panic!("{line}"));
            let family = families.last().unwrap();
            assert!(series.starts_with(family), "{line} stands under {family}");
        }
    }
    assert!(families.len() > 20, "{}", families.len());
}

/// Durations recorded by any thread's recorder come out as percentiles, in microseconds, in every
/// window.
#[test]
fn latency_percentiles() {
    let pages = Pages::serve();
    let recorder = pages.telemetry.latency.recorder();
    for milliseconds in 1..=100 {
        recorder.record(Stage::BackendCall, Duration::from_millis(milliseconds));
    }
    let report: Value = serde_json::from_str(&pages.get("/latency").body).unwrap();
    for window in ["last_10s", "last_minute", "since_start"] {
        let figures = &report["stages"]["backend_call"][window];
        assert_eq!(figures["count"], 100, "{report}");
        for (key, milliseconds) in [("p50_us", 50.0), ("p99_us", 99.0), ("max_us", 100.0)] {
            let measured = figures[key].as_f64().unwrap() / 1e3;
            assert!((measured / milliseconds - 1.0).abs() < 0.01, "{key}: {measured} ms");
        }
    }
    assert_eq!(report["stages"]["split"]["since_start"]["count"], 0);
}

/// The percentile text has HdrHistogram's columns and footer, for one stage at a time.
#[test]
fn latency_as_hgrm() {
    let pages = Pages::serve();
    let recorder = pages.telemetry.latency.recorder();
    for milliseconds in 1..=100 {
        recorder.record(Stage::Split, Duration::from_millis(milliseconds));
    }
    let text = pages.get("/latency?format=hgrm&stage=split").body;
    let mut totals = Vec::new();
    for row in text.lines().skip(2).take_while(|line| !line.starts_with('#')) {
        let columns: Vec<f64> = row.split_whitespace().map(|word| word.parse().unwrap()).collect();
        totals.push(columns[2]);
    }
    assert!(totals.is_sorted() && totals.last() == Some(&100.0), "{text}");
    assert!(text.contains("Total count    =          100]"), "{text}");
    let reply = pages.get("/latency?format=hgrm");
    assert_eq!(reply.status, 400);
    assert!(reply.body.contains("receive_to_reply"), "{}", reply.body);
    assert_eq!(pages.get("/latency?format=hgrm&stage=split&window=today").status, 400);
    assert_eq!(pages.get("/latency?format=xml").status, 400);
}

/// Answers are counted by status.
#[test]
fn answers_are_counted() {
    let pages = Pages::serve();
    pages.get("/healthz");
    pages.get("/nowhere");
    let count = |status| pages.telemetry.admin.requests.with_label_values(&[status]).get();
    assert_eq!((count("200"), count("404")), (1, 1));
}

/// A taken port is an error that names the address, the setting and the reason.
#[test]
fn taken_port() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let telemetry = Arc::new(Telemetry::new());
    let refused = Admin::bind(&config(port), telemetry, Arc::new(Health::new()), Role::All);
    let error = refused.err().expect("the port is taken");
    let AdminError::Bind { source, .. } = &error else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        format!("cannot listen on 127.0.0.1:{port} (HTTP_PORT, LISTEN_ADDRESS): {source}")
    );
}
