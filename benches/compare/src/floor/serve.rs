//! Bare tonic: takes OTLP requests as bytes and does the least with them.
//!
//! One runtime of one thread, which is all that a system under test is given here.

use std::{
    convert::Infallible,
    future::{self, Future},
    net::SocketAddr,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll},
};

use bytes::Bytes;
use tonic::{
    Request, Response, Status,
    body::Body,
    codec::CompressionEncoding,
    codegen::{Service, http},
    server::{Grpc, UnaryService},
    transport::Server,
};

use super::{
    count::{Count, say},
    produce::Publisher,
    raw::{MESSAGE_BYTES_MAX, Raw},
    spans,
};

/// What becomes of a request.
#[derive(Clone)]
pub(crate) enum Handler {
    /// It is dropped.
    Drop,
    /// Its spans are counted; then it is dropped.
    Count(Count),
    /// It is cut into records, and answered when Kafka has them all.
    Publish(Publisher),
}

/// Serves until the process is killed.
pub(crate) async fn serve(address: SocketAddr, handler: Handler) -> Result<(), Error> {
    say(&format!("listening on {address}"));
    Server::builder().serve(address, Export(handler)).await
}

/// Why a server ended.
pub(crate) type Error = tonic::transport::Error;

type Answer<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// One service for every path: only one is called.
#[derive(Clone)]
struct Export(Handler);

impl Service<http::Request<Body>> for Export {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = Answer<Result<http::Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let handler = self.0.clone();
        Box::pin(async move {
            let mut grpc = Grpc::new(Raw)
                .max_decoding_message_size(MESSAGE_BYTES_MAX)
                .accept_compressed(CompressionEncoding::Gzip);
            Ok(grpc.unary(Unary(handler), request).await)
        })
    }
}

struct Unary(Handler);

impl UnaryService<Bytes> for Unary {
    type Response = Bytes;
    type Future = Answer<Result<Response<Bytes>, Status>>;

    fn call(&mut self, request: Request<Bytes>) -> Self::Future {
        let body = request.into_inner();
        match &self.0 {
            Handler::Drop => {}
            Handler::Count(count) => {
                count.fetch_add(spans::count(&body), Ordering::Relaxed);
            }
            Handler::Publish(publisher) => {
                let acknowledged = publisher.publish(&body);
                return Box::pin(async move {
                    match acknowledged.await {
                        Ok(()) => Ok(Response::new(Bytes::new())),
                        Err(_dropped) => Err(Status::unavailable("a record was not delivered")),
                    }
                });
            }
        }
        Box::pin(future::ready(Ok(Response::new(Bytes::new()))))
    }
}
