//! Which method a request is for. One instance per connection, all of a runtime's share one core.

use std::{
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use http::{HeaderMap, Method, Request, Response, header::CONTENT_TYPE};
use tonic::body::Body;
use tonic_health::pb::health_server::HealthServer;
use tower_service::Service;

use super::{export::Export, health_check::HealthCheck, status};
use crate::otlp::TRACES;

/// The routes of the OTLP port.
#[derive(Clone)]
pub(super) struct OtlpService {
    pub(super) export: Arc<Export>,
    pub(super) health: HealthServer<HealthCheck>,
}

const HEALTH_PREFIX: &str = "/grpc.health.v1.Health/";

impl Service<Request<Body>> for OtlpService {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if request.method() != Method::POST || !is_grpc(request.headers()) {
            return Box::pin(async { Ok(status::not_grpc()) });
        }
        let path = request.uri().path();
        if path == TRACES.grpc_export_path {
            let export = Arc::clone(&self.export);
            return Box::pin(async move { Ok(export.serve(request).await) });
        }
        if path.starts_with(HEALTH_PREFIX) {
            return self.health.call(request);
        }
        let why = format!("no method {path}; spans go to {}", TRACES.grpc_export_path);
        Box::pin(async move { Ok(status::unimplemented(&why)) })
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
