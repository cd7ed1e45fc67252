//! What hostile clients do to an OTLP port. Each does it until its time is over; the port may close
//! on it before, and it comes back.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use testbed::raw_http2::{
    CONTINUATION, DATA, END_STREAM, HEADERS, PING, PREFACE, RST_STREAM, RawClient, SETTINGS,
    export_block, export_headers, frame,
};

use crate::stand::rest;

/// A way to do harm, and how to tell that it was done.
pub(crate) struct Attack {
    pub(crate) name: &'static str,
    /// Does it until a moment; how often it was done.
    pub(crate) run: fn(SocketAddr, Instant) -> u64,
    /// So often at the least, or it was no attack.
    pub(crate) least: u64,
    /// So many connections must be seen open at a time.
    pub(crate) connections: f64,
    /// What the pipeline counts of it, and by how much at the least.
    pub(crate) counted: Counted,
}

/// Every one of them.
pub(crate) const ATTACKS: &[Attack] = &[
    Attack { connections: 900.0, ..attack("crowd", crowd, CROWD as u64 + 1, PEER_LIMIT) },
    attack("other protocols", other_protocols, 3, OTHER_PROTOCOLS),
    Attack { connections: 3.0 * SLOW as f64, ..attack("slowloris", slowloris, 1000, &[]) },
    attack("rapid reset", |port, until| flood(port, until, false, rapid_reset), 1, ENDED),
    attack("CONTINUATION", |port, until| flood(port, until, false, continuation), 1, ENDED),
    attack("one-byte DATA", |port, until| flood(port, until, false, one_byte_data), 10, BUDGET),
    attack("empty DATA", |port, until| flood(port, until, false, empty_data), 1, ENDED),
    attack("PING", |port, until| flood(port, until, true, pings), 10, &[]),
    attack("SETTINGS", |port, until| flood(port, until, true, settings), 10, &[]),
    attack("begun requests", begun, 1, REQUESTS),
    attack("unread answers", |port, until| flood(port, until, false, unread), 10, REQUESTS),
];

const fn attack(
    name: &'static str,
    run: fn(SocketAddr, Instant) -> u64,
    least: u64,
    counted: Counted,
) -> Attack {
    Attack { name, run, least, connections: 0.0, counted }
}

/// Sends round after round, on a new connection whenever the old one is closed; how many rounds
/// were sent or cut short by the port. One who is `reading` takes the answers, so that the port
/// need not stop at the first that are not taken.
fn flood(address: SocketAddr, until: Instant, reading: bool, round: fn(u32) -> Vec<u8>) -> u64 {
    let mut rounds = 0;
    while Instant::now() < until {
        let mut client = RawClient::connect(address);
        if reading {
            client.read_beside();
        }
        let sent = (0..).take_while(|number| client.send_until(&round(*number), until));
        rounds += 1 + sent.count() as u64;
        client.close();
    }
    rounds
}

/// Thousands of connections that say nothing, each time some more than one address may have.
fn crowd(address: SocketAddr, until: Instant) -> u64 {
    let mut opened = 0;
    while Instant::now() < until {
        // This process may be out of descriptors before the port is out of patience.
        let connect = |_| TcpStream::connect(address).ok().filter(|_| Instant::now() < until);
        let open: Vec<_> = (0..CROWD).map_while(connect).collect();
        opened += open.len() as u64;
        rest(Duration::from_millis(100));
    }
    opened
}

fn other_protocols(address: SocketAddr, until: Instant) -> u64 {
    let openings: [&[u8]; 3] =
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n", &[0; 100]];
    let mut closed = 0;
    for opening in openings.iter().cycle() {
        if Instant::now() >= until {
            break;
        }
        let mut client = RawClient::silent(address);
        client.send(opening);
        client.read_to_close();
        closed += 1;
    }
    closed
}

