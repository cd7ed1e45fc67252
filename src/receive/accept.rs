//! Accepts connections and places each on the least loaded runtime. A task of `receive-0`.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::mpsc::{Sender, error::TrySendError},
    time::sleep,
};

use super::{
    connection::Place,
    descriptors,
    drain::{Draining, Phase},
    peers::Peers,
};
use crate::{
    config::ReceiveConfig,
    internal_telemetry::Telemetry,
    limits::{ACCEPT_PAUSE, LISTEN_BACKLOG},
};

/// The OTLP port cannot be listened on.
#[derive(Debug, Error)]
#[error("failed to listen for OTLP on {address} (GRPC_PORT, LISTEN_ADDRESS): {source}")]
pub struct BindError {
    address: SocketAddr,
    source: io::Error,
}

/// Binds the OTLP port, with a backlog for a fleet that reconnects at once.
///
/// # Errors
/// The port is taken or may not be used.
pub(super) fn bind(config: &ReceiveConfig) -> Result<std::net::TcpListener, BindError> {
    let address = SocketAddr::new(config.listen_address, config.grpc_port);
    let listen = || {
        let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
        // A restart must not wait for the old connections' TIME_WAIT.
        socket.set_reuse_address(true)?;
        socket.set_nonblocking(true)?;
        socket.bind(&address.into())?;
        socket.listen(LISTEN_BACKLOG)?;
        Ok(socket.into())
    };
    listen().map_err(|source| BindError { address, source })
}

/// Where the port came to be, which differs from the setting when that was 0.
pub(super) fn local_address(
    listener: &std::net::TcpListener,
    config: &ReceiveConfig,
) -> Result<SocketAddr, BindError> {
    let address = SocketAddr::new(config.listen_address, config.grpc_port);
    listener.local_addr().map_err(|source| BindError { address, source })
}

/// A socket on its way to its runtime.
pub(super) type Accepted = (std::net::TcpStream, Place);

/// One runtime as the acceptor sees it.
pub(super) struct Runtime {
    pub(super) load: Arc<AtomicUsize>,
    pub(super) connections: Sender<Accepted>,
}

/// The accept loop.
pub(super) struct Acceptor {
    pub(super) listener: std::net::TcpListener,
    pub(super) placing: Placing,
    pub(super) draining: Draining,
}

/// Where connections go, and how many there may be.
pub(super) struct Placing {
    pub(super) runtimes: Vec<Runtime>,
    pub(super) connections_max: usize,
    pub(super) peers: Arc<Peers>,
    pub(super) telemetry: Arc<Telemetry>,
}

impl Acceptor {
    /// Accepts until the drain begins.
    ///
    /// # Panics
    /// The system refuses to watch the listener: there is nothing to serve then.
    pub(super) async fn run(self) {
        let Self { listener, placing, draining } = self;
        let listener = TcpListener::from_std(listener).expect("the system watches the listener");
        let draining = draining.reached(Phase::Draining);
        let mut draining = std::pin::pin!(draining);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut draining => return,
            };
            let placed = accepted.and_then(|(stream, from)| placing.place(stream, from.ip()));
            match placed {
                Ok(Ok(())) => {}
                Ok(Err(Refused(reason))) => {
                    let refused = &placing.telemetry.receive.connections_refused;
                    refused.with_label_values(&[reason]).inc();
                }
                // Out of file descriptors, or a client that gave up in the backlog: the first
                // would repeat at once and for long, so wait a little in either case.
                Err(error) => {
                    placing.telemetry.receive.accept_errors.inc();
                    tracing::debug!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

impl Placing {
    /// Gives a socket to the least loaded runtime, or closes it when there is no place.
    fn place(&self, stream: TcpStream, from: IpAddr) -> io::Result<Result<(), Refused>> {
        if !descriptors::are_left_beside(&stream) {
            return Ok(Err(Refused("descriptors")));
        }
        let metrics = &self.telemetry.receive;
        let load = |runtime: &&Runtime| runtime.load.load(Ordering::Relaxed);
        let open: usize = self.runtimes.iter().map(|runtime| load(&runtime)).sum();
        let least = self.runtimes.iter().min_by_key(load);
        let Some(runtime) = least.filter(|_| open < self.connections_max) else {
            return Ok(Err(Refused("limit")));
        };
        let Some(peer) = self.peers.take(from) else { return Ok(Err(Refused("peer_limit"))) };
        // Small replies must not wait for the client's next acknowledgement.
        stream.set_nodelay(true)?;
        let place = Place::take(&runtime.load, &metrics.connections, peer);
        Ok(match runtime.connections.try_send((stream.into_std()?, place)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(_)) => Err(Refused("queue_full")),
            Err(TrySendError::Closed(_)) => Err(Refused("shutting_down")),
        })
    }
}

/// Why a connection is closed at once: the label it is counted under.
struct Refused(&'static str);
