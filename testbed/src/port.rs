//! Free loopback ports.
//!
//! They are taken below the range that the kernel hands to outgoing connections. Binding port 0
//! would pick from that very range, and while a killed broker is down a client's connection, even
//! one to the broker's own port, could take the port it must come back to.

use std::{
    net::{Ipv4Addr, TcpListener},
    process,
    sync::atomic::{AtomicU32, Ordering},
};

/// First candidate, and how many follow: all below 32768, where Linux's range begins.
const FIRST: u32 = 20_000;
const COUNT: u32 = 12_000;
/// Candidates per process before the next process's share begins.
const SHARE: u32 = 97;

/// A port on which nothing listens now, and that this process has not handed out before.
///
/// Another process can still take it first: whoever starts a program on it retries.
pub fn free() -> u16 {
    static HANDED_OUT: AtomicU32 = AtomicU32::new(0);
    for _ in 0..COUNT {
        let offset = process::id() * SHARE + HANDED_OUT.fetch_add(1, Ordering::Relaxed);
        let port = u16::try_from(FIRST + offset % COUNT).expect("candidates are below 32768");
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return port;
        }
    }
    panic!("no free port between {FIRST} and {}", FIRST + COUNT);
}
