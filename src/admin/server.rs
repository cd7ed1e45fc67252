//! The admin thread: its sockets, its beat and its once-a-second work.

use std::{
    io::{self, ErrorKind},
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use mio::{Events, Interest, Poll, Token, Waker, net::TcpListener};
use thiserror::Error;

use super::{
    connection::{Connection, HeadError, Progress},
    request::Request,
    routes::{self, Answer, Sources},
    summary::SummaryLog,
};
use crate::{
    config::{AdminConfig, Role},
    health::Health,
    internal_telemetry::Telemetry,
    limits::{ADMIN_CONNECTIONS_MAX, ADMIN_EXCHANGE_MAX, ADMIN_TICK},
};

/// Why the pages cannot be served.
#[derive(Debug, Error)]
pub enum AdminError {
    /// The address is taken or not ours.
    #[error("cannot listen on {address} (HTTP_PORT, LISTEN_ADDRESS): {source}")]
    Bind {
        /// What was asked for.
        address: SocketAddr,
        /// The system's reason.
        source: io::Error,
    },
    /// The system refused an event queue.
    #[error("cannot watch the sockets of the HTTP pages")]
    Poll(#[source] io::Error),
}

/// The tokens of what is no connection; those below are their slots.
const LISTENER: Token = Token(ADMIN_CONNECTIONS_MAX);
const STOP: Token = Token(ADMIN_CONNECTIONS_MAX + 1);

/// The HTTP pages, bound and ready to run.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    poll: Poll,
    connections: [Option<Connection>; ADMIN_CONNECTIONS_MAX],
    sources: Sources,
    stop: Arc<AdminStop>,
}

/// Ends the admin thread, from any other.
pub struct AdminStop {
    asked: AtomicBool,
    waker: Waker,
}

impl AdminStop {
    /// Asks for the end, which comes at once.
    pub fn stop(&self) {
        self.asked.store(true, Ordering::Release);
        // Were it not woken, it would look after a tick.
        self.waker.wake().ok();
    }

    fn is_asked(&self) -> bool {
        self.asked.load(Ordering::Acquire)
    }
}

impl Admin {
    /// Listens, so that a taken port is known before anything else starts.
    ///
    /// # Errors
    /// The address cannot be listened on, or the system is out of descriptors.
    pub fn bind(
        config: &AdminConfig,
        telemetry: Arc<Telemetry>,
        health: Arc<Health>,
        role: Role,
    ) -> Result<Self, AdminError> {
        let address = SocketAddr::new(config.listen_address, config.http_port);
        let bind = |source| AdminError::Bind { address, source };
        let mut listener = TcpListener::bind(address).map_err(bind)?;
        let address = listener.local_addr().map_err(bind)?;
        let poll = Poll::new().map_err(AdminError::Poll)?;
        poll.registry()
            .register(&mut listener, LISTENER, Interest::READABLE)
            .map_err(AdminError::Poll)?;
        let waker = Waker::new(poll.registry(), STOP).map_err(AdminError::Poll)?;
        let stop = Arc::new(AdminStop { asked: AtomicBool::new(false), waker });
        telemetry.build_info.show(role);
        let connections = std::array::from_fn(|_| None);
        let sources = Sources { telemetry, health };
        Ok(Self { listener, address, poll, connections, sources, stop })
    }

    /// Where the pages are, with the port that the system chose if it was asked to.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// What ends [`Admin::run`].
    pub fn stopper(&self) -> Arc<AdminStop> {
        Arc::clone(&self.stop)
    }

    /// Serves until it is stopped.
    pub fn run(mut self) {
        let heartbeat = self.sources.health.heartbeat("admin");
        let mut summary = SummaryLog::new(&self.sources.telemetry, Instant::now());
        let mut events = Events::with_capacity(ADMIN_CONNECTIONS_MAX + 2);
        let mut next_tick = Instant::now();
        while !self.stop.is_asked() {
            let now = Instant::now();
            if now >= next_tick {
                heartbeat.beat();
                self.sources.telemetry.latency.collect();
                summary.tick(&self.sources.telemetry, now);
                self.close_late(now);
                next_tick = now + ADMIN_TICK;
            }
            let wait = if self.accept(now) { next_tick - now } else { Duration::ZERO };
            match self.poll.poll(&mut events, Some(wait)) {
                Ok(()) => {}
                Err(error) if error.kind() == ErrorKind::Interrupted => continue,
                // Without an event queue the pages are dead: end, so that the process is told.
                Err(error) => panic!("the event queue of the HTTP pages failed: {error}"),
            }
            for event in &events {
                if event.token() < LISTENER {
                    self.drive(event.token().0);
                }
            }
        }
        heartbeat.retire();
    }

    /// Takes waiting connections, at most a full set; false when more may be waiting.
    fn accept(&mut self, now: Instant) -> bool {
        for _ in 0..ADMIN_CONNECTIONS_MAX {
            let (mut stream, _) = match self.listener.accept() {
                Ok(accepted) => accepted,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return true,
                // Tried again after the next event or tick: descriptors may be free by then.
                Err(_) => {
                    self.sources.telemetry.admin.accept_errors.inc();
                    return true;
                }
            };
            let slot = self.free_slot();
            let interest = Interest::READABLE | Interest::WRITABLE;
            if self.poll.registry().register(&mut stream, Token(slot), interest).is_err() {
                self.sources.telemetry.admin.accept_errors.inc();
                continue;
            }
            self.connections[slot] = Some(Connection::new(stream, now));
            // The head is usually there already: answered here, it cannot be crowded out.
            self.drive(slot);
        }
        false
    }

    /// An empty slot, emptied of the oldest connection if need be.
    fn free_slot(&mut self) -> usize {
        if let Some(free) = self.connections.iter().position(Option::is_none) {
            return free;
        }
        let age = |slot: &usize| self.connections[*slot].as_ref().map(|open| open.opened);
        let oldest = (0..ADMIN_CONNECTIONS_MAX).min_by_key(age).expect("there are slots");
        self.close(oldest, "crowded_out");
        oldest
    }

    fn drive(&mut self, slot: usize) {
        let sources = &self.sources;
        let Some(connection) = &mut self.connections[slot] else { return };
        if connection.drive(|request| counted_answer(sources, request)) == Progress::Finished {
            self.connections[slot] = None;
        }
    }

    fn close_late(&mut self, now: Instant) {
        for slot in 0..ADMIN_CONNECTIONS_MAX {
            let late = |open: &Connection| now.duration_since(open.opened) >= ADMIN_EXCHANGE_MAX;
            if self.connections[slot].as_ref().is_some_and(late) {
                self.close(slot, "timed_out");
            }
        }
    }

    /// Closes a connection before its end, which is worth a count only while it was unanswered.
    fn close(&mut self, slot: usize, reason: &str) {
        // Counted first: whoever sees the close sees the count.
        if self.connections[slot].as_ref().is_some_and(|open| !open.answered()) {
            self.sources.telemetry.admin.connections_dropped.with_label_values(&[reason]).inc();
        }
        self.connections[slot] = None;
    }
}

fn counted_answer(sources: &Sources, request: Result<Request, HeadError>) -> Answer {
    let answer = routes::answer(sources, request);
    sources.telemetry.admin.requests.with_label_values(&[&answer.status.to_string()]).inc();
    answer
}
