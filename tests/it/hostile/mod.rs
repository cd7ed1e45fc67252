//! Clients that mean harm, each beside a good one that keeps being served.

mod bodies;
mod connections;
mod fairness;
mod floods;
mod headers;
mod slow;

use std::sync::atomic::{AtomicBool, Ordering};

use tonic::Code;

use crate::support::{
    pipeline::Pipeline,
    receiving::{PARTITIONS, TOPIC, start_with},
    spans::{request, trace},
};

const REFUSED: &str = "otel_pipeline_receive_connections_refused_total";
const ENDED: &str = "otel_pipeline_receive_connections_ended_total";

/// Runs `attack` while a good client exports on a connection that it had before; each of its
/// requests must be OK, the last one begun after the attack.
fn beside_a_good_client(pipeline: &Pipeline, attack: impl FnOnce()) {
    let (over, client) = (AtomicBool::new(false), pipeline.client());
    std::thread::scope(|scope| {
        let over = &over;
        let good = scope.spawn(move || {
            let body = request(trace(1, 2));
            loop {
                let last = over.load(Ordering::Relaxed);
                let reply = client.export(&body);
                assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
                if last {
                    break;
                }
            }
        });
        let ending = Ending(over);
        attack();
        drop(ending);
        good.join().unwrap();
    });
}

/// Ends the good client when the attack has ended, or failed.
struct Ending<'a>(&'a AtomicBool);

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Waits until a counter of connections reads `count` for this reason.
fn await_count(pipeline: &Pipeline, metric: &str, reason: &str, count: usize) {
    let line = format!("{metric}{{reason=\"{reason}\"}} {count}\n");
    pipeline.await_page("/metrics", |_, text| text.contains(&line));
}
