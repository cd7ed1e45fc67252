//! One empty export to the backend, for the `check` task: the same client, the same address, no
//! span. Blocks the calling thread for at most [`limits::ADMIN_TIMEOUT`].

use bytes::Bytes;
use tokio::runtime;

use super::{
    backend::{BackendError, bounded, endpoint},
    batch::PREFIX_BYTES,
    call::{Deadline, export},
    outcome::{Class, Outcome, Refusal},
};
use crate::{check::Finding, config::ForwardConfig, limits};

/// An empty request is valid OTLP, and this is its gRPC frame: not compressed, of length 0.
static EMPTY_REQUEST: [u8; PREFIX_BYTES] = [0; PREFIX_BYTES];

/// Whether the backend takes OTLP, and what to change when it does not.
pub fn probe_backend(config: &ForwardConfig) -> Finding {
    const SUBJECT: &str = "backend";
    let backend = &config.endpoint;
    match ask(config) {
        Ok(Outcome::Accepted { warning, .. }) if warning.is_empty() => {
            Finding::ok(SUBJECT, format!("{backend} takes OTLP"))
        }
        Ok(Outcome::Accepted { warning, .. }) => {
            Finding::warn(SUBJECT, format!("{backend} takes OTLP and says: {warning}"))
        }
        // It speaks OTLP; some object to a request without spans, which is never sent otherwise.
        Ok(Outcome::Refused(refusal)) if refusal.class == Class::Data => Finding::warn(
            SUBJECT,
            format!("{backend} answers, but not OK to an empty request: {}", refusal.message),
        ),
        Ok(Outcome::Refused(refusal)) => {
            let Refusal { code, message, .. } = &refusal;
            Finding::fail(SUBJECT, format!("{backend}: {code}: {message}; {}", fix(&refusal)))
        }
        Err(error) => {
            let Refusal { message, .. } = Refusal::from_transport(&error);
            Finding::fail(SUBJECT, format!("{message}; correct JAEGER_ENDPOINT"))
        }
    }
}

fn ask(config: &ForwardConfig) -> Result<Outcome, BackendError> {
    let runtime = runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(BackendError::Runtime)?;
    let endpoint = endpoint(config)?;
    let deadline = Deadline::new(limits::ADMIN_TIMEOUT);
    Ok(runtime.block_on(async {
        let channel = endpoint.connect_lazy();
        let call = export(channel, Bytes::from_static(&EMPTY_REQUEST), &deadline);
        bounded(deadline.timeout(), call).await
    }))
}

/// What to change, by the code of [`Refusal`].
fn fix(refusal: &Refusal) -> &'static str {
    match (refusal.code, refusal.class) {
        ("connection", Class::Configuration) => {
            "correct the host in JAEGER_ENDPOINT, or let this machine trust its certificate"
        }
        ("connection" | "timeout", _) => {
            "start the backend or correct JAEGER_ENDPOINT; https:// is for TLS, http:// for none"
        }
        ("unimplemented" | "not_found" | "http", _) => {
            "this is no OTLP/gRPC endpoint: JAEGER_ENDPOINT wants that port, 4317 by default"
        }
        ("unauthenticated" | "permission_denied", _) => {
            "let this client in, or set JAEGER_ENDPOINT to a collector that adds the credentials"
        }
        _ => "see the backend's own log",
    }
}
