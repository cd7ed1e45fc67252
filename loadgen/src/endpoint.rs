//! Where load goes and what it carries there, as OTLP exporters are told: endpoint and headers.
//!
//! Pure. OpenTelemetry specification, "OpenTelemetry Protocol Exporter": the meaning of
//! `OTEL_EXPORTER_OTLP_ENDPOINT` and `_HEADERS`.

use std::fmt;
use std::str::FromStr;

use http::{HeaderName, HeaderValue, Uri};

/// A receiver: `http://host:port`, or `https://` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) is_secure: bool,
    pub(crate) host: String,
    pub(crate) port: u16,
}

/// An endpoint that cannot be used.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected http://host:port or https://host:port")]
pub(crate) struct EndpointError;

/// One header of every request. Its value may be a secret and is never shown.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Header {
    pub(crate) name: HeaderName,
    pub(crate) value: HeaderValue,
}

/// A header that cannot be sent.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected NAME=VALUE of visible ASCII, other characters of the value as %XX")]
pub(crate) struct HeaderError;

impl FromStr for Endpoint {
    type Err = EndpointError;

    fn from_str(text: &str) -> Result<Self, EndpointError> {
        let uri: Uri = text.parse().map_err(|_| EndpointError)?;
        let is_secure = match uri.scheme_str() {
            Some("http") => false,
            Some("https") => true,
            _ => return Err(EndpointError),
        };
        let has_user = uri.authority().is_some_and(|authority| authority.as_str().contains('@'));
        if has_user || !matches!(uri.path(), "" | "/") {
            return Err(EndpointError);
        }
        let host = uri.host().filter(|host| !host.is_empty()).ok_or(EndpointError)?;
        let host = host.trim_start_matches('[').trim_end_matches(']').to_owned();
        Ok(Self { is_secure, host, port: uri.port_u16().unwrap_or(OTLP_GRPC_PORT) })
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { is_secure, host, port } = self;
        let scheme = if *is_secure { "https" } else { "http" };
        match host.contains(':') {
            true => write!(f, "{scheme}://[{host}]:{port}"),
            false => write!(f, "{scheme}://{host}:{port}"),
        }
    }
}

impl FromStr for Header {
    type Err = HeaderError;

    fn from_str(text: &str) -> Result<Self, HeaderError> {
        let (name, value) = text.split_once('=').ok_or(HeaderError)?;
        let name: HeaderName = name.trim().parse().map_err(|_| HeaderError)?;
        let value = percent_decoded(value.trim()).ok_or(HeaderError)?;
        let mut value = HeaderValue::from_bytes(&value).map_err(|_| HeaderError)?;
        value.set_sensitive(true);
        Ok(Self { name, value })
    }
}

impl fmt::Debug for Header {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=...", self.name)
    }
}

/// `text` with every `%XX` as the byte that it stands for; `None` when one is cut short.
fn percent_decoded(text: &str) -> Option<Vec<u8>> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        decoded.push((digit()? * 16 + digit()?) as u8);
    }
    Some(decoded)
}

const OTLP_GRPC_PORT: u16 = 4317;

#[cfg(test)]
mod tests {
    use super::{Endpoint, EndpointError, Header, HeaderError};

    /// Scheme, host and port are read, the port defaults to OTLP's, what cannot work is refused.
    #[test]
    fn endpoints_are_read() {
        let shown = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.to_string());
        assert_eq!(shown("http://localhost:1").as_deref(), Ok("http://localhost:1"));
        assert_eq!(shown("http://localhost/").as_deref(), Ok("http://localhost:4317"));
        assert_eq!(shown("https://example.com").as_deref(), Ok("https://example.com:4317"));
        assert_eq!(shown("http://[::1]:9").as_deref(), Ok("http://[::1]:9"));
        for text in ["localhost:4317", "http://", "http://h/v1/traces", "ftp://h", "http://u:p@h"] {
            assert_eq!(shown(text), Err(EndpointError), "{text}");
        }
    }

    /// A header is a name and a percent-encoded value; its value is never shown.
    #[test]
    fn headers_are_read_and_hidden() {
        let header: Header = "authorization = Bearer%20a%3D%2cb=".parse().unwrap();
        assert_eq!(header.name, "authorization");
        assert_eq!(header.value, "Bearer a=,b=");
        assert_eq!(format!("{header:?}"), "authorization=...");
        for text in ["authorization", "=x", "a b=x", "x=%4", "x=%zz", "x=%0a"] {
            assert_eq!(text.parse::<Header>(), Err(HeaderError), "{text}");
        }
    }
}
