//! A TCP proxy that misbehaves on request: latency, bandwidth, silence, reset.
//!
//! Two threads per connection, one per direction; both look at the shared faults before every
//! chunk. They end with their connection, or with the proxy.

use std::{
    io::{ErrorKind, Read, Write},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// A running proxy; it stops forwarding when dropped.
pub(crate) struct Proxy {
    port: u16,
    faults: Arc<Faults>,
}

/// What is wrong at present, for every connection.
#[derive(Default)]
struct Faults {
    /// Where connections lead; 0 until it is known.
    upstream_port: AtomicU64,
    /// Added to every chunk towards the upstream.
    latency_millis: AtomicU64,
    /// Towards the upstream, all connections together; 0 is without a limit.
    bytes_per_second: AtomicU64,
    /// Nothing is passed on and nothing is closed: the other side is gone without a word.
    silent: AtomicBool,
    /// Connections made before the last cut are closed.
    cuts: AtomicU64,
    closed: AtomicBool,
    /// When the bandwidth is free again.
    free_at: Mutex<Option<Instant>>,
}

impl Proxy {
    /// Listens at `port`; connections end at once until there is an upstream.
    pub(crate) fn start(port: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
            .unwrap_or_else(|error| panic!("the proxy's port {port}: {error}"));
        let port = listener.local_addr().expect("a bound socket has an address").port();
        let faults = Arc::new(Faults::default());
        let shared = Arc::clone(&faults);
        spawn(move || accept(&listener, &shared));
        Self { port, faults }
    }

    /// Where it listens.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Connections lead to this loopback port from now on.
    pub(crate) fn lead_to(&self, port: u16) {
        self.faults.upstream_port.store(u64::from(port), Ordering::Relaxed);
    }

    /// Delays what is sent upstream.
    pub(crate) fn set_latency(&self, latency: Duration) {
        let millis = u64::try_from(latency.as_millis()).expect("latencies are short");
        self.faults.latency_millis.store(millis, Ordering::Relaxed);
    }

    /// Limits what is sent upstream, all connections together; 0 lifts the limit.
    pub(crate) fn set_bandwidth(&self, bytes_per_second: u64) {
        self.faults.bytes_per_second.store(bytes_per_second, Ordering::Relaxed);
    }

    /// Half-open: every byte is held back and no connection is closed.
    pub(crate) fn set_silent(&self, silent: bool) {
        self.faults.silent.store(silent, Ordering::Relaxed);
    }

    /// Closes every connection that there is; new ones are served.
    pub(crate) fn cut(&self) {
        self.faults.cuts.fetch_add(1, Ordering::Relaxed);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.faults.closed.store(true, Ordering::Relaxed);
        // Wakes the accepting thread, which then ends.
        TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)).ok();
    }
}

fn accept(listener: &TcpListener, faults: &Arc<Faults>) {
    while let Ok((client, _)) = listener.accept() {
        if faults.closed.load(Ordering::Relaxed) {
            return;
        }
        let port = faults.upstream_port.load(Ordering::Relaxed);
        let Some(port) = u16::try_from(port).ok().filter(|port| *port > 0) else { continue };
        // A refused upstream is a closed client: dropping it says so.
        let Ok(server) = TcpStream::connect((Ipv4Addr::LOCALHOST, port)) else { continue };
        if let Err(error) = serve(client, server, faults) {
            // The client has gone before it was served.
            debug_assert_ne!(error.kind(), ErrorKind::InvalidInput);
        }
    }
}

fn serve(client: TcpStream, server: TcpStream, faults: &Arc<Faults>) -> std::io::Result<()> {
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(LOOK_EVERY))?;
    }
    let directions = [(client.try_clone()?, server.try_clone()?, true), (server, client, false)];
    for (from, to, upstream) in directions {
        let faults = Arc::clone(faults);
        let cuts = faults.cuts.load(Ordering::Relaxed);
        spawn(move || {
            pump(&from, &to, upstream, cuts, &faults);
            // Either end may be closed already.
            from.shutdown(Shutdown::Both).ok();
            to.shutdown(Shutdown::Both).ok();
        });
    }
    Ok(())
}

