//! `grpc.health.v1`: the same truth as `/readyz`, for clients and balancers that speak gRPC.

use std::sync::Arc;

use tokio_stream::Empty;
use tonic::{Request, Response, Status};
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
    health_server::Health as GrpcHealth,
};

use crate::{health::Health, otlp::TRACES};

/// Answers from the process's conditions.
pub(super) struct HealthCheck {
    pub(super) health: Arc<Health>,
}

#[tonic::async_trait]
impl GrpcHealth for HealthCheck {
    type WatchStream = Empty<Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        request: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        let service = &request.get_ref().service;
        if !service.is_empty() && service != TRACES.grpc_service {
            return Err(Status::not_found(format!("no service {service}")));
        }
        let status =
            if self.health.ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        Ok(Response::new(HealthCheckResponse { status: status.into() }))
    }

    /// Nobody's probe uses it; the protocol tells clients to fall back to `Check`.
    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("Watch is not supported, use Check"))
    }
}
