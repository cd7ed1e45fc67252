//! Accepts connections and places each on the least loaded runtime. A task of `receive-0`.

use std::{
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
};

use socket2::{Domain, Protocol, Socket, Type};
use thiserror::Error;
use tokio::{
    net::TcpListener,
    sync::mpsc::{Sender, error::TrySendError},
    time::sleep,
};

use super::{
    connection::Place,
    drain::{Draining, Phase},
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
    pub(super) runtimes: Vec<Runtime>,
    pub(super) connections_max: usize,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) draining: Draining,
}

impl Acceptor {
    /// Accepts until the drain begins.
    pub(super) async fn run(self) -> io::Result<()> {
        let listener = TcpListener::from_std(self.listener)?;
        let draining = self.draining.reached(Phase::Draining);
        let mut draining = std::pin::pin!(draining);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                () = &mut draining => return Ok(()),
            };
            match accepted {
                Ok((stream, _)) => {
                    let stream = stream.into_std()?;
                    place(stream, &self.runtimes, self.connections_max, &self.telemetry);
                }
                // Out of file descriptors, or a client that gave up in the backlog: the first
                // would repeat at once and for long, so wait a little in either case.
                Err(error) => {
                    self.telemetry.receive.accept_errors.inc();
                    tracing::debug!(%error, "accept failed");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    }
}

/// Gives a socket to the least loaded runtime, or closes it when there is no place.
fn place(
    stream: std::net::TcpStream,
    runtimes: &[Runtime],
    connections_max: usize,
    telemetry: &Telemetry,
) {
    let metrics = &telemetry.receive;
    let load = |runtime: &&Runtime| runtime.load.load(Ordering::Relaxed);
    let open: usize = runtimes.iter().map(|runtime| load(&runtime)).sum();
    let least = runtimes.iter().min_by_key(load).filter(|_| open < connections_max);
    let Some(runtime) = least else {
        metrics.connections_refused.inc();
        return;
    };
    // Small replies must not wait for the client's next acknowledgement.
    if stream.set_nodelay(true).is_err() {
        metrics.accept_errors.inc();
        return;
    }
    let accepted = (stream, Place::take(&runtime.load, &metrics.connections));
    match runtime.connections.try_send(accepted) {
        Ok(()) => {}
        Err(TrySendError::Full(_) | TrySendError::Closed(_)) => metrics.connections_refused.inc(),
    }
}