/// Connections that say a byte at a time: of the preface, of a header block, of a body. How many
/// bytes those said that were listened to least.
fn slowloris(address: SocketAddr, until: Instant) -> u64 {
    let headers = export_headers(1);
    // A message without an end: bytes that are no protobuf are found out when it is whole.
    let body = frame(DATA, 0, 1, &[0, 0, 1, 0, 0]);
    let mut in_preface: Vec<_> = (0..SLOW).map(|_| RawClient::silent(address)).collect();
    let mut in_headers: Vec<_> = (0..SLOW).map(|_| RawClient::connect(address)).collect();
    let mut in_body: Vec<_> = (0..SLOW).map(|_| RawClient::connect(address)).collect();
    for client in &mut in_body {
        client.send(&[&headers[..], &body].concat());
    }
    let mut said = [0; 3];
    for (preface, header) in PREFACE.iter().zip(&headers) {
        if Instant::now() >= until {
            break;
        }
        in_preface.retain_mut(|client| client.send(&[*preface]));
        in_headers.retain_mut(|client| client.send(&[*header]));
        in_body.retain_mut(|client| client.send(&frame(DATA, 0, 1, &[7])));
        for (said, clients) in said.iter_mut().zip([&in_preface, &in_headers, &in_body]) {
            *said += clients.len() as u64;
        }
        rest(Duration::from_millis(125));
    }
    said.into_iter().min().unwrap_or(0)
}

/// One connection after the other that begins a thousand requests and ends none.
fn begun(address: SocketAddr, until: Instant) -> u64 {
    let mut connections = 0;
    while Instant::now() < until {
        let mut client = RawClient::connect(address);
        connections += u64::from(client.send_until(&begun_requests(), until));
        // Long enough for the port to read them.
        rest(Duration::from_millis(50));
    }
    connections
}

/// The streams of a round; none comes twice on a connection.
fn streams(round: u32) -> impl Iterator<Item = u32> {
    (2000 * round + 1..).step_by(2).take(1000)
}

fn rapid_reset(round: u32) -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    let one = |stream| [export_headers(stream), frame(RST_STREAM, 0, stream, &cancel)].concat();
    streams(round).flat_map(one).collect()
}

/// Opens a stream in the first round, and says more of it in that and all others.
fn after(opening: Vec<u8>, round: u32, more: Vec<u8>) -> Vec<u8> {
    if round == 0 { [opening, more].concat() } else { more }
}

fn continuation(round: u32) -> Vec<u8> {
    let more = frame(CONTINUATION, 0, 1, &[0x82; 1000]).repeat(100);
    after(frame(HEADERS, 0, 1, &export_block()), round, more)
}

/// The body of a message of 4 MiB, every byte in a frame of its own.
fn one_byte_data(round: u32) -> Vec<u8> {
    let announced = frame(DATA, 0, 1, &[0, 0, 0x40, 0, 0]);
    let opening = [export_headers(1), announced].concat();
    after(opening, round, frame(DATA, 0, 1, &[7]).repeat(10_000))
}

fn empty_data(round: u32) -> Vec<u8> {
    after(export_headers(1), round, frame(DATA, 0, 1, &[]).repeat(10_000))
}

fn pings(_round: u32) -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8]).repeat(10_000)
}

fn settings(_round: u32) -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[]).repeat(10_000)
}

/// A thousand requests that announce the largest message that is taken, and send none of it.
pub(crate) fn begun_requests() -> Vec<u8> {
    let announced = [0, 0, 0x80, 0, 0];
    let one = |stream| [export_headers(stream), frame(DATA, 0, stream, &announced)].concat();
    streams(0).flat_map(one).collect()
}

fn unread(round: u32) -> Vec<u8> {
    let empty = [0; 5];
    let one = |stream| [export_headers(stream), frame(DATA, END_STREAM, stream, &empty)].concat();
    streams(round).flat_map(one).collect()
}

/// Connections at a time.
const CROWD: usize = 1250;
/// Clients of slowloris at each stage.
const SLOW: usize = 100;

type Counted = &'static [(&'static str, f64)];
const PEER_LIMIT: Counted = &[("receive_connections_refused_total{reason=\"peer_limit\"}", 100.0)];
const OTHER_PROTOCOLS: Counted = &[
    ("receive_connections_refused_total{reason=\"tls\"}", 1.0),
    ("receive_connections_refused_total{reason=\"http1\"}", 1.0),
    ("receive_connections_refused_total{reason=\"not_http2\"}", 1.0),
];
const ENDED: Counted = &[("receive_connections_ended_total{reason=\"protocol\"}", 1.0)];
const BUDGET: Counted = &[("receive_refusals_total{reason=\"connection_budget\"}", 1.0)];
/// Four times what the polite client sends meanwhile.
const REQUESTS: Counted = &[("receive_requests_received_total", 2000.0)];
