//! The `healthcheck` task: asks the process on this machine how it is, for containers that have
//! no shell and no curl. Runs on the main thread of a process of its own.

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream},
};

use crate::{
    config::AdminConfig,
    limits::{HEALTHCHECK_ANSWER_BYTES_MAX, HEALTHCHECK_TIMEOUT},
};

/// Why the process does not count as healthy.
#[derive(Debug, thiserror::Error)]
pub enum HealthcheckError {
    /// The port is chosen by the system, so nobody can know it.
    #[error("HTTP_PORT is 0: a health check needs a fixed port")]
    NoPort,
    /// No answer.
    #[error("no answer from http://{address}{path}: {source}")]
    Silent {
        /// Where the answer should have come from.
        address: SocketAddr,
        /// The page.
        path: &'static str,
        /// What went wrong.
        source: io::Error,
    },
    /// An answer other than 200.
    #[error("http://{address}{path}: {answer}")]
    Unhealthy {
        /// Where the answer came from.
        address: SocketAddr,
        /// The page.
        path: &'static str,
        /// Status line and page.
        answer: String,
    },
}

/// Asks `/readyz` or `/healthz` of the configured address, the loopback where that is a wildcard.
///
/// # Errors
/// No fixed port, no answer within [`HEALTHCHECK_TIMEOUT`] per step, or an answer other than 200.
pub fn run(admin: &AdminConfig, ready: bool) -> Result<(), HealthcheckError> {
    if admin.http_port == 0 {
        return Err(HealthcheckError::NoPort);
    }
    let path = if ready { "/readyz" } else { "/healthz" };
    let ip = match admin.listen_address {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let address = SocketAddr::new(ip, admin.http_port);
    let answer =
        ask(address, path).map_err(|source| HealthcheckError::Silent { address, path, source })?;
    let status = answer.lines().next().unwrap_or_default();
    if status.split(' ').nth(1) == Some("200") {
        return Ok(());
    }
    let page = answer.split_once("\r\n\r\n").map_or("", |(_, page)| page.trim_end());
    Err(HealthcheckError::Unhealthy { address, path, answer: format!("{status}\n{page}") })
}

fn ask(address: SocketAddr, path: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, HEALTHCHECK_TIMEOUT)?;
    stream.set_read_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    stream.set_write_timeout(Some(HEALTHCHECK_TIMEOUT))?;
    // HTTP/1.0: the answer ends with the connection and is never chunked.
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    stream.take(HEALTHCHECK_ANSWER_BYTES_MAX).read_to_end(&mut answer)?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::{config::Config, threads::Threads};

    /// Runs a check against a server that gives one answer; returns what it was asked, too.
    fn check(ready: bool, status: u16) -> (String, Result<(), HealthcheckError>) {
        let server = tiny_http::Server::http("127.0.0.1:0").unwrap();
        let mut admin = Config::default().admin;
        admin.listen_address = IpAddr::V4(Ipv4Addr::UNSPECIFIED);
        admin.http_port = server.server_addr().to_ip().unwrap().port();
        let (asked, question) = crossbeam_channel::bounded(1);
        let mut threads = Threads::new();
        let answer = move || {
            let request = server.recv_timeout(Duration::from_secs(10)).unwrap().unwrap();
            asked.send(request.url().to_owned()).unwrap();
            let page = tiny_http::Response::from_string("kafka: no leader");
            request.respond(page.with_status_code(status)).unwrap();
        };
        threads.spawn("answer".to_owned(), None, answer).unwrap();
        let result = run(&admin, ready);
        (question.recv_timeout(Duration::from_secs(10)).unwrap(), result)
    }

    /// 200 is healthy, and each question goes to its page.
    #[test]
    fn ok_is_healthy() {
        let (asked, result) = check(false, 200);
        assert_eq!(asked, "/healthz");
        result.unwrap();
        assert_eq!(check(true, 200).0, "/readyz");
    }

    /// Any other status is not, and the page says why.
    #[test]
    fn other_status_says_why() {
        let error = check(true, 503).1.unwrap_err().to_string();
        assert!(error.contains("503") && error.contains("kafka: no leader"), "{error}");
    }

    /// A port that nobody listens on, or nobody can know, is an error that says so.
    #[test]
    fn nobody_there() {
        let mut admin = Config::default().admin;
        let free = std::net::TcpListener::bind((admin.listen_address, 0)).unwrap();
        admin.http_port = free.local_addr().unwrap().port();
        drop(free);
        assert!(matches!(run(&admin, false), Err(HealthcheckError::Silent { .. })));
        admin.http_port = 0;
        assert!(matches!(run(&admin, false), Err(HealthcheckError::NoPort)));
    }
}
