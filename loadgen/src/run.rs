//! One run: makes the plan, starts the threads, prints progress, collects the results.
//!
//! Threads: `generate-N`, each with a single-threaded runtime and its share of the connections;
//! `pace` in an open loop; the caller's own, which prints progress and listens for signals. All
//! are scoped: none outlives the run.

use std::path::Path;
use std::process;
use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{self, Scope, ScopedJoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{mpsc, watch};
use tokio::task::{JoinSet, LocalSet};
use tokio::time;

use crate::client::ConnectError;
use crate::files::FileError;
use crate::ids::{RunId, mix};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::options::RunOptions;
use crate::pacer::Pacer;
use crate::payload::{Payload, Shape, ShapeError};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::{RunReport, distribution};
use crate::schedule::Schedule;
use crate::signals;
use crate::timeline::Timeline;
use crate::usage::{ProcessUsage, Watch, WatchError};
use crate::worker::{Worker, WorkerResult};

/// A run that did not take place, or whose ledger could not be kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum RunError {
    #[error("cannot connect to {endpoint}: {source}")]
    Connect { endpoint: String, source: ConnectError },
    #[error(transparent)]
    File(#[from] FileError),
    #[error("cannot start a thread or its runtime: {0}")]
    Runtime(#[from] std::io::Error),
    #[error(transparent)]
    Shape(#[from] ShapeError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("cannot write a latency distribution: {0}")]
    Distribution(std::io::Error),
}

/// What a run measured, before it is judged.
pub(crate) struct Measured {
    pub(crate) ledger: Ledger,
    pub(crate) latencies: Latencies,
    pub(crate) elapsed: Duration,
    pub(crate) retries: u64,
    pub(crate) reconnects: u64,
    /// Acknowledged spans, second by second.
    pub(crate) timeline: Timeline,
    /// What this process and those under watch spent.
    pub(crate) processes: Vec<ProcessUsage>,
}

/// Carries the run out, writes its ledger, and reports.
pub(crate) fn run(options: &RunOptions) -> Result<RunReport, RunError> {
    let plan = Arc::new(plan(options)?);
    let watch = Watch::begin(&options.watch)?;
    let measured = execute(&plan, usize::from(options.threads), watch)?;
    if let Some(path) = &options.ledger {
        measured.ledger.save(Path::new(path))?;
    }
    distribution::write(
        &options.distributions,
        &measured.latencies.named(),
        SystemTime::now() - measured.elapsed,
        measured.elapsed,
    )
    .map_err(RunError::Distribution)?;
    Ok(RunReport::new(options, &plan, &measured))
}

fn plan(options: &RunOptions) -> Result<Plan, RunError> {
    let shape = &options.shape;
    let payload = Payload::new(Shape {
        run: shape.run_id.unwrap_or_else(random_run_id),
        spans_per_request: shape.spans_per_request,
        spans_per_trace: shape.spans_per_trace,
        span_bytes: shape.span_bytes,
        field_order: shape.field_order,
        seed: shape.seed,
    })?;
    let duration = match (options.duration, options.requests) {
        (None, None) => Some(DURATION_DEFAULT),
        (duration, _) => duration,
    };
    // A connection without a request to carry would be idle.
    let worker_count = match options.in_flight {
        Some(in_flight) => usize::from(options.connections).min(in_flight as usize),
        None => usize::from(options.connections),
    };
    let schedule = Schedule::new(options.rate, shape.spans_per_request);
    let is_open_loop = options.in_flight.is_none();
    let scheduled = duration.filter(|_| is_open_loop);
    let scheduled = scheduled.map(|duration| schedule.requests_within(duration));
    let request_count = scheduled.into_iter().chain(options.requests).min();
    Ok(Plan {
        endpoint: options.endpoint.clone(),
        compression: options.compression,
        timeout: options.timeout,
        retry_within: options.retry,
        worker_count,
        pacer: is_open_loop.then(|| Pacer::new(schedule, worker_count)),
        in_flight_max: options
            .in_flight
            .unwrap_or_else(|| in_flight_max(worker_count, payload.body_bytes())),
        request_count,
        duration,
        interrupted: AtomicBool::new(false),
        payload,
    })
}

/// How many requests an open loop may have in flight before it falls behind its schedule.
fn in_flight_max(worker_count: usize, body_bytes: usize) -> u32 {
    let by_memory = IN_FLIGHT_BYTES_MAX / body_bytes;
    let per_worker = (by_memory / worker_count).clamp(1, IN_FLIGHT_PER_WORKER_MAX);
    (per_worker * worker_count) as u32
}

fn execute(plan: &Arc<Plan>, thread_count: usize, mut watch: Watch) -> Result<Measured, RunError> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let thread_count = thread_count.min(plan.worker_count);
    let progress = Arc::new(Progress::default());
    thread::scope(|scope| {
        // Dropped on every way out, which frees the generators that wait for the start.
        let (start_tx, start_rx) = watch::channel(None);
        let (ready_tx, mut ready_rx) = mpsc::channel(thread_count);
        let generators = (0..thread_count)
            .map(|index| {
                let generator = Generator {
                    plan: Arc::clone(plan),
                    progress: Arc::clone(&progress),
                    workers: (index..plan.worker_count).step_by(thread_count).collect(),
                    ready: ready_tx.clone(),
                    start: start_rx.clone(),
                };
                generator.spawn(scope, index)
            })
            .collect::<Result<Vec<_>, _>>()?;
        drop(ready_tx);

        for _ in 0..thread_count {
            let ready = runtime.block_on(ready_rx.recv());
            ready.expect("a generator says that it is ready, or why not").map_err(|source| {
                RunError::Connect { endpoint: plan.endpoint.to_string(), source }
            })?;
        }
        watch.restart(progress.acknowledged());
        let start = Instant::now();
        start_tx.send_replace(Some(start));
        if let Some(pacer) = &plan.pacer {
            let request_count = plan.request_count.unwrap_or(u64::MAX);
            thread::Builder::new()
                .name("pace".to_owned())
                .spawn_scoped(scope, move || pacer.run(start, request_count))?;
        }
        let timeline = watch_run(&runtime, plan, &progress, start, &mut ready_rx, &mut watch)?;
        let elapsed = start.elapsed();
        let processes = watch.end(progress.acknowledged());
        let results = generators
            .into_iter()
            .flat_map(|generator| generator.join().expect("a generator does not panic"));
        Ok(Measured { timeline, processes, ..collect(plan, results.collect(), elapsed) })
    })
}

/// Prints a line per second until every generator has ended, which closes `ended`; returns what
/// was acknowledged in each of those seconds.
#[expect(clippy::print_stderr, reason = "progress is for people, results are on stdout")]
fn watch_run(
    runtime: &Runtime,
    plan: &Plan,
    progress: &Progress,
    start: Instant,
    ended: &mut mpsc::Receiver<Result<(), ConnectError>>,
    watch: &mut Watch,
) -> Result<Timeline, RunError> {
    runtime.block_on(async {
        let mut termination = signals::termination()?;
        let mut second = time::interval_at(start.into(), Duration::from_secs(1));
        second.tick().await;
        let mut before = 0;
        let mut timeline = Timeline::default();
        loop {
            tokio::select! {
                _ = second.tick() => {
                    let acknowledged = progress.acknowledged();
                    eprintln!("{}", progress.line(start.elapsed(), acknowledged, before));
                    before = acknowledged;
                    timeline.second(acknowledged);
                    watch.look();
                }
                () = termination.received() => plan.interrupt(),
                _ = ended.recv() => return Ok(timeline),
            }
        }
    })
}

/// What one generator thread is given.
struct Generator {
    plan: Arc<Plan>,
    progress: Arc<Progress>,
    workers: Vec<usize>,
    ready: mpsc::Sender<Result<(), ConnectError>>,
    start: watch::Receiver<Option<Instant>>,
}

impl Generator {
    fn spawn<'scope>(
        self,
        scope: &'scope Scope<'scope, '_>,
        index: usize,
    ) -> std::io::Result<ScopedJoinHandle<'scope, Vec<WorkerResult>>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name(format!("generate-{index}"))
            .spawn_scoped(scope, move || LocalSet::new().block_on(&runtime, self.generate()))
    }

    async fn generate(mut self) -> Vec<WorkerResult> {
        let workers: Vec<_> = self
            .workers
            .iter()
            .map(|&index| {
                Rc::new(Worker::new(Arc::clone(&self.plan), Arc::clone(&self.progress), index))
            })
            .collect();
        let mut connected = Ok(());
        for worker in &workers {
            connected = connected.and(worker.connect().await);
        }
        // The receivers are gone only when another generator could not connect.
        if self.ready.send(connected).await.is_err() {
            return Vec::new();
        }
        let Ok(start) = self.start.wait_for(Option::is_some).await.map(|start| *start) else {
            return Vec::new();
        };
        let start = start.expect("a start was waited for");
        let mut runs = JoinSet::new();
        for worker in &workers {
            runs.spawn_local(Rc::clone(worker).run(start));
        }
        runs.join_all().await;
        workers.iter().map(|worker| worker.take_result()).collect()
    }
}

