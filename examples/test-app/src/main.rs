//! A checkout that is traced by the official OpenTelemetry SDK: one trace every two seconds.
//!
//! It shows how a service is instrumented by hand, and it is what the pipeline's own tests send.
//! Spans, attributes and statuses follow OpenTelemetry's semantic conventions. Every fifth
//! checkout fails.
//!
//! ```text
//! POST /checkout          SERVER
//! ├─ price basket         INTERNAL, with an event
//! │  └─ SELECT items      CLIENT, where a failure is recorded
//! └─ send orders          PRODUCER, unless the checkout failed
//! ```
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | receiver, read by the SDK | `http://localhost:4317` |
//! | `TEST_APP_INTERVAL` | pause between traces, in `ms` or `s` | `2s` |
//! | `TEST_APP_TRACES` | end after so many traces | none |
//!
//! SIGTERM and SIGINT end it after the current trace. The exit code is 1 when a variable cannot be
//! read or the last spans could not be exported.

use std::error::Error;
use std::io::{self, Write};
use std::thread;
use std::time::Duration;

use opentelemetry::trace::{Span, SpanKind, Status, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_otlp::SpanExporter;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use tokio::runtime::Builder;
use tokio::signal::unix::{SignalKind, signal};
use tokio::time;

fn main() -> Result<(), Box<dyn Error>> {
    let interval = match std::env::var("TEST_APP_INTERVAL") {
        Ok(text) => duration(&text).ok_or("TEST_APP_INTERVAL must be like 200ms or 2s")?,
        Err(_) => Duration::from_secs(2),
    };
    let trace_count = match std::env::var("TEST_APP_TRACES") {
        Ok(text) => text.parse().map_err(|_| "TEST_APP_TRACES must be a number")?,
        Err(_) => u64::MAX,
    };

    // The exporter's connection lives on this runtime, so it needs a thread besides this one.
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let entered = runtime.enter();
    let provider = SdkTracerProvider::builder()
        .with_resource(Resource::builder().with_service_name("test-app").build())
        .with_batch_exporter(SpanExporter::builder().with_tonic().build()?)
        .build();
    drop(entered);

    let tracer = provider.tracer("test-app");
    let (mut terminate, mut interrupt) = runtime.block_on(async {
        io::Result::Ok((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
    })?;
    for number in 1..=trace_count {
        check_out(&tracer, number.is_multiple_of(5))?;
        let goes_on = runtime.block_on(async {
            tokio::select! {
                () = time::sleep(interval) => true,
                _ = terminate.recv() => false,
                _ = interrupt.recv() => false,
            }
        });
        if !goes_on {
            break;
        }
    }
    // Exports what the batch processor still holds; without it the last seconds would be lost.
    provider.force_flush()?;
    provider.shutdown()?;
    Ok(())
}

/// One trace, printed when it has ended.
fn check_out(tracer: &SdkTracer, fails: bool) -> io::Result<()> {
    let span = tracer
        .span_builder("POST /checkout")
        .with_kind(SpanKind::Server)
        .with_attributes([
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("http.route", "/checkout"),
            KeyValue::new("url.path", "/checkout"),
            KeyValue::new("url.scheme", "https"),
            KeyValue::new("server.address", "shop.example"),
            KeyValue::new("user_agent.original", "test-app/1.0"),
        ])
        .start_with_context(tracer, &Context::new());
    let trace_id = span.span_context().trace_id();
    // A context carries the span to the functions below, which start their own as its children.
    let context = Context::new().with_span(span);

    let (status_code, span_count) = match price_basket(tracer, &context, fails) {
        Ok(()) => {
            publish_order(tracer, &context);
            (200, 4)
        }
        Err(error) => {
            context.span().set_attribute(KeyValue::new("error.type", "500"));
            context.span().set_status(Status::error(error.to_string()));
            (500, 3)
        }
    };
    context.span().set_attribute(KeyValue::new("http.response.status_code", status_code));
    context.span().end();
    writeln!(io::stdout(), "trace {trace_id} spans {span_count}")
}

fn price_basket(tracer: &SdkTracer, parent: &Context, fails: bool) -> Result<(), QueryError> {
    let span = tracer
        .span_builder("price basket")
        .with_kind(SpanKind::Internal)
        .with_attributes([
            KeyValue::new("shop.basket.items", 3),
            KeyValue::new("shop.basket.total", 59.9),
        ])
        .start_with_context(tracer, parent);
    let context = parent.with_span(span);
    let priced = query_items(tracer, &context, fails);
    if priced.is_ok() {
        let attributes = vec![KeyValue::new("shop.discount.percent", 10)];
        context.span().add_event("discount applied", attributes);
    }
    context.span().end();
    priced
}

fn query_items(tracer: &SdkTracer, parent: &Context, fails: bool) -> Result<(), QueryError> {
    let mut span = tracer
        .span_builder("SELECT items")
        .with_kind(SpanKind::Client)
        .with_attributes([
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", "shop"),
            KeyValue::new("db.collection.name", "items"),
            KeyValue::new("db.operation.name", "SELECT"),
            KeyValue::new("db.query.text", "SELECT price FROM items WHERE id = ANY($1)"),
            KeyValue::new("server.address", "db.shop.example"),
            KeyValue::new("server.port", 5432),
        ])
        .start_with_context(tracer, parent);
    thread::sleep(Duration::from_millis(3));
    let result = if fails { Err(QueryError) } else { Ok(()) };
    if let Err(error) = &result {
        // An exception event says what happened, the status that the operation failed by it.
        span.record_error(error);
        span.set_attribute(KeyValue::new("error.type", "57014"));
        span.set_status(Status::error(error.to_string()));
    }
    span.end();
    result
}

fn publish_order(tracer: &SdkTracer, parent: &Context) {
    let mut span = tracer
        .span_builder("send orders")
        .with_kind(SpanKind::Producer)
        .with_attributes([
            KeyValue::new("messaging.system", "kafka"),
            KeyValue::new("messaging.operation.type", "send"),
            KeyValue::new("messaging.operation.name", "send"),
            KeyValue::new("messaging.destination.name", "orders"),
        ])
        .start_with_context(tracer, parent);
    thread::sleep(Duration::from_millis(1));
    span.end();
}

/// What every fifth checkout fails with.
#[derive(Debug)]
struct QueryError;

impl std::fmt::Display for QueryError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("canceling statement due to statement timeout")
    }
}

impl Error for QueryError {}

fn duration(text: &str) -> Option<Duration> {
    match text.strip_suffix("ms") {
        Some(milliseconds) => milliseconds.parse().ok().map(Duration::from_millis),
        None => text.strip_suffix('s')?.parse().ok().map(Duration::from_secs),
    }
}
