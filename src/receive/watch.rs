//! What a connection's task looks at once a tick: standstill, a peer that is gone, old age.

use std::{
    hash::{BuildHasher, RandomState},
    sync::Arc,
    task::{Context, Waker},
    time::Duration,
};

use h2::{Ping, PingPong};
use tokio::time::Instant;

use super::socket::{Progress, Standstill};
use crate::limits::{
    CONNECTION_AGE_JITTER_PERCENT, KEEPALIVE_INTERVAL, KEEPALIVE_TIMEOUT, STANDSTILL_MAX,
};

/// The watch over one connection.
pub(super) struct Watch {
    progress: Arc<Progress>,
    reads: Standstill,
    writes: Standstill,
    pings: PingPong,
    pinged: Instant,
    pong_due: bool,
    /// When the connection is told to go away.
    aged_at: Option<Instant>,
    /// When it is dropped if it has not gone.
    gone_at: Option<Instant>,
    grace: Duration,
}

impl Watch {
    /// Begins now.
    pub(super) fn new(
        progress: Arc<Progress>,
        pings: PingPong,
        age_max: Option<Duration>,
        grace: Duration,
    ) -> Self {
        let now = Instant::now();
        Self {
            progress,
            reads: Standstill::default(),
            writes: Standstill::default(),
            pings,
            pinged: now,
            pong_due: false,
            aged_at: age_max.map(|age_max| now + jittered(age_max)),
            gone_at: None,
            grace,
        }
    }

    /// One look; true when the connection has reached its age and is to be told to go away.
    ///
    /// # Errors
    /// The reason to drop the connection.
    pub(super) fn look(&mut self, now: Instant) -> Result<bool, &'static str> {
        // Writes first: h2 does not read on while it cannot write.
        if self.writes.lasts(&self.progress.writes, now, STANDSTILL_MAX) {
            return Err("write_stalled");
        }
        if self.reads.lasts(&self.progress.reads, now, STANDSTILL_MAX) {
            return Err("read_stalled");
        }
        if !self.peer_lives(now) {
            return Err("unresponsive");
        }
        if self.gone_at.is_some_and(|gone_at| now >= gone_at) {
            return Err("aged");
        }
        let aged = self.aged_at.take_if(|aged_at| now >= *aged_at).is_some();
        if aged {
            self.gone_at = Some(now + self.grace);
        }
        Ok(aged)
    }

    /// Whether the connection was told to go away for its age.
    pub(super) fn has_aged(&self) -> bool {
        self.gone_at.is_some()
    }

    /// Asks for a sign of life at an interval; false when none came in time.
    fn peer_lives(&mut self, now: Instant) -> bool {
        if self.pong_due {
            // Looked at once a tick: nobody has to be woken by the answer.
            let mut nobody = Context::from_waker(Waker::noop());
            self.pong_due = self.pings.poll_pong(&mut nobody).is_pending();
            return !self.pong_due || now - self.pinged < KEEPALIVE_TIMEOUT;
        }
        if now - self.pinged >= KEEPALIVE_INTERVAL {
            self.pinged = now;
            // An error means that the connection has ended, which its task is about to see.
            self.pong_due = self.pings.send_ping(Ping::opaque()).is_ok();
        }
        true
    }
}

/// A fleet that connected at one moment must not be sent away at one moment.
fn jittered(age_max: Duration) -> Duration {
    let random = RandomState::new().hash_one(0_u8) % (CONNECTION_AGE_JITTER_PERCENT + 1);
    age_max - age_max / 100 * random as u32
}

#[cfg(test)]
mod tests {
    use tokio::{
        net::{TcpListener, TcpStream},
        runtime::Builder,
    };

    use super::*;

    /// A connection whose client has shaken hands and says nothing more, and its watch.
    async fn watched(age_max: Option<Duration>) -> (Watch, TcpStream, impl Sized) {
        const HELLO: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (server, _) = listener.accept().await.unwrap();
        client.writable().await.unwrap();
        assert_eq!(client.try_write(HELLO).unwrap(), HELLO.len());
        let mut http2 = h2::server::handshake(server).await.unwrap();
        let pings = http2.ping_pong().unwrap();
        (Watch::new(Arc::default(), pings, age_max, Duration::from_secs(9)), client, http2)
    }

    /// What the looks at these seconds say.
    fn looks(age_max: Option<u64>, seconds: &[u64]) -> Vec<Result<bool, &'static str>> {
        Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
            let start = Instant::now();
            let age_max = age_max.map(Duration::from_secs);
            let (mut watch, _client, _http2) = watched(age_max).await;
            let at = |seconds: &u64| start + Duration::from_secs(*seconds);
            seconds.iter().map(|seconds| watch.look(at(seconds))).collect()
        })
    }

    /// A peer that does not answer a ping in time is given up.
    #[test]
    fn a_silent_peer_is_given_up() {
        let told = looks(None, &[20, 32, 34, 41, 42]);
        assert_eq!(told, [Ok(false), Ok(false), Ok(false), Ok(false), Err("unresponsive")]);
    }

    /// An old connection is told to go away once, and dropped when it has not gone.
    #[test]
    fn an_old_connection_is_dropped_in_the_end() {
        let told = looks(Some(20), &[2, 22, 24, 30, 31]);
        assert_eq!(told, [Ok(false), Ok(true), Ok(false), Ok(false), Err("aged")]);
    }

    /// No connection is older than asked for, and none is sent away much earlier.
    #[test]
    fn jitter_shortens_a_little() {
        let age_max = Duration::from_secs(100);
        for _ in 0..1000 {
            let age = jittered(age_max);
            assert!(age <= age_max && age >= Duration::from_secs(90), "{age:?}");
        }
    }
}
