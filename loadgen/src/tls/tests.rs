//! TLS against a server of this process, whose certificate is valid for `localhost` until 2120.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Response};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::LocalSet;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::{ALPN_HTTP2, Tls, TlsError};
use crate::client::{Channel, Target};
use crate::compression::Compression;
use crate::endpoint::Endpoint;
use crate::ledger::Outcome;

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src/tls").join(name)
}

/// Speaks TLS with the test certificate, and offers `protocols`.
fn acceptor(protocols: &[&[u8]]) -> TlsAcceptor {
    let certificate = CertificateDer::from_pem_file(file("test-certificate.pem")).unwrap();
    let key = PrivateKeyDer::from_pem_file(file("test-key.pem")).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate], key)
        .unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    TlsAcceptor::from(Arc::new(config))
}

/// Whether a client that trusts the test certificate connects to `host` at a server that offers
/// `protocols`.
async fn connects(host: &str, protocols: &[&[u8]]) -> bool {
    let tls = Tls::new(Some(&file("test-certificate.pem"))).unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = async { tls.connect(host, TcpStream::connect(address).await.unwrap()).await };
    let server = async { acceptor(protocols).accept(listener.accept().await.unwrap().0).await };
    let (client, _) = tokio::join!(client, server);
    client.is_ok()
}

/// A connection needs a trusted certificate of that host, and a server that speaks HTTP/2.
#[tokio::test]
async fn hosts_and_protocols_are_verified() {
    assert!(connects("localhost", &[ALPN_HTTP2]).await);
    assert!(!connects("example.com", &[ALPN_HTTP2]).await);
    assert!(!connects("localhost", &[b"http/1.1"]).await);
    assert!(!connects("localhost", &[]).await);
}

/// Files that cannot be read, or hold no certificate, are named.
#[test]
fn unusable_certificates_are_named() {
    let error = |name| Tls::new(Some(&file(name))).err().unwrap();
    assert!(matches!(error("absent.pem"), TlsError::File { path, .. } if path.contains("absent")));
    assert!(matches!(error("test-key.pem"), TlsError::NoCertificate { .. }));
}

/// Answers one request with a gzipped success, as grpc-go does; returns its headers.
async fn answer_one(listener: TcpListener) -> HeaderMap {
    let stream = acceptor(&[ALPN_HTTP2]).accept(listener.accept().await.unwrap().0).await.unwrap();
    let mut connection = h2::server::handshake(stream).await.unwrap();
    let (request, mut respond) = connection.accept().await.unwrap().unwrap();
    let head = Response::builder().header("grpc-encoding", "gzip").body(()).unwrap();
    let body = Compression::Gzip.compress(&[0; 5]).unwrap().unwrap();
    let mut stream = respond.send_response(head, false).unwrap();
    stream.send_data(body, false).unwrap();
    let status = ("grpc-status".parse().unwrap(), HeaderValue::from_static("0"));
    stream.send_trailers(HeaderMap::from_iter([status])).unwrap();
    // Until the client has gone.
    while connection.accept().await.is_some() {}
    request.into_parts().0.headers
}

/// An export over TLS carries its headers, and a compressed answer to it is understood.
#[tokio::test]
async fn exports_go_over_tls() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let target = Target {
        endpoint: Endpoint { is_secure: true, host: "localhost".to_owned(), port },
        tls: Some(Tls::new(Some(&file("test-certificate.pem"))).unwrap()),
        headers: vec!["authorization=Bearer%20token".parse().unwrap()],
        encoding: None,
        timeout: Duration::from_secs(10),
    };
    let client = async {
        let channel = Channel::new(Arc::new(target));
        channel.connect().await.unwrap();
        assert!(channel.is_local());
        channel.export(Bytes::from_static(&[0; 5])).await
    };
    let local = LocalSet::new();
    let (answer, headers) =
        local.run_until(async { tokio::join!(client, answer_one(listener)) }).await;
    assert_eq!(answer.outcome, Outcome::Acknowledged);
    assert_eq!(headers["authorization"], "Bearer token");
    assert_eq!(headers["grpc-accept-encoding"], "identity");
}
