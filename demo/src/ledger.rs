//! What was sent, what was acknowledged, and what of that Jaeger shows.
//!
//! A span counts as acknowledged when the SDK's exporter was told OK. From then on it is looked
//! for through Jaeger's HTTP API, by trace and span id, until it is found; what is never found is
//! lost. Only what is still looked for is remembered.

use std::{
    collections::{HashMap, HashSet},
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use opentelemetry::{SpanId, TraceId};
use opentelemetry_otlp::SpanExporter as OtlpExporter;
use opentelemetry_sdk::{
    Resource,
    error::OTelSdkResult,
    trace::{SpanData, SpanExporter},
};
use serde_json::Value;

use crate::page;

/// The counts, and what is still looked for.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    sent: u64,
    acknowledged: u64,
    traces: u64,
    found: u64,
    /// Acknowledged and not yet found.
    missing: HashMap<TraceId, HashSet<SpanId>>,
}

/// The ledger at one moment, in spans unless said otherwise.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Balance {
    /// Handed to the SDK's exporter.
    pub(crate) sent: u64,
    /// Of those, the exporter was told OK.
    pub(crate) acknowledged: u64,
    /// Traces whose root span is among the acknowledged.
    pub(crate) traces: u64,
    /// Of the acknowledged, Jaeger has shown them.
    pub(crate) found: u64,
    /// Of the acknowledged, it has not.
    pub(crate) missing: u64,
}

impl Ledger {
    /// The counts now.
    pub(crate) fn balance(&self) -> Balance {
        let entries = self.entries();
        Balance {
            sent: entries.sent,
            acknowledged: entries.acknowledged,
            traces: entries.traces,
            found: entries.found,
            missing: entries.acknowledged - entries.found,
        }
    }

    /// Looks every missing span up in the Jaeger at `ui_port`, until `deadline` at the latest.
    ///
    /// # Errors
    /// Jaeger does not answer, or not as its API does.
    pub(crate) fn look_up(&self, ui_port: u16, deadline: Instant) -> io::Result<()> {
        let traces: Vec<TraceId> = self.entries().missing.keys().copied().collect();
        for trace in traces {
            if Instant::now() >= deadline {
                break;
            }
            let (status, body) = page::fetch(ui_port, &format!("/api/traces/{trace}"))?;
            // 404: nothing of it has arrived yet.
            if status == 200 {
                self.strike(trace, &span_ids(&body)?);
            }
        }
        Ok(())
    }

    /// Takes what was found off the missing.
    fn strike(&self, trace: TraceId, shown: &HashSet<SpanId>) {
        let mut entries = self.entries();
        let Some(missing) = entries.missing.get_mut(&trace) else { return };
        let before = missing.len();
        missing.retain(|span| !shown.contains(span));
        let left = missing.len();
        entries.found += (before - left) as u64;
        if left == 0 {
            entries.missing.remove(&trace);
        }
    }

    fn acknowledge(&self, spans: &[(TraceId, SpanId)], traces: usize) {
        let mut entries = self.entries();
        entries.acknowledged += spans.len() as u64;
        entries.traces += traces as u64;
        for (trace, span) in spans {
            entries.missing.entry(*trace).or_default().insert(*span);
        }
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic elsewhere ends the demo; its counts are whole all the same.
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The ids of the spans in Jaeger's answer for one trace.
fn span_ids(body: &str) -> io::Result<HashSet<SpanId>> {
    let answer: Value = serde_json::from_str(body)?;
    let spans = answer["data"][0]["spans"].as_array();
    let ids = spans.into_iter().flatten().filter_map(|span| span["spanID"].as_str());
    Ok(ids.filter_map(|id| SpanId::from_hex(id).ok()).collect())
}

/// The official OTLP exporter, with every answer written down.
#[derive(Debug)]
pub(crate) struct Recording {
    pub(crate) exporter: OtlpExporter,
    pub(crate) ledger: Arc<Ledger>,
}

impl SpanExporter for Recording {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let id = |span: &SpanData| (span.span_context.trace_id(), span.span_context.span_id());
        let ids: Vec<(TraceId, SpanId)> = batch.iter().map(id).collect();
        let roots = batch.iter().filter(|span| span.parent_span_id == SpanId::INVALID).count();
        self.ledger.entries().sent += ids.len() as u64;
        let answer = self.exporter.export(batch).await;
        if answer.is_ok() {
            self.ledger.acknowledge(&ids, roots);
        }
        answer
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use opentelemetry::{SpanId, TraceId};

    use super::{Ledger, span_ids};

    const TRACE: TraceId = TraceId::from_bytes([1; 16]);
    const OTHER_TRACE: TraceId = TraceId::from_bytes([2; 16]);
    const SPAN: SpanId = SpanId::from_bytes([1; 8]);
    const OTHER_SPAN: SpanId = SpanId::from_bytes([2; 8]);

    /// What was acknowledged and is not shown is missing: another span of its trace does not stand
    /// for it, nor the same id in another trace.
    #[test]
    fn what_is_not_shown_is_missing() {
        let ledger = Ledger::default();
        ledger.acknowledge(&[(TRACE, SPAN), (TRACE, OTHER_SPAN)], 1);
        assert_eq!(ledger.balance().missing, 2);
        ledger.strike(TRACE, &HashSet::from([OTHER_SPAN]));
        ledger.strike(OTHER_TRACE, &HashSet::from([SPAN]));
        let balance = ledger.balance();
        assert_eq!((balance.acknowledged, balance.found, balance.missing), (2, 1, 1));
    }

    /// A span that is shown late is not lost, and counts once however often it is shown.
    #[test]
    fn what_is_shown_late_is_found_once() {
        let ledger = Ledger::default();
        ledger.acknowledge(&[(TRACE, SPAN), (TRACE, OTHER_SPAN)], 1);
        ledger.strike(TRACE, &HashSet::from([SPAN]));
        ledger.strike(TRACE, &HashSet::from([SPAN]));
        assert_eq!(ledger.balance().missing, 1);
        ledger.strike(TRACE, &HashSet::from([SPAN, OTHER_SPAN]));
        let balance = ledger.balance();
        assert_eq!((balance.traces, balance.found, balance.missing), (1, 2, 0));
    }

    /// Jaeger's answer is read as it writes it; one that shows no span finds none.
    #[test]
    fn spans_of_an_answer() {
        let answer = r#"{"data":[{"spans":[{"spanID":"0101010101010101","logs":[]}]}]}"#;
        assert_eq!(span_ids(answer).expect("it is JSON"), HashSet::from([SPAN]));
        assert!(span_ids(r#"{"data":[]}"#).expect("it is JSON").is_empty());
        assert!(span_ids("no JSON").is_err());
    }
}