fn collect(plan: &Plan, results: Vec<WorkerResult>, elapsed: Duration) -> Measured {
    let shape = plan.payload.shape();
    let mut measured = Measured {
        ledger: Ledger {
            run: shape.run,
            spans_per_request: shape.spans_per_request,
            workers: Vec::with_capacity(results.len()),
        },
        latencies: Latencies::new(),
        elapsed,
        retries: 0,
        reconnects: 0,
        timeline: Timeline::default(),
        processes: Vec::new(),
    };
    for result in results {
        measured.ledger.workers.push(result.ledger);
        measured.latencies.merge(&result.latencies);
        measured.retries += result.retries;
        measured.reconnects += result.reconnects;
    }
    measured.ledger.workers.sort_by_key(|worker| worker.worker);
    measured
}

/// Different for every process, without a source of randomness: nobody is to guess it, it only
/// has to differ.
fn random_run_id() -> RunId {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    RunId(mix(since_epoch.as_nanos() as u64 ^ u64::from(process::id()).rotate_left(32)) as u32)
}

const DURATION_DEFAULT: Duration = Duration::from_secs(10);
/// Bodies in flight over all connections; each is held until its answer.
const IN_FLIGHT_BYTES_MAX: usize = 256 << 20;
/// More streams than most receivers allow; those beyond wait in h2.
const IN_FLIGHT_PER_WORKER_MAX: usize = 1024;
