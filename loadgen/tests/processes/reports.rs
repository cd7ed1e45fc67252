//! What reports, merged ledgers and end-to-end latency say about real processes.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::{Sink, loadgen, report, run};

/// Files of one test.
struct Files(TempDir);

impl Files {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn argument(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().to_owned()
    }

    fn text(&self, name: &str) -> String {
        fs::read_to_string(self.path(name)).unwrap()
    }

    fn json(&self, name: &str) -> Value {
        serde_json::from_str(&self.text(name)).unwrap()
    }
}

fn verify_files(ledgers: &[&Path], arrived: &[&Path]) -> Output {
    let mut command = loadgen("verify");
    for ledger in ledgers {
        command.arg("--ledger").arg(ledger);
    }
    for arrivals in arrived {
        command.arg("--arrived").arg(arrivals);
    }
    command.args(["--json", "-"]).output().unwrap()
}

/// Ends `sink` and keeps what it wrote under `path`.
fn stop(sink: Sink, path: &Path) {
    let (code, arrived) = sink.stop();
    assert_eq!(code, Some(0));
    fs::write(path, arrived).unwrap();
}

/// The sink measures from the intended start to the arrival, of every span, and tells it in its
/// report, its distribution and the verdict.
#[test]
fn end_to_end_latency_is_measured() {
    let files = Files::new();
    let (json, hgrm) = (files.argument("sink.json"), files.argument("sink.hgrm"));
    let sink = Sink::start(&["--json", &json, "--hgrm", &hgrm]);
    run(&sink.endpoint, &files.path("ledger"), &["--in-flight", "2"]);
    stop(sink, &files.path("arrived"));
    let sink = files.json("sink.json");
    assert_eq!(sink["report"], "sink");
    assert_eq!(sink["spans"]["arrived"], 2_000, "{sink}");
    assert_eq!(sink["end_to_end_us"]["count"], 2_000, "{sink}");
    // A clock that was read wrongly would show years.
    let max = sink["end_to_end_us"]["max"].as_f64().unwrap();
    assert!((0.0..60e6).contains(&max), "{sink}");
    assert!(files.text("sink.hgrm").contains("#[Max     ="));
    let output = verify_files(&[&files.path("ledger")], &[&files.path("arrived")]);
    let (code, verdict) = report(&output);
    assert_eq!((code, &verdict["end_to_end_us"]), (0, &sink["end_to_end_us"]), "{verdict}");
}

/// A warm-up that outlasts the run leaves no latency, and no other figure out.
#[test]
fn the_warm_up_is_left_out_of_latency() {
    let files = Files::new();
    let json = files.argument("sink.json");
    let sink = Sink::start(&["--json", &json, "--warm-up", "1h"]);
    run(&sink.endpoint, &files.path("ledger"), &["--in-flight", "2"]);
    stop(sink, &files.path("arrived"));
    let sink = files.json("sink.json");
    assert_eq!((&sink["end_to_end_us"], &sink["warm_up_spans"]), (&Value::Null, &2_000.into()));
    assert_eq!(sink["spans"]["arrived"], 2_000);
}

/// Spans that a stalled generator sends late carry the time at which they were due, so the sink
/// counts the stall, although it got them promptly once they were sent.
#[test]
fn end_to_end_latency_counts_from_the_intended_start() {
    const STALL: Duration = Duration::from_millis(400);
    let files = Files::new();
    let json = files.argument("sink.json");
    let sink = Sink::start(&["--json", &json]);
    let mut generator = loadgen("run")
        .args(["--endpoint", &sink.endpoint, "--spans-per-request", "100"])
        .args(["--spans-per-trace", "10", "--rate", "20k", "--duration", "60s"])
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = generator.id().to_string();
    let signal = |signal: &str| {
        assert!(Command::new("kill").args([signal, &pid]).status().unwrap().success());
    };
    // There is a line of progress per second; what was due meanwhile is sent before the second one.
    let mut progress = BufReader::new(generator.stderr.take().unwrap()).lines();
    progress.next().unwrap().unwrap();
    signal("-STOP");
    std::thread::sleep(STALL);
    signal("-CONT");
    assert_eq!(progress.by_ref().take(2).map(Result::unwrap).count(), 2);
    signal("-TERM");
    progress.map(Result::unwrap).for_each(drop);
    assert!(generator.wait().unwrap().success());
    stop(sink, &files.path("arrived"));
    let latency = &files.json("sink.json")["end_to_end_us"];
    // A few requests may have been on their way; those that were due are many.
    assert!(latency["p99"].as_f64() > Some(0.5 * STALL.as_secs_f64() * 1e6), "{latency}");
}

/// Two generators and two sinks are verified as one; what one of the sinks lost is found.
#[test]
fn several_processes_are_verified_together() {
    let files = Files::new();
    let [first, second, sound, lossy] =
        ["first", "second", "sound", "lossy"].map(|n| files.path(n));
    let sinks = [Sink::start(&[]), Sink::start(&["--lose-spans", "3"])];
    run(&sinks[0].endpoint, &first, &["--in-flight", "2"]);
    run(&sinks[1].endpoint, &second, &["--in-flight", "2"]);
    let [sound_sink, lossy_sink] = sinks;
    stop(sound_sink, &sound);
    stop(lossy_sink, &lossy);

    let (code, verdict) = report(&verify_files(&[&first, &second], &[&sound, &lossy]));
    assert_eq!((code, &verdict["lost"]), (1, &3.into()), "{verdict}");
    assert_eq!(verdict["spans"]["generated"], 4_000);
    assert_eq!((&verdict["arrived"], &verdict["foreign"]), (&3_997.into(), &0.into()));
    let (code, alone) = report(&verify_files(&[&first], &[&sound, &lossy]));
    assert_eq!((code, &alone["lost"], &alone["foreign"]), (0, &0.into(), &1_997.into()));
}

