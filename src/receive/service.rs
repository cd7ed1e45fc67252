//! Which method a request is for. One instance per runtime; called by the connections' tasks.

use std::sync::Arc;

use bytes::Bytes;
use h2::{RecvStream, server::SendResponse};
use http::{HeaderMap, Method, Request, header::CONTENT_TYPE};

use super::{
    export::Export,
    health_check::{self, HealthCheck},
    lingering::Lingering,
    status,
    stream::Stream,
    tasks::Tasks,
};
use crate::{otlp::TRACES, publish::Budget};

/// The routes of the OTLP port.
pub(super) struct Service {
    pub(super) export: Arc<Export>,
    pub(super) health: Arc<HealthCheck>,
    pub(super) lingering: Arc<Lingering>,
    pub(super) tasks: Tasks,
}

impl Service {
    /// The budget of one more connection.
    pub(super) fn share(&self) -> Budget {
        self.export.admission.share()
    }

    /// Takes a request whose headers have arrived: a task reads the rest, or it is refused here
    /// and now, which keeps nothing of it.
    pub(super) fn take(
        &self,
        request: Request<RecvStream>,
        mut respond: SendResponse<Bytes>,
        share: &Arc<Budget>,
    ) {
        // The headers are read here and not kept: they may be larger than the request's charge.
        let (head, body) = request.into_parts();
        let path = head.uri.path();
        let refused = if head.method != Method::POST || !is_grpc(&head.headers) {
            status::not_grpc()
        } else if path == TRACES.grpc_export_path {
            match Export::admit(&self.export, &head.headers, share) {
                Ok(open) => return self.start(open.serve(Stream { body, respond })),
                Err(refused) => refused,
            }
        } else if path == health_check::PATH {
            match HealthCheck::admit(&self.health) {
                Ok(open) => return self.start(open.serve(Stream { body, respond })),
                Err(refused) => refused,
            }
        } else {
            status::unimplemented(&format!(
                "no method {path}; spans go to {}",
                TRACES.grpc_export_path
            ))
        };
        // An error means that the stream has ended: nobody waits for the answer.
        respond.send_response(refused, true).ok();
        self.lingering.start(&self.tasks, body);
    }

    /// Starts a request's task, which ends with what it has not read.
    fn start(&self, serving: impl Future<Output = RecvStream> + Send + 'static) {
        let lingering = Arc::clone(&self.lingering);
        self.tasks.start(async move { lingering.read(serving.await).await });
    }
}

fn is_grpc(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_some_and(|value| value.as_bytes().starts_with(b"application/grpc"))
}
