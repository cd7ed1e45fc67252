//! `grpc.health.v1`: the same truth as `/readyz`, for clients and balancers that speak gRPC.
//!
//! It is answered when exports are refused for want of memory, so it has bounds of its own.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use h2::RecvStream;
use prost::Message;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout_at,
};
use tonic::Code;
use tonic_health::pb::{
    HealthCheckRequest, HealthCheckResponse, health_check_response::ServingStatus,
};

use super::{
    body,
    status::{self, Reply},
    stream::Stream,
};
use crate::{
    health::Health,
    limits::{HEALTH_CHECK_BYTES_MAX, HEALTH_CHECKS_MAX},
    otlp::TRACES,
};

/// The method there is. `Watch` is not offered: the protocol tells clients to fall back to this.
pub(super) const PATH: &str = "/grpc.health.v1.Health/Check";

/// Answers from the process's conditions.
pub(super) struct HealthCheck {
    health: Arc<Health>,
    deadline: Duration,
    room: Arc<Semaphore>,
}

/// A check that was let in.
pub(super) struct OpenCheck {
    check: Arc<HealthCheck>,
    _place: OwnedSemaphorePermit,
}

impl HealthCheck {
    pub(super) fn new(health: Arc<Health>, deadline: Duration) -> Arc<Self> {
        Arc::new(Self { health, deadline, room: Arc::new(Semaphore::new(HEALTH_CHECKS_MAX)) })
    }

    /// Lets a check in, or gives the refusal.
    pub(super) fn admit(check: &Arc<Self>) -> Result<OpenCheck, http::Response<()>> {
        let place = Arc::clone(&check.room).try_acquire_owned();
        let place = place
            .map_err(|_| status::failure(Code::Unavailable, "too many health checks at once"))?;
        Ok(OpenCheck { check: Arc::clone(check), _place: place })
    }

    /// What is answered to this message.
    fn answer(&self, message: &[u8]) -> Reply {
        let Ok(request) = HealthCheckRequest::decode(message) else {
            return status::failure(Code::InvalidArgument, "not a HealthCheckRequest").into();
        };
        let service = request.service;
        if !service.is_empty() && service != TRACES.grpc_service {
            return status::failure(Code::NotFound, format!("no service {service}")).into();
        }
        let status =
            if self.health.ready() { ServingStatus::Serving } else { ServingStatus::NotServing };
        status::ok(status::framed(&HealthCheckResponse { status: status.into() }))
    }
}

impl OpenCheck {
    /// Reads the question and answers it. Returns the body, of which something may be left.
    pub(super) async fn serve(self, mut stream: Stream) -> RecvStream {
        let deadline = Instant::now() + self.check.deadline;
        let message = body::read(&mut stream.body, HEALTH_CHECK_BYTES_MAX, |_| Ok(()));
        let reply = match timeout_at(deadline.into(), message).await {
            Ok(Ok(message)) if !message.compressed => self.check.answer(&message.frames.concat()),
            Ok(Ok(_)) => status::unimplemented("health checks are not compressed").into(),
            Ok(Err(error)) => status::failure(Code::InvalidArgument, error.to_string()).into(),
            Err(_elapsed) => status::failure(Code::DeadlineExceeded, "no message came").into(),
        };
        stream.reply(reply, deadline).await;
        stream.body
    }
}
