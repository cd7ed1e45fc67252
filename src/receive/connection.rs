//! One client connection from its first byte to its last. A task on the connection's runtime.
//!
//! The task lets h2 read and write, starts a task per request, and looks after the connection once
//! a tick: standstill, a peer that is gone, old age. It never waits for one of its requests.

use std::{
    future::poll_fn,
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use h2::{
    RecvStream,
    server::{Builder, Connection as Http2, SendResponse},
};
use http::Request;
use prometheus::IntGauge;
use tokio::{
    net::TcpStream,
    time::{MissedTickBehavior, interval, timeout},
};

use super::{
    drain::{Draining, Phase},
    opening::{self, Opening},
    peers::PeerPlace,
    service::Service,
    socket::{ReadTurn, Round, Socket},
    watch::Watch,
};
use crate::{
    internal_telemetry::Telemetry,
    limits::{
        CONNECTION_TICK, CONNECTION_WINDOW_BYTES, FRAME_BYTES_MAX, HEADER_LIST_BYTES_MAX,
        PENDING_RESETS_MAX, PREFACE_TIMEOUT, STREAM_WINDOW_BYTES,
    },
};

/// What every connection of a runtime shares.
pub(super) struct Connections {
    pub(super) service: Service,
    pub(super) streams_max: u32,
    pub(super) age_max: Option<Duration>,
    /// How long requests may go on after GOAWAY: none is answered later.
    pub(super) grace: Duration,
    pub(super) turn: Arc<ReadTurn>,
    pub(super) draining: Draining,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Connections {
    /// Serves a connection to its end.
    pub(super) async fn serve(&self, stream: std::net::TcpStream, _place: Place) {
        let metrics = &self.telemetry.receive;
        let opened = tokio::select! {
            opened = timeout(PREFACE_TIMEOUT, self.open(stream)) => opened,
            // A drain does not wait for those who have not asked for anything.
            () = self.draining.clone().reached(Phase::Draining) => return,
        };
        let (http2, watch, round) = match opened.unwrap_or(Err(Unopened::Refused("silent"))) {
            Ok(opened) => opened,
            Err(Unopened::Left) => return,
            Err(Unopened::Refused(reason)) => {
                return metrics.connections_refused.with_label_values(&[reason]).inc();
            }
        };
        if let Some(reason) = self.exchange(http2, watch, &round).await {
            metrics.connections_ended.with_label_values(&[reason]).inc();
        }
    }

    /// Sees the client's first bytes, and shakes hands when they are HTTP/2's.
    async fn open(
        &self,
        stream: std::net::TcpStream,
    ) -> Result<(Handshaken, Watch, Arc<Round>), Unopened> {
        let stream = TcpStream::from_std(stream)?;
        match opening::first_bytes(&stream).await? {
            Opening::Http2 => {}
            Opening::Closed => return Err(Unopened::Left),
            Opening::Tls => return Err(Unopened::Refused("tls")),
            Opening::Http1 => {
                opening::answer_http1(stream).await;
                return Err(Unopened::Refused("http1"));
            }
            Opening::Other => return Err(Unopened::Refused("not_http2")),
        }
        let socket = Socket::new(stream, Arc::clone(&self.turn));
        let (progress, round) = (socket.progress(), socket.round());
        let mut http2 =
            http2(self.streams_max).handshake::<_, Bytes>(socket).await.map_err(|e| {
                if e.is_io() { Unopened::Left } else { Unopened::Refused("not_http2") }
            })?;
        let pings = http2.ping_pong().expect("nobody has taken the pings before");
        Ok((http2, Watch::new(progress, pings, self.age_max, self.grace), round))
    }

    /// Serves requests until either side ends the connection; the reason when it was ours.
    async fn exchange(
        &self,
        mut http2: Handshaken,
        mut watch: Watch,
        round: &Round,
    ) -> Option<&'static str> {
        let share = Arc::new(self.service.share());
        let mut tick = interval(CONNECTION_TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut draining = std::pin::pin!(self.draining.clone().reached(Phase::Draining));
        let mut drained = false;
        loop {
            // The tick first: a flood of requests must not keep it away.
            tokio::select! {
                biased;
                now = tick.tick() => match watch.look(now) {
                    Ok(false) => {}
                    Ok(true) => http2.graceful_shutdown(),
                    Err(reason) => return Some(reason),
                },
                () = &mut draining, if !drained => {
                    drained = true;
                    http2.graceful_shutdown();
                }
                accepted = accept(&mut http2, round) => match accepted {
                    Some(Ok((request, respond))) => self.service.take(request, respond, &share),
                    // What the client broke; a socket that broke is its own affair.
                    Some(Err(error)) => return ours(&error).then_some("protocol"),
                    None => return watch.has_aged().then_some("aged"),
                },
            }
        }
    }
}

type Handshaken = Http2<Socket, Bytes>;

/// The next request; `None` when the connection has ended. A round of reading is over when none of
/// what it read is left.
async fn accept(http2: &mut Handshaken, round: &Round) -> Option<Result<Incoming, h2::Error>> {
    poll_fn(|context| {
        let accepted = http2.poll_accept(context);
        if accepted.is_pending() {
            round.begin();
        }
        accepted
    })
    .await
}

type Incoming = (Request<RecvStream>, SendResponse<Bytes>);

/// Why there is no HTTP/2 connection.
enum Unopened {
    /// The client has gone by itself.
    Left,
    /// It did not speak HTTP/2, or not in time: the label it is counted under.
    Refused(&'static str),
}

impl From<io::Error> for Unopened {
    fn from(_: io::Error) -> Self {
        Self::Left
    }
}

/// HTTP/2 with every setting that matters made explicit.
fn http2(streams_max: u32) -> Builder {
    let mut builder = Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(streams_max)
        .max_pending_accept_reset_streams(PENDING_RESETS_MAX)
        .max_frame_size(FRAME_BYTES_MAX)
        .max_header_list_size(HEADER_LIST_BYTES_MAX);
    builder
}

/// Whether it was this side that ended the connection, over a broken rule or a flood.
fn ours(error: &h2::Error) -> bool {
    error.is_library() && !error.is_io()
}

/// A connection's place in the counts of its runtime, its address and the process; dropped with
/// it.
pub(super) struct Place {
    load: Arc<AtomicUsize>,
    open: IntGauge,
    _peer: PeerPlace,
}

impl Place {
    pub(super) fn take(load: &Arc<AtomicUsize>, open: &IntGauge, peer: PeerPlace) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        open.inc();
        Self { load: Arc::clone(load), open: open.clone(), _peer: peer }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.open.dec();
    }
}
