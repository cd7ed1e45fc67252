//! What a row plays on: a broker, pipelines, loads, one sink, and the verdict over all of it.

use std::{
    env, fs,
    ops::Range,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicU32, Ordering},
    thread,
    time::{Duration, Instant},
};

use serde_json::Value;
use testbed::{
    kafka::{Kafka, KafkaOptions},
    pipeline::Pipeline,
    port,
    process::Process,
    reaper, wait,
};

use crate::{outcome::Outcome, proxy::Proxy, random::Random};

/// Everything around the pipelines of one row.
pub(crate) struct Stand {
    pub(crate) kafka: Kafka,
    pub(crate) random: Random,
    /// The way to the backend; it leads to the sink unless a row says otherwise.
    pub(crate) backend: Proxy,
    /// What the pipelines are told the brokers are.
    brokers: String,
    sink: Sink,
    ledgers: Vec<PathBuf>,
    rss_bytes_max: u64,
    began: Instant,
}

/// The backend: `loadgen sink`, which keeps what arrived.
struct Sink {
    process: Process,
    port: u16,
    arrived: PathBuf,
}

/// A running `loadgen run`.
pub(crate) struct Load {
    process: Process,
    ledger: PathBuf,
    report: PathBuf,
}

/// What `loadgen run` reports of one load.
pub(crate) struct Report(Value);

impl Stand {
    /// A broker and a backend that behaves.
    pub(crate) fn new(options: KafkaOptions, random: Random) -> Self {
        let began = Instant::now();
        let kafka = Kafka::start(options);
        let (sink, backend) = (Sink::start(), Proxy::start(port::free()));
        backend.lead_to(sink.port);
        let (brokers, ledgers) = (kafka.brokers(), Vec::new());
        Self { kafka, random, backend, brokers, sink, ledgers, rss_bytes_max: 0, began }
    }

    /// One broker, which the pipelines reach through `proxy` alone.
    pub(crate) fn behind(proxy: &Proxy, random: Random) -> Self {
        let options = KafkaOptions { advertised: Some(proxy.port()), ..KafkaOptions::nodes(1) };
        let mut stand = Self::new(options, random);
        proxy.lead_to(stand.kafka.port_of(1));
        stand.brokers = format!("127.0.0.1:{}", proxy.port());
        stand
    }

    /// Starts a pipeline of the row and waits until it is ready; `settings` come last and win.
    pub(crate) fn pipeline(&self, settings: &[(&str, &str)]) -> Pipeline {
        let binary = program("otel-event-pipeline");
        let binary = binary.to_str().expect("the build folder's path is text");
        self.with_settings(settings, |all| Pipeline::start(binary, all))
    }

    /// The same without waiting, by way of other programs whose last argument it becomes.
    pub(crate) fn launch(&self, wrapper: &[&str], settings: &[(&str, &str)]) -> Pipeline {
        let binary = program("otel-event-pipeline");
        let binary = binary.to_str().expect("the build folder's path is text");
        let whole = [wrapper, &[binary]].concat();
        self.with_settings(settings, |all| Pipeline::launch(&whole, all))
    }

    fn with_settings<T>(&self, own: &[(&str, &str)], start: impl Fn(&[(&str, &str)]) -> T) -> T {
        let backend = format!("http://127.0.0.1:{}", self.backend.port());
        let mut all = vec![
            ("KAFKA_BROKERS", self.brokers.as_str()),
            ("JAEGER_ENDPOINT", backend.as_str()),
            // A dead member is missed this soon, rather than after the default 45 s.
            ("KAFKA_CONSUMER_CONFIG", "session.timeout.ms=6000"),
            // One of everything: two cores also carry the broker and the load.
            ("RECEIVE_THREADS", "1"),
            ("PUBLISH_THREADS", "1"),
            ("FORWARD_THREADS", "1"),
        ];
        all.extend(own);
        start(&all)
    }

    /// Starts a load whose ledger the verdict will cover.
    pub(crate) fn load(&mut self, pipeline: &Pipeline, arguments: &[&str]) -> Load {
        let load = Load::start(&pipeline.otlp_endpoint(), arguments);
        self.ledgers.push(load.ledger.clone());
        load
    }

    /// Starts a load that may lose what it was told is safe: the verdict will not cover it.
    pub(crate) fn load_unjudged(&self, pipeline: &Pipeline, arguments: &[&str]) -> Load {
        Load::start(&pipeline.otlp_endpoint(), arguments)
    }

    /// Leads the backend's clients to a sink that keeps nothing, because `failures` make it fail
    /// every request; it ends when dropped.
    pub(crate) fn fail_backend(&self, failures: &[&str]) -> Process {
        let port = port::free();
        let failing = Sink::run(port, None, &[&["--fail-every", "1"], failures].concat());
        self.backend.lead_to(port);
        self.backend.cut();
        failing
    }

