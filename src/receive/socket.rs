//! A connection's socket as h2 reads and writes it: paced, and watched for standstill.
//!
//! Owned by the connection's task. What cannot be read or written stays with the kernel; only what
//! was read beyond a round of frames is kept here until the next.

use std::{
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
    sync::Notify,
    time::Instant,
};

use super::frames::{Followed, Frames};
use crate::limits::{READ_ROUND_FRAMES, READ_TURN_BYTES};

/// What the connections of one runtime may read before its requests have a turn.
///
/// h2 reads a socket until it is empty, and a thousand sockets come before the first of the tasks
/// that charge what was read. The scheduler is first in, first out: a task that is woken when the
/// turn is used up runs after every task that was woken by what was read. So it begins the next.
pub(super) struct ReadTurn {
    left: AtomicUsize,
    used_up: Notify,
}

impl ReadTurn {
    pub(super) fn new() -> Arc<Self> {
        Arc::new(Self { left: AtomicUsize::new(READ_TURN_BYTES), used_up: Notify::new() })
    }

    /// Begins turn after turn, for as long as the runtime lives.
    pub(super) async fn run(self: Arc<Self>) {
        loop {
            self.used_up.notified().await;
            self.left.store(READ_TURN_BYTES, Ordering::Relaxed);
        }
    }
}

/// How many frames a connection may still read before the requests that they opened are taken.
///
/// h2 keeps a table entry for every request and every frame that waits, and the tables of a
/// connection never shrink: without rounds, one burst of the smallest frames would cost megabytes
/// for the rest of the connection's life.
pub(super) struct Round {
    frames_left: AtomicUsize,
}

impl Round {
    fn new() -> Arc<Self> {
        Arc::new(Self { frames_left: AtomicUsize::new(READ_ROUND_FRAMES) })
    }

    /// Whatever was read has been taken: the next round begins.
    pub(super) fn begin(&self) {
        self.frames_left.store(READ_ROUND_FRAMES, Ordering::Relaxed);
    }

    fn frames_left(&self) -> usize {
        self.frames_left.load(Ordering::Relaxed)
    }

    fn take(&self, frames: usize) {
        self.frames_left.fetch_sub(frames, Ordering::Relaxed);
    }
}

/// Whether one direction of a connection waits for its peer. Shared by the socket and the task.
#[derive(Default)]
pub(super) struct Direction {
    waiting: AtomicBool,
    moved: AtomicBool,
}

impl Direction {
    fn set(&self, waiting: bool, moved: bool) {
        self.waiting.store(waiting, Ordering::Relaxed);
        if moved {
            self.moved.store(true, Ordering::Relaxed);
        }
    }
}

/// Both directions of a connection.
#[derive(Default)]
pub(super) struct Progress {
    /// Waits while a frame or a header block has begun and not ended.
    pub(super) reads: Direction,
    /// Waits while the kernel takes no more, because the client does not read.
    pub(super) writes: Direction,
}

/// Since when a direction stands still, as far as its looks can tell.
#[derive(Default)]
pub(super) struct Standstill {
    since: Option<Instant>,
}

impl Standstill {
    /// Looks at the direction; true when it has been at a standstill for `longest`.
    pub(super) fn lasts(&mut self, direction: &Direction, now: Instant, longest: Duration) -> bool {
        let moved = direction.moved.swap(false, Ordering::Relaxed);
        if moved || !direction.waiting.load(Ordering::Relaxed) {
            self.since = None;
        }
        if !direction.waiting.load(Ordering::Relaxed) {
            return false;
        }
        now - *self.since.get_or_insert(now) >= longest
    }
}

/// The socket.
pub(super) struct Socket {
    stream: TcpStream,
    frames: Frames,
    progress: Arc<Progress>,
    round: Arc<Round>,
    turn: Arc<ReadTurn>,
    /// Read, and left to the next round.
    rest: Bytes,
}

impl Socket {
    pub(super) fn new(stream: TcpStream, turn: Arc<ReadTurn>) -> Self {
        Self {
            stream,
            frames: Frames::default(),
            progress: Arc::default(),
            round: Round::new(),
            turn,
            rest: Bytes::new(),
        }
    }

    /// What the connection's task ends when it has taken what there was.
    pub(super) fn round(&self) -> Arc<Round> {
        Arc::clone(&self.round)
    }

    /// What the connection's task looks at.
    pub(super) fn progress(&self) -> Arc<Progress> {
        Arc::clone(&self.progress)
    }

    /// Reads what an earlier round has left, up to the end of this one.
    fn read_rest(&mut self, buffer: &mut ReadBuf<'_>) {
        let next = &self.rest[..self.rest.len().min(buffer.remaining())];
        let followed = self.frames.follow(next, self.round.frames_left());
        buffer.put_slice(&next[..followed.bytes]);
        self.rest.advance(followed.bytes);
        if self.rest.is_empty() {
            // An empty slice would keep the memory.
            self.rest = Bytes::new();
        }
        self.note(&followed);
    }

    /// Reads from the kernel, and keeps what is beyond the end of this round.
    fn poll_kernel(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let left = self.turn.left.load(Ordering::Relaxed);
        if left == 0 {
            self.turn.used_up.notify_one();
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let bytes = &buffer.filled()[before..];
        self.turn.left.store(left.saturating_sub(bytes.len()), Ordering::Relaxed);
        let followed = self.frames.follow(bytes, self.round.frames_left());
        if followed.bytes < bytes.len() {
            self.rest = Bytes::copy_from_slice(&bytes[followed.bytes..]);
            buffer.set_filled(before + followed.bytes);
        }
        self.note(&followed);
        Poll::Ready(Ok(()))
    }

    fn note(&self, followed: &Followed) {
        self.round.take(followed.frames);
        self.progress.reads.set(self.frames.is_open(), followed.moved);
    }

    fn written(&self, written: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        self.progress.writes.set(written.is_pending(), written.is_ready());
        written
    }
}

impl AsyncRead for Socket {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.round.frames_left() == 0 {
            // The connection's task takes what was read, begins a round and comes back.
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        if !this.rest.is_empty() {
            this.read_rest(buffer);
            return Poll::Ready(Ok(()));
        }
        this.poll_kernel(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(context, bytes);
        self.written(written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(context, slices);
        self.written(written)
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

#[cfg(test)]
mod tests {
    use super::*;

    const LONGEST: Duration = Duration::from_secs(10);

    /// Only a direction that waits and does not move for the whole time stands still.
    #[test]
    fn standstill_needs_the_whole_time() {
        let (direction, start) = (Direction::default(), Instant::now());
        let mut standstill = Standstill::default();
        let mut look = |direction: &Direction, seconds| {
            standstill.lasts(direction, start + Duration::from_secs(seconds), LONGEST)
        };
        assert!(!look(&direction, 0));
        direction.set(true, true);
        assert!(!look(&direction, 100));
        assert!(!look(&direction, 109));
        direction.set(true, true);
        assert!(!look(&direction, 111));
        direction.set(true, false);
        assert!(!look(&direction, 120));
        assert!(look(&direction, 121));
        direction.set(false, false);
        assert!(!look(&direction, 140));
    }
}
