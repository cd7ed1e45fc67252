//! The backend: Jaeger's own UI over a store in memory, both from the crate `otlp-embedded`.
//!
//! The pipeline reaches the store over OTLP/gRPC as it would reach a Jaeger. The store keeps
//! spans as they come; what Jaeger itself adds on arrival (kind, status, error, scope) is added
//! here, as the tags that its UI reads.

use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
};

use axum::{http::header::CONTENT_TYPE, routing::get};
use otlp_embedded::{
    Config, State, TraceService, TraceServiceImpl, TraceServiceServer,
    proto::{
        collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse},
        common::v1::{AnyValue, KeyValue, any_value::Value},
        resource::v1::Resource,
        trace::v1::{Span, span::SpanKind, status::StatusCode},
    },
    ui_app,
};
use tokio::{net::TcpListener, runtime::Runtime};
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status, transport::Server};

use crate::dependencies::dependencies;

/// Beyond either bound the oldest traces make room: some 15 minutes of the shop.
const TRACES_MAX: u32 = 20_000;
const BYTES_MAX: usize = 512 << 20;

/// The running backend; it ends with its runtime.
pub(crate) struct Jaeger {
    /// Where the pipeline forwards to.
    pub(crate) otlp_address: SocketAddr,
    stored: Arc<AtomicU64>,
}

impl Jaeger {
    /// Serves the UI on `ui_port` of this machine, and OTLP on a port that is free.
    ///
    /// # Errors
    /// The UI's port is taken.
    pub(crate) fn start(runtime: &Runtime, ui_port: u16) -> io::Result<Self> {
        let listen = |port| runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, port)));
        let (ui, otlp) = (listen(ui_port)?, listen(0)?);
        let otlp_address = otlp.local_addr()?;
        let state = State::new(Config { max_length: TRACES_MAX, max_memory_usage: BYTES_MAX });
        let stored = Arc::new(AtomicU64::new(0));
        let intake = Intake {
            store: TraceServiceImpl::new(Arc::clone(&state)),
            stored: Arc::clone(&stored),
        };
        runtime.spawn(async {
            let server = Server::builder().add_service(TraceServiceServer::new(intake));
            server.serve_with_incoming(TcpListenerStream::new(otlp)).await
        });
        let ui_app = ui_app(Arc::clone(&state), "/").route(
            "/api/dependencies",
            get(async || ([(CONTENT_TYPE, "application/json")], dependencies(state).await)),
        );
        runtime.spawn(async move { axum::serve(ui, ui_app).await });
        Ok(Self { otlp_address, stored })
    }

    /// Spans that have arrived, repetitions included.
    pub(crate) fn stored(&self) -> u64 {
        self.stored.load(Ordering::Relaxed)
    }
}

/// Takes spans in, counts them and adds what the UI wants to see.
struct Intake {
    store: TraceServiceImpl,
    stored: Arc<AtomicU64>,
}

#[tonic::async_trait]
impl TraceService for Intake {
    async fn export(
        &self,
        mut request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut count = 0;
        for resource_spans in &mut request.get_mut().resource_spans {
            name_process(resource_spans.resource.get_or_insert_default());
            for scope_spans in &mut resource_spans.scope_spans {
                let scope = scope_spans.scope.as_ref().map(|scope| scope.name.as_str());
                for span in &mut scope_spans.spans {
                    add_tags(span, scope.unwrap_or_default());
                    count += 1;
                }
            }
        }
        let answer = self.store.export(request).await;
        self.stored.fetch_add(count, Ordering::Relaxed);
        answer
    }
}

/// The store tells processes apart by their instance id alone: without one, by their service.
fn name_process(resource: &mut Resource) {
    if resource.attributes.iter().any(|attribute| attribute.key == "service.instance.id") {
        return;
    }
    let service = resource.attributes.iter().find(|attribute| attribute.key == "service.name");
    let value = service.and_then(|service| service.value.clone());
    resource.attributes.push(KeyValue { key: "service.instance.id".to_owned(), value });
}

/// The tags of Jaeger's own translation from OTLP.
fn add_tags(span: &mut Span, scope: &str) {
    let kind = match span.kind() {
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
        SpanKind::Internal | SpanKind::Unspecified => "internal",
    };
    let mut tags = vec![text("span.kind", kind), text("otel.scope.name", scope)];
    if let Some(status) = &span.status {
        match status.code() {
            StatusCode::Error => {
                tags.push(tag("error", Value::BoolValue(true)));
                tags.push(text("otel.status_code", "ERROR"));
                tags.push(text("otel.status_description", &status.message));
            }
            StatusCode::Ok => tags.push(text("otel.status_code", "OK")),
            StatusCode::Unset => {}
        }
    }
    span.attributes.append(&mut tags);
}

fn text(key: &str, value: &str) -> KeyValue {
    tag(key, Value::StringValue(value.to_owned()))
}

fn tag(key: &str, value: Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }) }
}
