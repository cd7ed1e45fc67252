//! `run`, `sink`, `verify` and `report` as the processes that users start, over loopback.

#![expect(clippy::unwrap_used, reason = "what tests share panics as tests do")]

mod reports;

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tempfile::TempDir;

/// A sink on a port of its own choice; killed if a test fails before it ends.
struct Sink {
    process: Child,
    endpoint: String,
    _folder: TempDir,
    out: PathBuf,
}

impl Sink {
    fn start(args: &[&str]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("arrived");
        let mut process = loadgen("sink")
            .args(args)
            .arg("--out")
            .arg(&out)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(process.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let address = line.strip_prefix("listening on ").expect("the first line names the address");
        let endpoint = format!("http://{}", address.trim());
        Self { process, endpoint, _folder: folder, out }
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    }

    /// Ends the sink with SIGTERM and waits; returns its exit code and the file it wrote.
    fn stop(mut self) -> (Option<i32>, Vec<u8>) {
        self.signal("-TERM");
        (self.wait(), fs::read(&self.out).unwrap())
    }

    fn wait(&mut self) -> Option<i32> {
        let status = poll(|| self.process.try_wait().unwrap());
        status.code()
    }
}

impl Drop for Sink {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// Tries until there is a value, for at most 30 seconds.
fn poll<T>(mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "nothing after 30 s");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn loadgen(subcommand: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_loadgen"));
    for variable in ["ENDPOINT", "HEADERS", "CERTIFICATE"] {
        command.env_remove(format!("OTEL_EXPORTER_OTLP_{variable}"));
    }
    command.arg(subcommand);
    command
}

/// Exit code and JSON document of a process that printed one.
fn report(output: &Output) -> (i32, Value) {
    let document = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), document)
}

/// Sends 20 requests of 100 spans, two in flight on two connections.
fn run(endpoint: &str, ledger: &Path, args: &[&str]) -> (i32, Value) {
    let output = loadgen("run")
        .args(["--endpoint", endpoint, "--requests", "20", "--spans-per-request", "100"])
        .args(["--spans-per-trace", "10", "--connections", "2", "--json", "-", "--ledger"])
        .arg(ledger)
        .args(args)
        .output()
        .unwrap();
    report(&output)
}

fn verify(ledger: &Path, arrived: &[u8]) -> (i32, Value) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("arrived");
    fs::write(&path, arrived).unwrap();
    let command = &mut loadgen("verify");
    let command = command.arg("--ledger").arg(ledger).arg("--arrived").arg(path);
    report(&command.args(["--json", "-"]).output().unwrap())
}

/// Runs against a sink and verifies; returns both reports and exit codes.
fn run_and_verify(sink: &[&str], args: &[&str]) -> ((i32, Value), (i32, Value)) {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let sink = Sink::start(sink);
    let run = run(&sink.endpoint, &ledger, args);
    let (code, arrived) = sink.stop();
    assert_eq!(code, Some(0));
    (run, verify(&ledger, &arrived))
}

/// Everything that is acknowledged arrives intact and once, however it is encoded and paced.
#[test]
fn a_sound_receiver_passes() {
    for args in [
        &["--in-flight", "2"][..],
        &["--in-flight", "4", "--field-order", "descending", "--compression", "gzip"],
        &["--in-flight", "4", "--spans-per-trace", "1", "--compression", "zstd"],
        &["--in-flight", "1", "--spans-per-trace", "1000", "--connections", "1"],
        &["--in-flight", "4", "--spans-per-trace", "7", "--interleave", "--profile", "small"],
        &["--rate", "100k", "--threads", "2"],
        &["--rate", "100k", "--arrivals", "poisson", "--profile", "fat"],
    ] {
        let ((code, run), (verify_code, verdict)) = run_and_verify(&[], args);
        assert_eq!((code, verify_code), (0, 0), "{args:?}: {run} {verdict}");
        assert_eq!(run["spans"]["generated"], 2_000, "{args:?}");
        assert_eq!(run["spans"]["acknowledged"], 2_000, "{args:?}");
        assert_eq!(run["spans_not_sent"], 0, "{args:?}");
        assert_eq!(run["latency_us"]["count"], 20, "{args:?}");
        assert_eq!(run["arrival"], "not verified");
        assert_eq!(verdict["spans"], run["spans"], "{args:?}");
        assert_eq!(verdict["arrived"], 2_000, "{args:?}");
        for fault in ["lost", "duplicate", "corrupt", "arrived_unconfirmed", "foreign"] {
            assert_eq!(verdict[fault], 0, "{fault} with {args:?}");
        }
    }
}

