//! The least HTTP client: one GET, one answer.

use std::{
    io::{Error, ErrorKind, Read, Result, Write},
    net::{Ipv4Addr, TcpStream},
    time::Duration,
};

/// Longest silence of a loopback server before a request counts as failed.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Status and body of an answer.
#[derive(Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The body.
    pub body: String,
}

/// GETs `path` (with its query) from a loopback port.
pub fn get(port: u16, path: &str) -> Result<Answer> {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    connection.set_read_timeout(Some(TIMEOUT))?;
    // HTTP/1.0: the body is not chunked and ends where the connection does.
    write!(connection, "GET {path} HTTP/1.0\r\nHost: localhost\r\n\r\n")?;
    let mut answer = String::new();
    connection.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").ok_or_else(|| malformed(&answer))?;
    let status = head.split(' ').nth(1).and_then(|code| code.parse().ok());
    Ok(Answer { status: status.ok_or_else(|| malformed(head))?, body: body.to_owned() })
}

fn malformed(answer: &str) -> Error {
    Error::new(ErrorKind::InvalidData, format!("not an HTTP answer: {answer:.200}"))
}
