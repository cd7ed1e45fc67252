//! The head of an HTTP/1 request, parsed. Pure.
//!
//! Headers are not looked at: no page depends on one, and a body is never read.

use std::str::FromStr;

use tiny_http::Method;

/// What a client asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Request {
    pub(super) method: Method,
    pub(super) path: String,
    pub(super) query: Query,
}

/// What follows the question mark, as sent: no page has a parameter that needs escapes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Query(String);

impl Request {
    /// Parses `METHOD target HTTP/1.x` from the first line of a head; `None` when it is none.
    pub(super) fn parse(head: &[u8]) -> Option<Self> {
        let head = std::str::from_utf8(head).ok()?;
        let mut words = head.lines().next()?.split(' ');
        let method = Method::from_str(words.next()?).ok()?;
        let target = words.next()?;
        let version = words.next()?;
        if !version.starts_with("HTTP/1.") || words.next().is_some() || !target.starts_with('/') {
            return None;
        }
        let (path, query) = target.split_once('?').unwrap_or((target, ""));
        Some(Self { method, path: path.to_owned(), query: Query(query.to_owned()) })
    }
}

impl Query {
    /// The value of `name`, empty when it stands without one.
    pub(super) fn value(&self, name: &str) -> Option<&str> {
        let pairs = self.0.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
        pairs.filter(|(key, _)| *key == name).map(|(_, value)| value).next()
    }
}

/// The length of the head, its empty line included; `None` while that line has not come.
pub(super) fn head_length(received: &[u8]) -> Option<usize> {
    received.windows(4).position(|window| window == b"\r\n\r\n").map(|start| start + 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Method, path and parameters come out of the request line.
    #[test]
    fn request_line() {
        let head = b"GET /latency?format=hgrm&stage=split&verbose HTTP/1.1\r\nHost: x\r\n\r\n";
        assert_eq!(head_length(head), Some(head.len()));
        let request = Request::parse(head).unwrap();
        assert_eq!((request.method, request.path.as_str()), (Method::Get, "/latency"));
        assert_eq!(request.query.value("stage"), Some("split"));
        assert_eq!(request.query.value("verbose"), Some(""));
        assert_eq!(request.query.value("window"), None);
    }

    /// What is not an HTTP/1 request with a path is refused.
    #[test]
    fn malformed_lines() {
        let heads: [&[u8]; 7] = [
            b"",
            b"\r\n\r\n",
            b"GET\r\n\r\n",
            b"GET / HTTP/2.0\r\n\r\n",
            b"GET http://x/ HTTP/1.1\r\n\r\n",
            b"GET / HTTP/1.1 more\r\n\r\n",
            b"GET /\xff HTTP/1.1\r\n\r\n",
        ];
        for head in heads {
            assert_eq!(Request::parse(head), None, "{head:?}");
        }
    }

    /// A head is complete at its empty line, not before.
    #[test]
    fn head_end() {
        assert_eq!(head_length(b"GET / HTTP/1.1\r\nHost: x\r\n"), None);
        assert_eq!(head_length(b"GET / HTTP/1.1\r\n\r\nbody"), Some(18));
    }
}
