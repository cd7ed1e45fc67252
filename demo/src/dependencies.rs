//! Who calls whom, for the view "System Architecture" of Jaeger's UI, which its store lacks.
//!
//! Counted when asked, over the latest traces only, so that it costs nothing while spans flow.

use std::collections::{BTreeMap, HashMap};

use otlp_embedded::StateRef;
use serde_json::{Value, json};

/// Some half a minute of the shop.
const TRACES_MAX: usize = 500;

/// The answer of Jaeger's `/api/dependencies`: pairs of services with their number of calls.
///
/// A link counts as a call too: it leads from the sender of a message to its consumer.
pub(crate) async fn dependencies(store: StateRef) -> String {
    let traces: Vec<Value> = {
        let state = store.read().await;
        state.get_all_complete().take(TRACES_MAX).map(|trace| trace.to_jaeger_batch()).collect()
    };
    let mut services: HashMap<&str, &str> = HashMap::new();
    for (span, processes) in spans(&traces) {
        let process = span["processID"].as_str().unwrap_or_default();
        let service = processes[process]["serviceName"].as_str();
        services.extend(span["spanID"].as_str().zip(service));
    }
    let mut calls: BTreeMap<(&str, &str), u64> = BTreeMap::new();
    for (span, _) in spans(&traces) {
        let service_of = |id: &Value| services.get(id.as_str()?).copied();
        for reference in span["references"].as_array().into_iter().flatten() {
            let pair = service_of(&reference["spanID"]).zip(service_of(&span["spanID"]));
            if let Some((parent, child)) = pair.filter(|(parent, child)| parent != child) {
                *calls.entry((parent, child)).or_default() += 1;
            }
        }
    }
    let pairs: Vec<Value> = calls
        .into_iter()
        .map(|((parent, child), count)| {
            json!({ "parent": parent, "child": child, "callCount": count })
        })
        .collect();
    json!({ "data": pairs }).to_string()
}

/// Every span with the processes of its trace.
fn spans(traces: &[Value]) -> impl Iterator<Item = (&Value, &Value)> {
    let traces = traces.iter().map(|batch| &batch["data"][0]);
    traces.flat_map(|trace| {
        let spans = trace["spans"].as_array().into_iter().flatten();
        spans.map(|span| (span, &trace["processes"]))
    })
}
