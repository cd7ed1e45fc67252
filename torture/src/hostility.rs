//! What hostile clients do to an OTLP port, one thing after the other. Each is over when its time
//! is; the port may close on it before, and it comes back.

use std::{
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use testbed::raw_http2::{
    CONTINUATION, DATA, END_STREAM, HEADERS, PING, RST_STREAM, RawClient, SETTINGS, export_block,
    export_headers, frame,
};

/// A way to do harm until a moment.
pub(crate) type Attack = fn(SocketAddr, Instant);

/// Every one of them.
pub(crate) const ATTACKS: &[Attack] = &[
    crowd,
    other_protocols,
    slowloris,
    |port, until| flood(port, until, &rapid_reset()),
    |port, until| flood(port, until, &continuation()),
    |port, until| flood(port, until, &data(&[7])),
    |port, until| flood(port, until, &data(&[])),
    |port, until| flood(port, until, &pings()),
    |port, until| flood(port, until, &settings()),
    |port, until| flood(port, until, &begun_requests()),
    |port, until| flood(port, until, &unread_answers()),
];

/// Sends the same bytes again and again, on a new connection whenever the old one is closed.
fn flood(address: SocketAddr, until: Instant, bytes: &[u8]) {
    while Instant::now() < until {
        let mut client = RawClient::connect(address);
        while Instant::now() < until && client.send(bytes) {}
    }
}

/// Ten thousand connections that say nothing, a thousand at a time.
fn crowd(address: SocketAddr, until: Instant) {
    for _ in 0..10 {
        // This process may be out of descriptors before the port is out of patience.
        let open: Vec<_> = (0..1000).map_while(|_| TcpStream::connect(address).ok()).collect();
        drop(open);
        if Instant::now() >= until {
            return;
        }
    }
}

fn other_protocols(address: SocketAddr, until: Instant) {
    let openings: [&[u8]; 3] =
        [b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", b"GET / HTTP/1.1\r\n\r\n", &[0; 100]];
    for opening in openings.iter().cycle() {
        if Instant::now() >= until {
            return;
        }
        let mut client = RawClient::silent(address);
        client.send(opening);
        client.read_to_close();
    }
}

/// Two hundred connections that say a byte at a time.
fn slowloris(address: SocketAddr, until: Instant) {
    let mut clients: Vec<_> = (0..200).map(|_| RawClient::connect(address)).collect();
    let said = export_headers(1);
    for byte in said.iter().cycle() {
        if Instant::now() >= until {
            return;
        }
        clients.retain_mut(|client| client.send(&[*byte]));
        crate::stand::rest(Duration::from_millis(100));
    }
}

fn streams() -> impl Iterator<Item = u32> {
    (1..).step_by(2).take(1000)
}

fn rapid_reset() -> Vec<u8> {
    let cancel = 8_u32.to_be_bytes();
    let one = |stream| [export_headers(stream), frame(RST_STREAM, 0, stream, &cancel)].concat();
    streams().flat_map(one).collect()
}

fn continuation() -> Vec<u8> {
    let rest = frame(CONTINUATION, 0, 1, &[0x82; 1000]).repeat(1000);
    [frame(HEADERS, 0, 1, &export_block()), rest].concat()
}

fn data(payload: &[u8]) -> Vec<u8> {
    [export_headers(1), frame(DATA, 0, 1, payload).repeat(10_000)].concat()
}

fn pings() -> Vec<u8> {
    frame(PING, 0, 0, &[0; 8]).repeat(10_000)
}

fn settings() -> Vec<u8> {
    frame(SETTINGS, 0, 0, &[]).repeat(10_000)
}

/// A thousand requests that announce the largest message that is taken, and send none of it.
pub(crate) fn begun_requests() -> Vec<u8> {
    let announced = [0, 0, 0x80, 0, 0];
    let one = |stream| [export_headers(stream), frame(DATA, 0, stream, &announced)].concat();
    streams().flat_map(one).collect()
}

fn unread_answers() -> Vec<u8> {
    let empty = [0; 5];
    let one = |stream| [export_headers(stream), frame(DATA, END_STREAM, stream, &empty)].concat();
    streams().flat_map(one).collect()
}