/// Passes bytes on until the connection ends or is cut.
fn pump(mut from: &TcpStream, mut to: &TcpStream, upstream: bool, cuts: u64, faults: &Faults) {
    let mut chunk = vec![0; CHUNK_BYTES];
    let over =
        || faults.closed.load(Ordering::Relaxed) || faults.cuts.load(Ordering::Relaxed) != cuts;
    while !over() {
        let length = match from.read(&mut chunk) {
            Ok(0) => return,
            Ok(length) => length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {
                continue;
            }
            Err(_) => return,
        };
        if upstream {
            faults.delay(length);
        }
        while faults.silent.load(Ordering::Relaxed) && !over() {
            thread::sleep(LOOK_EVERY);
        }
        if over() || to.write_all(&chunk[..length]).is_err() {
            return;
        }
    }
}

impl Faults {
    /// Waits as long as `length` bytes take.
    fn delay(&self, length: usize) {
        let latency = Duration::from_millis(self.latency_millis.load(Ordering::Relaxed));
        let bandwidth = self.bytes_per_second.load(Ordering::Relaxed);
        let mut wait = latency;
        if bandwidth > 0 {
            let now = Instant::now();
            let takes = Duration::from_secs_f64(length as f64 / bandwidth as f64);
            let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
            // A sleep ends late; what that cost is caught up with, or the limit would be lower.
            let since = now.checked_sub(CATCH_UP).unwrap_or(now);
            let done = free_at.map_or(now, |free_at| free_at.max(since)) + takes;
            *free_at = Some(done);
            wait += done.saturating_duration_since(now);
        }
        if !wait.is_zero() {
            thread::sleep(wait);
        }
    }
}

#[expect(clippy::disallowed_methods, reason = "threads::spawn belongs to the tested process")]
fn spawn(work: impl FnOnce() + Send + 'static) {
    thread::spawn(work);
}

/// How far the limited bandwidth may lag behind before its time is lost.
const CATCH_UP: Duration = Duration::from_millis(100);
const CHUNK_BYTES: usize = 16 * 1024;
/// How soon an idle connection notices that it is cut.
const LOOK_EVERY: Duration = Duration::from_millis(20);

#[cfg(test)]
mod tests {
    use super::*;

    /// An upstream that returns every byte, and a connection to it through a proxy.
    fn echo() -> (Proxy, TcpStream) {
        let upstream = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let proxy = Proxy::start(0);
        proxy.lead_to(upstream.local_addr().unwrap().port());
        spawn(move || {
            let (mut peer, _) = upstream.accept().unwrap();
            let mut back = peer.try_clone().unwrap();
            std::io::copy(&mut peer, &mut back).ok();
        });
        let client = TcpStream::connect((Ipv4Addr::LOCALHOST, proxy.port())).unwrap();
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        (proxy, client)
    }

    fn exchange(client: &mut TcpStream, bytes: &[u8]) -> std::io::Result<Vec<u8>> {
        client.write_all(bytes)?;
        let mut answer = vec![0; bytes.len()];
        client.read_exact(&mut answer)?;
        Ok(answer)
    }

    /// Bytes pass unchanged in both directions, with and without latency and a limit.
    #[test]
    fn bytes_pass() {
        let (proxy, mut client) = echo();
        assert_eq!(exchange(&mut client, b"plain").unwrap(), b"plain");
        proxy.set_latency(Duration::from_millis(5));
        proxy.set_bandwidth(1 << 20);
        assert_eq!(exchange(&mut client, &[7; 50_000]).unwrap(), [7; 50_000]);
    }

    /// Silence holds bytes back without closing, and lets them go when it ends; a cut closes.
    #[test]
    fn silence_is_not_a_cut() {
        let (proxy, mut client) = echo();
        proxy.set_silent(true);
        client.write_all(b"held").unwrap();
        client.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
        let held = client.read(&mut [0; 4]).unwrap_err();
        assert!(matches!(held.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{held}");
        proxy.set_silent(false);
        client.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
        let mut answer = [0; 4];
        client.read_exact(&mut answer).unwrap();
        assert_eq!(&answer, b"held");
        proxy.cut();
        assert!(!matches!(client.read(&mut answer), Ok(1..)), "the connection is gone");
    }
}