/// Files that would hide a loss or count an arrival twice are refused, by name.
#[test]
fn mixtures_are_refused() {
    let files = Files::new();
    let [first, second, early, late] = ["first", "second", "early", "late"].map(|n| files.path(n));
    let sink = Sink::start(&[]);
    let same_run = ["--in-flight", "1", "--run-id", "abc"];
    run(&sink.endpoint, &first, &same_run);
    run(&sink.endpoint, &second, &same_run);
    stop(sink, &early);
    fs::copy(&early, &late).unwrap();
    for (ledgers, arrived, complaint) in [
        (&[first.as_path(), &second][..], &[early.as_path()][..], "worker 1 of run 00000abc"),
        (&[&first], &[&early, &late], "the same sink"),
    ] {
        let output = verify_files(ledgers, arrived);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
        assert!(error.contains(complaint), "{error}");
    }
}

/// A verification of a run of which nothing was acknowledged is void.
#[test]
fn a_verification_of_nothing_is_void() {
    let files = Files::new();
    let sink = Sink::start(&["--fail-between", "0s..1h"]);
    let (code, _) = run(&sink.endpoint, &files.path("ledger"), &["--in-flight", "2"]);
    assert_eq!(code, 3);
    stop(sink, &files.path("arrived"));
    let output = verify_files(&[&files.path("ledger")], &[&files.path("arrived")]);
    let (code, verdict) = report(&output);
    assert_eq!((code, &verdict["lost"]), (3, &0.into()));
    assert_eq!(verdict["spans"]["refused"]["Unavailable without RetryInfo"], 2_000);
}

/// A run's page needs nothing but itself, and a page of saved reports shows all of them.
#[test]
fn pages_are_self_contained() {
    let files = Files::new();
    let sink_json = files.argument("sink.json");
    let sink = Sink::start(&["--json", &sink_json]);
    let [alone, together] = ["run.html", "all.html"].map(|name| files.argument(name));
    let (hgrm, hlog) = (files.argument("run.hgrm"), files.argument("run.hlog"));
    let args = ["--in-flight", "2", "--html", &alone, "--hgrm", &hgrm, "--hlog", &hlog];
    let (_, json) = run(&sink.endpoint, &files.path("ledger"), &args);
    fs::write(files.path("run.json"), json.to_string()).unwrap();
    stop(sink, &files.path("arrived"));
    let mut command = loadgen("report");
    command.arg("--json").arg(files.path("run.json")).arg("--json").arg(&sink_json);
    assert!(command.arg("--html").arg(&together).status().unwrap().success());

    for (page, parts) in [
        (
            files.text("run.html"),
            &["<h2>run</h2>", "from intended start</text>", "not verified"][..],
        ),
        (files.text("all.html"), &["run: run.json", "sink: sink.json", "end to end (sink"]),
    ] {
        for part in parts {
            assert!(page.contains(part), "no {part:?} in {page}");
        }
        // The endpoint is shown, as text; nothing is loaded.
        for reference in ["src=", "href", "url(", "@import", "<script", "<link", "https:"] {
            assert!(!page.contains(reference), "{reference} in {page}");
        }
    }
    assert!(files.text("run.hgrm").contains("1/(1-Percentile)"));
    for tag in ["Tag=intended,", "Tag=actual,", "Tag=lateness,"] {
        assert!(files.text("run.hlog").contains(tag));
    }
}

/// A watched process is in the report with what it spent; one that is not there is named.
#[cfg(target_os = "linux")]
#[test]
fn processes_are_watched() {
    let files = Files::new();
    let sink = Sink::start(&[]);
    let pid = sink.process.id();
    let target = format!("backend={pid}");
    let (_, json) =
        run(&sink.endpoint, &files.path("ledger"), &["--in-flight", "2", "--watch", &target]);
    let processes = json["processes"].as_array().unwrap();
    let names: Vec<_> = processes.iter().map(|process| process["name"].as_str()).collect();
    assert_eq!(names, [Some("generator"), Some("backend")]);
    assert_eq!(processes[1]["pid"], pid);
    for process in processes {
        assert!(process["rss_peak_bytes"].as_u64() > Some(0), "{process}");
        assert!(process["cpu_us_per_span"].is_f64(), "{process}");
        // Whether it waited or was preempted is up to the machine: a busy sink may never wait.
        let switches = ["context_switches_voluntary", "context_switches_involuntary"]
            .map(|kind| process[kind].as_u64().unwrap());
        assert!(switches.iter().sum::<u64>() > 0, "{process}");
    }

    // No process has the largest number there is.
    let absent = loadgen("run").args(["--watch", "broker=4294967295"]).output().unwrap();
    assert_eq!(absent.status.code(), Some(2));
    assert!(String::from_utf8(absent.stderr).unwrap().contains("broker=4294967295"));
}
