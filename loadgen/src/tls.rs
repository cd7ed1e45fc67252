//! TLS towards an `https://` endpoint: which certificates are trusted, and HTTP/2 by ALPN.
//!
//! Made once before a run; generator threads share it. It must never skip the verification of a
//! certificate: a receiver of one's own is trusted by naming its authority.

use std::io;
use std::path::Path;
use std::sync::Arc;

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{self, ClientConfig, RootCertStore};

/// Opens TLS on connections.
#[derive(Clone)]
pub(crate) struct Tls(TlsConnector);

/// Certificates that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TlsError {
    #[error("{path}: {source}")]
    File { path: String, source: pem::Error },
    #[error("{path} holds no certificate that can be trusted")]
    NoCertificate { path: String },
    #[error("the system has no certificates to trust; --certificate FILE names some")]
    NoSystemCertificate,
    #[error(transparent)]
    Rustls(#[from] rustls::Error),
}

impl Tls {
    /// Trusts the certificates in the PEM file at `path`, or else the system's.
    pub(crate) fn new(path: Option<&Path>) -> Result<Self, TlsError> {
        let roots = match path {
            Some(path) => from_file(path)?,
            None => from_system()?,
        };
        // The provider is named, so that another crate's features cannot make it ambiguous.
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let mut config = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = vec![ALPN_HTTP2.to_vec()];
        Ok(Self(TlsConnector::from(Arc::new(config))))
    }

    /// Opens TLS on `stream` to `host`.
    pub(crate) async fn connect(
        &self,
        host: &str,
        stream: TcpStream,
    ) -> io::Result<TlsStream<TcpStream>> {
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        let stream = self.0.connect(name, stream).await?;
        match stream.get_ref().1.alpn_protocol() {
            Some(ALPN_HTTP2) => Ok(stream),
            _ => Err(io::Error::other("the receiver does not speak HTTP/2 over TLS")),
        }
    }
}

fn from_file(path: &Path) -> Result<RootCertStore, TlsError> {
    let shown = || path.display().to_string();
    let read = |source| TlsError::File { path: shown(), source };
    let certificates: Vec<_> = CertificateDer::pem_file_iter(path)
        .map_err(read)?
        .collect::<Result<_, _>>()
        .map_err(read)?;
    let mut roots = RootCertStore::empty();
    match roots.add_parsable_certificates(certificates) {
        (0, _) => Err(TlsError::NoCertificate { path: shown() }),
        _ => Ok(roots),
    }
}

fn from_system() -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    // Some files of a system's store may be unreadable; what was read is what there is.
    match roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs) {
        (0, _) => Err(TlsError::NoSystemCertificate),
        _ => Ok(roots),
    }
}

/// What gRPC speaks.
const ALPN_HTTP2: &[u8] = b"h2";

#[cfg(test)]
mod tests;
