//! telemetrygen: an OTLP client that none of us wrote, on the Go SDK.

use std::process::Command;

use super::parts;

/// Sends `trace_count` traces of one root (`lets-go`) and one child (`okey-dokey-0`) each to
/// `endpoint` as service `service`, and waits until they are exported.
pub(crate) fn run(endpoint: &str, service: &str, trace_count: u32) {
    let address = endpoint.trim_start_matches("http://");
    let run = Command::new(parts::folder("telemetrygen").join("telemetrygen"))
        .args(["traces", "--otlp-insecure", "--otlp-endpoint", address])
        .args(["--service", service, "--traces", &trace_count.to_string()])
        .args(["--child-spans", "1", "--rate", "0"])
        .args(["--otlp-attributes", "deployment.environment.name=\"test\""])
        .args(["--telemetry-attributes", "order.items=3"])
        .output()
        .expect("scripts/real-parts has built it");
    assert!(
        run.status.success(),
        "telemetrygen: {}{}",
        String::from_utf8_lossy(&run.stdout),
        String::from_utf8_lossy(&run.stderr)
    );
}