    /// Leads the backend's clients to the sink again, without a limit.
    pub(crate) fn mend_backend(&self) {
        self.backend.lead_to(self.sink.port);
        self.backend.set_bandwidth(0);
        self.backend.cut();
    }

    /// Kills a pipeline of the row at random moments for as long as the load runs, and starts it
    /// again each time; how many times.
    pub(crate) fn kill_while(
        &mut self,
        load: &mut Load,
        victim: &mut Pipeline,
        millis: Range<u64>,
    ) -> u32 {
        for kills in 0.. {
            rest(self.random.millis(millis.start, millis.end));
            if !load.is_running() {
                return kills;
            }
            self.note_memory(victim);
            victim.kill_9();
            victim.launch_again();
        }
        unreachable!("the load ends before the numbers do")
    }

    /// Remembers the most memory that a pipeline held; false when it is no more.
    pub(crate) fn note_memory(&mut self, pipeline: &Pipeline) -> bool {
        let held = pipeline.memory_bytes_max();
        self.rss_bytes_max = self.rss_bytes_max.max(held.unwrap_or(0));
        held.is_some()
    }

    /// Waits until every acknowledged span has arrived, or in vain, and sums up all ledgers. The
    /// `pipelines` must have lived to see it.
    pub(crate) fn judge(mut self, pipelines: &[&Pipeline]) -> Outcome {
        let ended = pipelines.iter().filter(|one| !self.note_memory(one)).count();
        let complete = wait::poll(DELIVERED_WITHIN, || {
            self.sink.save();
            (self.verify().lost == 0).then_some(())
        });
        if complete.is_none() {
            self.sink.save();
        }
        let mut outcome = self.verify();
        outcome.rss_bytes_max = self.rss_bytes_max;
        outcome.seconds = self.began.elapsed().as_secs();
        outcome
            .demand(outcome.acknowledged > 0, "nothing was acknowledged: the row proves nothing");
        outcome.demand(ended == 0, "a pipeline has ended");
        outcome.demand(outcome.lost == 0, "acknowledged spans are LOST");
        outcome.demand(outcome.corrupt == 0, "spans are CORRUPT");
        outcome
    }

    fn verify(&self) -> Outcome {
        let mut sum = Outcome::default();
        for ledger in &self.ledgers {
            sum.add(&self.sink.verify(ledger));
        }
        sum
    }
}

impl Sink {
    fn start() -> Self {
        let (port, arrived) = (port::free(), file("arrived"));
        let process = Self::run(port, Some(&arrived), &[]);
        Self { process, port, arrived }
    }

    fn run(port: u16, arrived: Option<&PathBuf>, arguments: &[&str]) -> Process {
        let mut command = Command::new(program("loadgen"));
        command.arg("sink").args(["--listen", &format!("127.0.0.1:{port}")]).args(arguments);
        if let Some(arrived) = arrived {
            command.arg("--out").arg(arrived);
        }
        let mut process = Process::start(&mut command, &file("sink.log"));
        wait::wait_for("the sink", START_WITHIN, || {
            assert!(process.ended().is_none(), "the sink ended\n{}", process.log_tail());
            process.log().contains("listening on").then_some(())
        });
        process
    }

    /// Has what arrived so far written; returns when it is.
    fn save(&self) {
        fs::remove_file(&self.arrived).ok();
        self.process.signal("USR1");
        wait::wait_for("what arrived", START_WITHIN, || self.arrived.exists().then_some(()));
    }

    /// `loadgen verify`'s own words; a missing ledger is a load that could not begin.
    fn verify(&self, ledger: &PathBuf) -> Value {
        let mut command = Command::new(program("loadgen"));
        command.arg("verify").arg("--ledger").arg(ledger).arg("--arrived").arg(&self.arrived);
        let verified = command.args(["--json", "-"]).output().expect("loadgen is built");
        serde_json::from_slice(&verified.stdout).unwrap_or_else(|error| {
            panic!("verify: {error}: {}", String::from_utf8_lossy(&verified.stderr))
        })
    }
}

impl Load {
    /// Starts a load; [`Stand::load`] sees to it that it is judged.
    fn start(endpoint: &str, arguments: &[&str]) -> Self {
        let (ledger, report) = (file("ledger"), file("report"));
        let mut command = Command::new(program("loadgen"));
        // The rows reckon a throttled broker's knee in spans of this size.
        command.arg("run").args(["--endpoint", endpoint, "--span-bytes", "290"]).args(arguments);
        command.arg("--ledger").arg(&ledger).arg("--json").arg(&report);
        let process = Process::start(&mut command, &file("run.log"));
        Self { process, ledger, report }
    }

    /// True until it has ended by itself.
    pub(crate) fn is_running(&mut self) -> bool {
        self.process.ended().is_none()
    }