/// Without `--retry`, refused requests are counted by their status and nothing is lost.
#[test]
fn refusals_are_counted() {
    let sink = ["--fail-first", "5", "--retry-info", "10ms"];
    let ((code, run), (verify_code, verdict)) = run_and_verify(&sink, &["--in-flight", "2"]);
    assert_eq!((code, verify_code), (0, 0));
    assert_eq!(run["spans"]["refused"]["Unavailable"], 500);
    assert_eq!(run["spans"]["acknowledged"], 1_500);
    assert_eq!(run["retries"], 0);
    assert_eq!(verdict["arrived"], 1_500);
    assert_eq!(verdict["lost"], 0);
}

/// With `--retry`, the same spans are sent again after RetryInfo's delay and counted once.
#[test]
fn refusals_are_retried() {
    let sink = ["--fail-first", "5", "--retry-info", "10ms", "--delay", "1ms"];
    let args = ["--in-flight", "2", "--retry"];
    let ((code, run), (verify_code, verdict)) = run_and_verify(&sink, &args);
    assert_eq!((code, verify_code), (0, 0));
    assert_eq!(run["requests"], 20);
    assert_eq!(run["retries"], 5);
    assert_eq!(run["spans"]["generated"], 2_000);
    assert_eq!(run["spans"]["acknowledged"], 2_000);
    assert_eq!((&verdict["arrived"], &verdict["duplicate"]), (&2_000.into(), &0.into()));
}

/// A status that forbids a retry is a rejection, with `--retry` too.
#[test]
fn rejections_are_not_retried() {
    let sink = ["--fail-every", "4", "--fail-code", "3"];
    let ((_, run), (verify_code, verdict)) =
        run_and_verify(&sink, &["--in-flight", "2", "--retry"]);
    assert_eq!(verify_code, 0);
    assert_eq!(run["retries"], 0);
    assert_eq!(run["spans"]["rejected"]["InvalidArgument"], 500);
    assert_eq!(verdict["arrived"], 1_500);
}

/// A receiver that says DEADLINE_EXCEEDED has answered; one that says nothing in time has not.
#[test]
fn unanswered_attempts_are_told_apart() {
    let args = ["--in-flight", "2", "--timeout", "100ms"];
    let times_out = ["--fail-every", "1", "--fail-code", "4"];
    let ((_, answered), _) = run_and_verify(&times_out, &args[..2]);
    // The kernel takes its connections, and nobody reads them.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", silent.local_addr().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let (_, unanswered) = run(&endpoint, &folder.path().join("ledger"), &args);
    for (report, count) in [(answered, 0), (unanswered, 20)] {
        assert_eq!(report["spans"]["timed_out"], 2_000);
        assert_eq!(report["unanswered"], count);
    }
}

/// A receiver that acknowledges a span and loses it is caught.
#[test]
fn a_lossy_receiver_is_caught() {
    let ((code, _), (verify_code, verdict)) =
        run_and_verify(&["--lose-spans", "1"], &["--in-flight", "2"]);
    assert_eq!((code, verify_code), (0, 1));
    assert_eq!((&verdict["arrived"], &verdict["lost"]), (&1_999.into(), &1.into()));
}

