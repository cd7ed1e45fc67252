//! Which page stands at which path: one table, one function per page.

use std::sync::Arc;

use prometheus::TextEncoder;
use tiny_http::Method;

use super::{
    connection::HeadError,
    latency_page,
    request::{Query, Request},
};
use crate::{health::Health, internal_telemetry::Telemetry};

/// What the pages show.
pub(super) struct Sources {
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) health: Arc<Health>,
}

/// What goes back to the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) content_type: &'static str,
    pub(super) body: String,
}

impl Answer {
    /// Plain text.
    pub(super) fn text(status: u16, body: impl Into<String>) -> Self {
        Self { status, content_type: "text/plain; charset=utf-8", body: body.into() }
    }
}

struct Page {
    path: &'static str,
    about: &'static str,
    answer: fn(&Sources, &Query) -> Answer,
}

const PAGES: [Page; 5] = [
    Page { path: "/", about: "This list.", answer: |_, _| Answer::text(200, list()) },
    Page {
        path: "/healthz",
        about: "200 while every loop of the process turns; 503 names those that are stuck.",
        answer: healthz,
    },
    Page {
        path: "/readyz",
        about: "200 when the process can do its work, else 503 and why; ?verbose: every condition.",
        answer: readyz,
    },
    Page {
        path: "/metrics",
        about: "Counters, gauges and histograms in the Prometheus text format.",
        answer: metrics,
    },
    Page {
        path: "/latency",
        about: "Percentiles per stage; ?format=hgrm&stage=NAME[&window=NAME]: for HdrHistogram.",
        answer: latency_page::answer,
    },
];

/// The answer to a request, or to what was none.
pub(super) fn answer(sources: &Sources, request: Result<Request, HeadError>) -> Answer {
    match request {
        Err(HeadError::Malformed) => Answer::text(400, "not an HTTP/1 request\n"),
        Err(HeadError::TooLong) => Answer::text(431, "request head too long\n"),
        Ok(request) => match PAGES.iter().find(|page| page.path == request.path) {
            None => Answer::text(404, format!("no such page; there are:\n{}", list())),
            Some(_) if !matches!(request.method, Method::Get | Method::Head) => {
                Answer::text(405, "pages are read with GET or HEAD\n")
            }
            Some(page) => (page.answer)(sources, &request.query),
        },
    }
}

fn list() -> String {
    PAGES.iter().map(|page| format!("{:<9} {}\n", page.path, page.about)).collect()
}

fn healthz(sources: &Sources, _: &Query) -> Answer {
    let stuck = sources.health.stuck();
    if stuck.is_empty() {
        return Answer::text(200, "ok\n");
    }
    let named: Vec<String> =
        stuck.iter().map(|(name, age)| format!("{name} (silent for {}s)", age.as_secs())).collect();
    Answer::text(503, format!("stuck: {}\n", named.join(", ")))
}

fn readyz(sources: &Sources, query: &Query) -> Answer {
    let conditions = sources.health.conditions();
    let unmet: Vec<String> = conditions
        .iter()
        .filter(|condition| condition.required() && !condition.holds())
        .map(|condition| condition.describe())
        .collect();
    let (status, verdict) = if unmet.is_empty() {
        (200, "ok\n".to_owned())
    } else {
        (503, format!("not ready: {}\n", unmet.join("; ")))
    };
    if query.value("verbose").is_none() {
        return Answer::text(status, verdict);
    }
    let all: String = conditions.iter().map(|condition| condition.describe() + "\n").collect();
    Answer::text(status, verdict + &all)
}

fn metrics(sources: &Sources, _: &Query) -> Answer {
    match TextEncoder::new().encode_to_string(&sources.telemetry.registry.gather()) {
        Ok(body) => Answer { status: 200, content_type: prometheus::TEXT_FORMAT, body },
        Err(error) => Answer::text(500, format!("metrics cannot be written: {error}\n")),
    }
}
