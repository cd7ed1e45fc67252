//! Tells by a connection's first bytes what the client takes this port for. Reads, never keeps.

use std::io;

use tokio::{io::AsyncWriteExt, net::TcpStream};

/// What a client says first.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// The connection preface of HTTP/2, or the beginning of it.
    Http2,
    /// Nothing: it has closed, as the probes of balancers do.
    Closed,
    /// A TLS handshake.
    Tls,
    /// A request of HTTP/1.
    Http1,
    /// Anything else.
    Other,
}

/// Waits for the client's first bytes and leaves them in the socket.
///
/// # Errors
/// The socket breaks.
pub(super) async fn first_bytes(stream: &TcpStream) -> io::Result<Opening> {
    let mut bytes = [0; PREFACE.len()];
    let count = stream.peek(&mut bytes).await?;
    Ok(classify(&bytes[..count]))
}

/// Says in HTTP/1's words that this port does not speak it, as well as can be without waiting.
pub(super) async fn answer_http1(mut stream: TcpStream) {
    const ANSWER: &[u8] = b"HTTP/1.1 426 Upgrade Required\r\n\
        content-type: text/plain\r\ncontent-length: 55\r\nconnection: close\r\n\r\n\
        This port speaks OTLP over gRPC, which needs HTTP/2.  \n";
    // Unread bytes would turn the close into a reset, which takes the answer away.
    let mut request = [0; 4096];
    stream.try_read(&mut request).ok();
    if stream.try_write(ANSWER).is_ok() {
        // It may have gone; there is nobody to tell then.
        stream.shutdown().await.ok();
    }
}

const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// The type of a TLS record that holds a handshake, and the major version that follows it.
const TLS_HANDSHAKE: [u8; 2] = [22, 3];

fn classify(bytes: &[u8]) -> Opening {
    match bytes {
        [] => Opening::Closed,
        _ if PREFACE.starts_with(bytes) => Opening::Http2,
        _ if bytes.starts_with(&TLS_HANDSHAKE) => Opening::Tls,
        // A method is a word in capitals with a space behind it.
        _ if bytes
            .iter()
            .position(|byte| !byte.is_ascii_uppercase())
            .is_some_and(|length| length > 0 && bytes[length] == b' ') =>
        {
            Opening::Http1
        }
        _ => Opening::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each kind of client is known by its first bytes.
    #[test]
    fn clients_are_told_apart() {
        for (bytes, opening) in [
            (&PREFACE[..], Opening::Http2),
            (b"P", Opening::Http2),
            (b"", Opening::Closed),
            (b"\x16\x03\x01\x02\x00\x01\x00", Opening::Tls),
            (b"GET / HTTP/1.1\r\n", Opening::Http1),
            (b"POST /v1/traces HTTP/1.1", Opening::Http1),
            (b"PRI * HTTP/1.1\r\n", Opening::Http1),
            (b"\0\0\0", Opening::Other),
            (b" GET", Opening::Other),
            (b"SSH-2.0-x", Opening::Other),
        ] {
            assert_eq!(classify(bytes), opening, "{bytes:?}");
        }
    }
}