    /// Waits for its end and returns its report.
    pub(crate) fn finish(mut self) -> Report {
        self.process.wait_exit(LOAD_WITHIN);
        let text = fs::read_to_string(&self.report)
            .unwrap_or_else(|error| panic!("no report: {error}\n{}", self.process.log_tail()));
        Report(serde_json::from_str(&text).expect("loadgen writes JSON"))
    }
}

impl Report {
    /// Acknowledged spans per second, from the first request to the last answer.
    pub(crate) fn goodput(&self) -> f64 {
        self.0["acknowledged_spans_per_second"].as_f64().unwrap_or(0.0)
    }

    /// 99 of 100 replies came within this, from the intended start.
    pub(crate) fn latency_p99_us(&self) -> f64 {
        self.0["latency_us"]["p99"].as_f64().unwrap_or(f64::NAN)
    }

    /// Spans sent: of an open loop, what it really offered.
    pub(crate) fn generated(&self) -> u64 {
        self.spans("generated")
    }

    /// Spans without a verdict within the client's deadline.
    pub(crate) fn timed_out(&self) -> u64 {
        self.spans("timed_out")
    }

    /// Spans acknowledged.
    pub(crate) fn acknowledged(&self) -> u64 {
        self.spans("acknowledged")
    }

    /// Spans refused, whatever the status.
    pub(crate) fn refused_spans(&self) -> u64 {
        self.by_status("refused").map(|(_, spans)| spans).sum()
    }

    /// True when every span was acknowledged in the end: what a row demands of a load that meets
    /// no fault, or may retry until the fault is over.
    pub(crate) fn served(&self) -> bool {
        let others = self.refused_spans() + self.timed_out() + self.rejected();
        self.acknowledged() > 0 && others == 0
    }

    /// True when spans were refused and none acknowledged, and each was told UNAVAILABLE with
    /// RetryInfo: what a row demands while there is nowhere to put them.
    pub(crate) fn turned_away(&self) -> bool {
        let answered = self.acknowledged() == 0 && self.timed_out() == 0;
        answered && self.refused_spans() > 0 && self.only_unavailable()
    }

    /// Attempts that the client's own timer ended: the pipeline's reply was later than that.
    pub(crate) fn unanswered(&self) -> u64 {
        self.0["unanswered"].as_u64().expect(COMPLETE)
    }

    /// Spans rejected for good: none of what loadgen sends deserves it.
    pub(crate) fn rejected(&self) -> u64 {
        self.by_status("rejected").map(|(_, spans)| spans).sum()
    }

    /// True when every refusal was UNAVAILABLE with RetryInfo: loadgen names those without it
    /// differently.
    pub(crate) fn only_unavailable(&self) -> bool {
        self.rejected() == 0 && self.by_status("refused").all(|(status, _)| status == "Unavailable")
    }

    fn spans(&self, outcome: &str) -> u64 {
        self.0["spans"][outcome].as_u64().expect(COMPLETE)
    }

    fn by_status(&self, outcome: &str) -> impl Iterator<Item = (&str, u64)> {
        let spans = self.0["spans"][outcome].as_object().expect(COMPLETE);
        spans.iter().map(|(status, count)| (status.as_str(), count.as_u64().expect(COMPLETE)))
    }
}

/// Rests between two faults: the load under way is what a row is about.
pub(crate) fn rest(time: Duration) {
    thread::sleep(time);
}

/// The records that wait to be forwarded, once they are `least` or an answer came that is new for
/// sure: while much waits, a partition's end is asked for every five seconds.
pub(crate) fn lag_once_told(pipeline: &Pipeline, least: f64) -> f64 {
    let mut lag = 0.0;
    wait::poll(LAG_TOLD_WITHIN, || {
        lag = pipeline.metric("forward_lag_records");
        (lag >= least).then_some(())
    });
    lag
}

/// A program that cargo built beside this one.
pub(crate) fn program(name: &str) -> PathBuf {
    let own = env::current_exe().expect("the system knows this program's path");
    let path = own.with_file_name(name);
    assert!(path.exists(), "{} is not built: run `make torture`", path.display());
    path
}

/// A file of this run that nobody else has.
fn file(name: &str) -> PathBuf {
    static FILES: AtomicU32 = AtomicU32::new(0);
    let number = FILES.fetch_add(1, Ordering::Relaxed);
    reaper::folder().join(format!("{number}-{name}"))
}

/// Nothing is read as 0 because it is not there.
const COMPLETE: &str = "a report has every sum";
const START_WITHIN: Duration = Duration::from_secs(30);
const LOAD_WITHIN: Duration = Duration::from_secs(180);
/// Two times that the ends are asked for, should the first be in vain.
const LAG_TOLD_WITHIN: Duration = Duration::from_secs(12);
const DELIVERED_WITHIN: Duration = Duration::from_secs(90);