/// A receiver that does not answer in time leaves no verdict; with no other, the run is void.
#[test]
fn late_answers_are_timeouts() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(&["--delay", "60s"]);
    let args = ["--in-flight", "20", "--timeout", "50ms"];
    let (code, run) = run(&sink.endpoint, &folder.path().join("ledger"), &args);
    assert_eq!(code, 3);
    assert_eq!(run["spans"]["timed_out"], 2_000);
    assert!(run["void"].is_string());
}

/// Requests of the warm-up are in the ledger and not in latencies.
#[test]
fn a_warm_up_is_not_measured() {
    let args = ["--rate", "10k", "--warm-up", "100ms"];
    let ((code, run), (_, verdict)) = run_and_verify(&[], &args);
    assert_eq!(code, 0, "{run}");
    assert_eq!(
        (&run["spans"]["acknowledged"], &verdict["arrived"]),
        (&2_000.into(), &2_000.into())
    );
    // A request every 10 ms: ten of the twenty start within the warm-up.
    assert_eq!(run["latency_us"]["count"], 10);
    assert_eq!(run["lateness_us"]["count"], 10);

    let args = ["--rate", "10k", "--warm-up", "60s"];
    let ((code, run), _) = run_and_verify(&[], &args);
    assert_eq!((code, &run["latency_us"]["count"]), (3, &0.into()));
    assert!(run["void"].is_string());
}

/// A generator that cannot keep its schedule says that its latencies are void, and under `--strict`
/// its exit code does.
#[test]
fn a_slow_generator_is_void() {
    let folder = tempfile::tempdir().unwrap();
    let sink = Sink::start(&[]);
    // 100 KB to be compressed for every request, twenty of which are due at once.
    let args = ["--rate", "1000M", "--profile", "std", "--compression", "gzip"];
    let shape = ["--spans-per-request", "128"];
    for (strict, expected) in [(&[][..], 0), (&["--strict"], 3)] {
        let args = [&args[..], &shape, strict].concat();
        let (code, run) = run(&sink.endpoint, &folder.path().join("ledger"), &args);
        assert_eq!(code, expected, "{run}");
        assert!(run["latency_void"].as_str().unwrap().contains("late"), "{run}");
    }
}

/// Bad spans are accepted by a receiver that does not look, and known for what they are.
#[test]
fn bad_spans_are_told_apart() {
    let args = ["--in-flight", "2", "--bad-spans", "1/50"];
    let ((code, run), (verify_code, verdict)) = run_and_verify(&[], &args);
    assert_eq!((code, verify_code), (0, 0), "{run} {verdict}");
    let expected = serde_json::json!({
        "generated": 40, "rejected": 0, "accepted": 40, "undecided": 0, "good_rejected": 0
    });
    assert_eq!(run["bad_spans"], expected);
    assert_eq!((&verdict["arrived"], &verdict["corrupt"]), (&2_000.into(), &0.into()));
}

/// The manifest tells machine, build, flags and notes, and keeps the values of headers secret.
#[test]
fn a_report_has_its_manifest() {
    let args =
        ["--in-flight", "1", "--note", "broker.acks=all", "--header", "authorization=canary"];
    let ((_, run), _) = run_and_verify(&[], &args);
    let manifest = &run["manifest"];
    for key in ["loadgen", "commit", "build", "flags", "payload", "seed", "connections"] {
        assert!(manifest[key].is_string(), "{key} in {manifest}");
    }
    assert_eq!(manifest["broker.acks"], "all");
    assert_eq!(manifest["headers"], "authorization");
    assert!(!run.to_string().contains("canary"), "{run}");
}

