//! One HTTP connection: read a head, write an answer, close. Driven by the admin thread; no call
//! waits.
//!
//! Answers are HTTP/1.0: one exchange per connection, whose end is the answer's end. After the
//! answer the sending side is closed and what still arrives is thrown away, because closing a
//! socket with unread bytes resets it, and the reset can overtake the answer.

use std::{
    io::{self, ErrorKind, Read, Write},
    net::Shutdown,
    time::Instant,
};

use mio::net::TcpStream;
use tiny_http::{HTTPVersion, Method, Response};

use super::{
    request::{Request, head_length},
    routes::Answer,
};
use crate::limits::{ADMIN_HEAD_BYTES_MAX, ADMIN_SURPLUS_BYTES_MAX, KIB};

/// A client's connection and how far its exchange is.
pub(super) struct Connection {
    stream: TcpStream,
    pub(super) opened: Instant,
    state: State,
}

enum State {
    /// The part of the head that has arrived.
    Reading(Vec<u8>),
    /// The answer and how much of it is sent.
    Writing(Vec<u8>, usize),
    /// How many bytes beyond the head were thrown away.
    Closing(usize),
}

/// Whether a connection is to be driven again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Progress {
    /// The other side has to act first.
    Waiting,
    /// Nothing is left to be done.
    Finished,
}

impl Connection {
    /// An accepted connection, not yet driven.
    pub(super) fn new(stream: TcpStream, opened: Instant) -> Self {
        Self { stream, opened, state: State::Reading(Vec::new()) }
    }

    /// True once the answer is on its way out entirely.
    pub(super) fn answered(&self) -> bool {
        matches!(self.state, State::Closing(_))
    }

    /// Goes as far as the socket allows; `answer` is asked at most once per connection.
    pub(super) fn drive(
        &mut self,
        answer: impl Fn(Result<Request, HeadError>) -> Answer,
    ) -> Progress {
        loop {
            let step = match &mut self.state {
                State::Reading(head) => read_head(&mut self.stream, head).map(|request| {
                    let head_only =
                        matches!(&request, Ok(request) if request.method == Method::Head);
                    Some(State::Writing(encode(&answer(request), head_only), 0))
                }),
                State::Writing(bytes, sent) => write_rest(&mut self.stream, bytes, sent)
                    .and_then(|()| self.stream.shutdown(Shutdown::Write))
                    .map(|()| Some(State::Closing(0))),
                State::Closing(discarded) => discard(&mut self.stream, discarded).map(|()| None),
            };
            match step {
                Ok(Some(next)) => self.state = next,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Progress::Waiting,
                // An error means that the client has gone: there is nobody left to tell.
                Ok(None) | Err(_) => return Progress::Finished,
            }
        }
    }
}

/// Why a head is not a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum HeadError {
    /// Not HTTP/1.
    Malformed,
    /// Longer than [`ADMIN_HEAD_BYTES_MAX`].
    TooLong,
}

/// Reads until the head is complete or cannot become so.
fn read_head(stream: &mut impl Read, head: &mut Vec<u8>) -> io::Result<Result<Request, HeadError>> {
    let mut chunk = [0; KIB];
    loop {
        let count = read(stream, &mut chunk)?;
        if count == 0 {
            return Err(ErrorKind::UnexpectedEof.into());
        }
        head.extend_from_slice(&chunk[..count]);
        match head_length(head) {
            Some(length) if length <= ADMIN_HEAD_BYTES_MAX => {
                return Ok(Request::parse(&head[..length]).ok_or(HeadError::Malformed));
            }
            None if head.len() < ADMIN_HEAD_BYTES_MAX => {}
            _ => return Ok(Err(HeadError::TooLong)),
        }
    }
}

/// The answer as it goes over the wire.
fn encode(answer: &Answer, head_only: bool) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(answer.body.len() + KIB);
    Response::from_data(answer.body.as_bytes())
        .with_status_code(answer.status)
        .with_header(header("Content-Type", answer.content_type))
        .with_header(header("Cache-Control", "no-store"))
        .with_header(header("Server", "otel-event-pipeline"))
        .with_header(header("Allow", "GET, HEAD"))
        .raw_print(&mut bytes, HTTPVersion(1, 0), &[], head_only, None)
        .expect("a vector takes all writes");
    bytes
}

fn header(name: &str, value: &str) -> tiny_http::Header {
    tiny_http::Header::from_bytes(name, value).expect("header constants are ASCII")
}

fn write_rest(stream: &mut impl Write, bytes: &[u8], sent: &mut usize) -> io::Result<()> {
    while *sent < bytes.len() {
        match stream.write(&bytes[*sent..]) {
            Ok(0) => return Err(ErrorKind::WriteZero.into()),
            Ok(count) => *sent += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Throws away what arrives until the client closes, or has sent too much to be waited for.
fn discard(stream: &mut impl Read, discarded: &mut usize) -> io::Result<()> {
    let mut chunk = [0; KIB];
    while *discarded < ADMIN_SURPLUS_BYTES_MAX {
        match read(stream, &mut chunk)? {
            0 => return Ok(()),
            count => *discarded += count,
        }
    }
    Ok(())
}

fn read(stream: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    loop {
        match stream.read(chunk) {
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}
