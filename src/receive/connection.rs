//! One client connection: its socket, its share of the budget, its place in the count.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    task::{Context, Poll},
};

use prometheus::IntGauge;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    time::{Sleep, sleep},
};
use tonic::transport::server::Connected;

use crate::{limits::PREFACE_TIMEOUT, publish::Budget};

/// A connection as tonic's server sees it.
pub(super) struct Connection {
    stream: TcpStream,
    share: ConnectionShare,
    /// `Some` until the client has said anything: silence must not hold a place for ever.
    silence: Option<Pin<Box<Sleep>>>,
    _place: Place,
}

/// What every request of a connection draws on; tonic puts it into the request's extensions.
#[derive(Clone)]
pub(super) struct ConnectionShare {
    pub(super) budget: Arc<Budget>,
}

impl Connection {
    /// Takes over an accepted socket; to be called on the runtime that will serve it.
    pub(super) fn new(
        stream: std::net::TcpStream,
        budget: Budget,
        place: Place,
    ) -> io::Result<Self> {
        Ok(Self {
            stream: TcpStream::from_std(stream)?,
            share: ConnectionShare { budget: Arc::new(budget) },
            silence: Some(Box::pin(sleep(PREFACE_TIMEOUT))),
            _place: place,
        })
    }
}

/// A connection's place in the counts of its runtime and of the process; dropped with it.
pub(super) struct Place {
    load: Arc<AtomicUsize>,
    open: IntGauge,
}

impl Place {
    pub(super) fn take(load: &Arc<AtomicUsize>, open: &IntGauge) -> Self {
        load.fetch_add(1, Ordering::Relaxed);
        open.inc();
        Self { load: Arc::clone(load), open: open.clone() }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.load.fetch_sub(1, Ordering::Relaxed);
        self.open.dec();
    }
}

impl Connected for Connection {
    type ConnectInfo = ConnectionShare;

    fn connect_info(&self) -> ConnectionShare {
        self.share.clone()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let read = Pin::new(&mut self.stream).poll_read(context, buffer);
        match (&read, &mut self.silence) {
            (Poll::Ready(_), silence) => *silence = None,
            (Poll::Pending, Some(silence)) => {
                if silence.as_mut().poll(context).is_ready() {
                    return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
                }
            }
            (Poll::Pending, None) => {}
        }
        read
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