/// Spans that arrive although their request was refused are unconfirmed; those that arrive twice
/// are duplicates. Neither is a loss.
#[test]
fn unconfirmed_and_duplicate_spans_are_reported() {
    let folder = tempfile::tempdir().unwrap();
    let (first, second) = (folder.path().join("first"), folder.path().join("second"));
    let sink = Sink::start(&["--fail-first", "1"]);
    // The same run twice: what the first ledger calls refused, the second run delivers.
    let same_run = ["--in-flight", "1", "--run-id", "abc"];
    run(&sink.endpoint, &first, &same_run);
    run(&sink.endpoint, &second, &same_run);
    let (code, verdict) = verify(&first, &sink.stop().1);
    assert_eq!((code, &verdict["lost"]), (0, &0.into()));
    assert_eq!(verdict["arrived_unconfirmed"], 100);
    assert_eq!(verdict["duplicate"], 1_900);
}

/// A receiver that restarts is connected to again, and with `--retry` gets every span.
#[test]
fn a_restarted_receiver_gets_the_rest() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let mut before = Sink::start(&["--until-spans", "500"]);
    let endpoint = before.endpoint.clone();
    let running = loadgen("run")
        .args(["--endpoint", &endpoint, "--rate", "1k", "--requests", "20"])
        .args(["--spans-per-request", "100", "--spans-per-trace", "10", "--connections", "2"])
        .args(["--retry", "--json", "-", "--ledger"])
        .arg(&ledger)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    assert_eq!(before.wait(), Some(0));
    let after = Sink::start(&["--listen", endpoint.strip_prefix("http://").unwrap()]);
    let (code, run) = report(&running.wait_with_output().unwrap());
    assert_eq!((code, &run["spans"]["acknowledged"]), (0, &2_000.into()), "{run}");
    assert!(run["reconnects"].as_u64() >= Some(1), "{run}");

    // What the first receiver had acknowledged did not arrive at the second.
    let (code, verdict) = verify(&ledger, &after.stop().1);
    let lost = verdict["lost"].as_u64().unwrap();
    assert_eq!((code, lost + verdict["arrived"].as_u64().unwrap()), (1, 2_000));
    assert!(lost >= 500, "{verdict}");
}

/// A sink ends by itself when it has what it waits for, and says so when it does not get it.
#[test]
fn a_sink_waits_for_spans() {
    let folder = tempfile::tempdir().unwrap();
    let mut sink = Sink::start(&["--until-spans", "2000"]);
    let (code, run) = run(&sink.endpoint, &folder.path().join("ledger"), &["--in-flight", "2"]);
    assert_eq!((code, &run["spans"]["acknowledged"]), (0, &2_000.into()));
    assert_eq!(sink.wait(), Some(0));

    let mut starved = Sink::start(&["--until-spans", "1", "--timeout", "50ms"]);
    assert_eq!(starved.wait(), Some(1));
}

/// A sink writes what it has when asked, and goes on.
#[test]
fn a_sink_writes_on_request() {
    let folder = tempfile::tempdir().unwrap();
    let ledger = folder.path().join("ledger");
    let sink = Sink::start(&[]);
    run(&sink.endpoint, &ledger, &["--in-flight", "2"]);
    sink.signal("-USR1");
    let early = poll(|| fs::read(&sink.out).ok());
    assert_eq!(verify(&ledger, &early).1["arrived"], 2_000);
    assert_eq!(sink.stop().1, early);
}

/// Wrong usage is 2, no receiver is 3; neither prints a report.
#[test]
fn exit_codes_tell_usage_from_void() {
    let usage = loadgen("run").args(["--span-bytes", "1"]).output().unwrap();
    assert_eq!((usage.status.code(), usage.stdout.len()), (Some(2), 0));

    // The port is ours, and nobody listens on it at this address.
    let elsewhere = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://127.0.0.2:{}", elsewhere.local_addr().unwrap().port());
    let refused = loadgen("run").args(["--endpoint", &endpoint]).output().unwrap();
    assert_eq!((refused.status.code(), refused.stdout.len()), (Some(3), 0));

    let missing =
        loadgen("verify").args(["--ledger", "/nowhere", "--arrived", "/nowhere"]).output().unwrap();
    assert_eq!(missing.status.code(), Some(2));
}
