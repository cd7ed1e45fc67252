//! The kinds of operation in the shop, as OpenTelemetry's semantic conventions describe them.
//!
//! HTTP, database and messaging spans get their names, kinds and attributes here and nowhere else.

use std::time::Duration;

use opentelemetry::{
    Context, KeyValue,
    trace::{SpanContext, SpanKind, TraceContextExt},
};
use opentelemetry_sdk::trace::SdkTracer;

use crate::timeline::{Failure, Operation, Timeline};

/// How long somebody outside the shop is waited for.
const OUTSIDE_TIMEOUT: Duration = Duration::from_millis(900);

/// Tells how a service answers an HTTP request, by the method and route in `name`.
///
/// A refusal (4xx) is no error of the server, but is returned for its caller, whose error it is.
pub(crate) fn serve<T>(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    parent: &Context,
    name: &'static str,
    body: impl FnOnce(&mut Timeline<'_>, &Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (method, route) = name.split_once(' ').unwrap_or((name, "/"));
    let request = Operation::new(
        name,
        SpanKind::Server,
        [
            KeyValue::new("http.request.method", method),
            KeyValue::new("http.route", route),
            KeyValue::new("url.path", route.replace("{id}", "42")),
            KeyValue::new("url.scheme", "http"),
            KeyValue::new("network.protocol.version", "1.1"),
        ],
    );
    let answered = timeline.within(tracer, parent, request, |timeline, context| {
        let outcome = body(timeline, context);
        answer(context, outcome.as_ref().err().map_or(200, |failure| failure.status_code));
        match outcome {
            Err(failure) if failure.status_code < 500 => Ok(Err(failure)),
            other => other.map(Ok),
        }
    });
    answered.flatten()
}

/// Tells an HTTP call from one service of the shop to another: both of its sides.
pub(crate) fn call<T>(
    timeline: &mut Timeline<'_>,
    (caller, callee): (&SdkTracer, &SdkTracer),
    parent: &Context,
    name: &'static str,
    body: impl FnOnce(&mut Timeline<'_>, &Context) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let (_, path) = name.split_once(' ').unwrap_or((name, "/"));
    let request = http_client("shop.internal", path);
    timeline.within(caller, parent, request, |timeline, context| {
        timeline.pass(0.4);
        let outcome = serve(timeline, callee, context, name, body);
        timeline.pass(0.4);
        answer(context, outcome.as_ref().err().map_or(200, |failure| failure.status_code));
        outcome
    })
}

/// Tells an HTTP call to somebody outside the shop, who takes `typical_ms`, and may refuse or,
/// with 504, never answer.
pub(crate) fn call_outside(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    parent: &Context,
    (host, path): (&'static str, &'static str),
    typical_ms: f64,
    fails: Option<Failure>,
) -> Result<(), Failure> {
    timeline.within(tracer, parent, http_client(host, path), |timeline, context| {
        let status_code = fails.as_ref().map_or(200, |failure| failure.status_code);
        if status_code == 504 {
            timeline.wait(OUTSIDE_TIMEOUT);
        } else {
            timeline.pass(typical_ms);
            answer(context, status_code);
        }
        fails.map_or(Ok(()), Err)
    })
}

/// Tells a statement of a PostgreSQL database.
pub(crate) fn query(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    parent: &Context,
    name: &'static str,
    text: &'static str,
    typical_ms: f64,
) -> Result<(), Failure> {
    let (operation, table) = name.split_once(' ').unwrap_or((name, ""));
    let statement = Operation::new(
        name,
        SpanKind::Client,
        [
            KeyValue::new("db.system.name", "postgresql"),
            KeyValue::new("db.namespace", "shop"),
            KeyValue::new("db.operation.name", operation),
            KeyValue::new("db.collection.name", table),
            KeyValue::new("db.query.text", text),
            KeyValue::new("server.address", "db.shop.internal"),
            KeyValue::new("server.port", 5432),
        ],
    );
    timeline.within(tracer, parent, statement, |timeline, _| {
        timeline.pass(typical_ms);
        Ok(())
    })
}

/// Tells a look into Redis, and whether it found something.
pub(crate) fn cached(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    parent: &Context,
    found: bool,
) -> Result<(), Failure> {
    let lookup = Operation::new(
        "GET",
        SpanKind::Client,
        [
            KeyValue::new("db.system.name", "redis"),
            KeyValue::new("db.operation.name", "GET"),
            KeyValue::new("db.query.text", "GET product:?"),
            KeyValue::new("server.address", "cache.shop.internal"),
            KeyValue::new("shop.cache.hit", found),
        ],
    );
    timeline.within(tracer, parent, lookup, |timeline, _| {
        timeline.pass(0.6);
        Ok(())
    })
}

/// Tells that an order is sent to the topic `orders`; gives what consumers link to.
pub(crate) fn send_order(
    timeline: &mut Timeline<'_>,
    tracer: &SdkTracer,
    parent: &Context,
) -> Result<SpanContext, Failure> {
    let send = Operation::new("send orders", SpanKind::Producer, messaging("send"));
    timeline.within(tracer, parent, send, |timeline, context| {
        timeline.pass(2.0);
        Ok(context.span().span_context().clone())
    })
}

/// A consumer taking a batch of these messages off the topic `orders`.
pub(crate) fn process_orders(messages: Vec<SpanContext>) -> Operation {
    let mut process = Operation::new("process orders", SpanKind::Consumer, messaging("process"));
    let count = messages.len() as i64;
    process.attributes.push(KeyValue::new("messaging.consumer.group.name", "email"));
    process.attributes.push(KeyValue::new("messaging.batch.message_count", count));
    process.links = messages;
    process
}

fn messaging(operation: &'static str) -> [KeyValue; 4] {
    [
        KeyValue::new("messaging.system", "kafka"),
        KeyValue::new("messaging.destination.name", "orders"),
        KeyValue::new("messaging.operation.name", operation),
        KeyValue::new("messaging.operation.type", operation),
    ]
}

fn http_client(host: &'static str, path: &'static str) -> Operation {
    Operation::new(
        "POST",
        SpanKind::Client,
        [
            KeyValue::new("http.request.method", "POST"),
            KeyValue::new("url.full", format!("http://{host}{path}")),
            KeyValue::new("server.address", host),
            KeyValue::new("server.port", 80),
        ],
    )
}

fn answer(context: &Context, status_code: i64) {
    context.span().set_attribute(KeyValue::new("http.response.status_code", status_code));
}
