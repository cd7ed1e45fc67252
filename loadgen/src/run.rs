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

use crate::client::{ConnectError, Target};
use crate::content::Profile;
use crate::files::FileError;
use crate::ids::{RunId, mix};
use crate::latency::Latencies;
use crate::ledger::Ledger;
use crate::machine;
use crate::options::{RunOptions, ShapeOptions};
use crate::pacer::Pacer;
use crate::payload::{Payload, Shape, ShapeError};
use crate::plan::Plan;
use crate::progress::Progress;
use crate::report::{RunReport, distribution};
use crate::schedule::Schedule;
use crate::signals;
use crate::timeline::Timeline;
use crate::tls::{Tls, TlsError};
use crate::usage::{ProcessUsage, Watch, WatchError};
use crate::worker::{MeasuredSpans, Worker, WorkerResult};

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
    Tls(#[from] TlsError),
    #[error(transparent)]
    Watch(#[from] WatchError),
    #[error("cannot write a latency distribution: {0}")]
    Distribution(std::io::Error),
}

/// What a run measured, before it is judged.
pub(crate) struct Measured {
    pub(crate) ledger: Ledger,
    pub(crate) latencies: Latencies,
    /// Spans of requests that were meant to start after the warm-up.
    pub(crate) measured: MeasuredSpans,
    /// Warm-up included.
    pub(crate) elapsed: Duration,
    /// Of the generator's threads; `None` where the system does not tell.
    pub(crate) effort: Option<Effort>,
    pub(crate) retries: u64,
    /// Attempts that had no answer within the client's timeout.
    pub(crate) unanswered: u64,
    pub(crate) reconnects: u64,
    pub(crate) receiver_is_local: bool,
    /// Acknowledged spans, second by second.
    pub(crate) timeline: Timeline,
    /// What this process and those under watch spent after the warm-up.
    pub(crate) processes: Vec<ProcessUsage>,
}

/// What generator threads spent after the warm-up.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Effort {
    pub(crate) cpu: Duration,
    /// Added up over threads: the most that they could have spent.
    pub(crate) wall: Duration,
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
    let target = &options.target;
    let payload = Payload::new(shape(&options.shape))?;
    let Shape { spans_per_request, seed, .. } = *payload.shape();
    let duration = match (options.duration, options.requests) {
        (None, None) => Some(DURATION_DEFAULT),
        (duration, _) => duration,
    };
    let duration = duration.map(|duration| options.warm_up + duration);
    // A connection without a request to carry would be idle.
    let worker_count = match options.in_flight {
        Some(in_flight) => usize::from(target.connections).min(in_flight as usize),
        None => usize::from(target.connections),
    };
    let schedule = Schedule::new(options.arrivals, seed, options.rate, spans_per_request);
    let is_open_loop = options.in_flight.is_none();
    let scheduled = duration.filter(|_| is_open_loop);
    let scheduled = scheduled.map(|duration| schedule.requests_within(duration));
    let request_count = scheduled.into_iter().chain(options.requests).min();
    Ok(Plan {
        target: Arc::new(Target {
            endpoint: target.endpoint.clone(),
            tls: match target.endpoint.is_secure {
                true => Some(Tls::new(target.certificate.as_deref())?),
                false => None,
            },
            headers: target.header.clone(),
            encoding: target.compression.encoding(),
            timeout: target.timeout,
        }),
        compression: target.compression,
        retry_within: target.retry,
        worker_count,
        pacer: is_open_loop.then(|| Pacer::new(schedule, worker_count)),
        in_flight_max: options
            .in_flight
            .unwrap_or_else(|| in_flight_max(worker_count, payload.template().len())),
        request_count,
        warm_up: options.warm_up,
        duration,
        interrupted: AtomicBool::new(false),
        payload,
    })
}

fn shape(options: &ShapeOptions) -> Shape {
    let profile = options.profile.or_else(|| options.span_bytes.map(Profile::fitting));
    let profile = profile.unwrap_or(Profile::Std);
    Shape {
        run: options.run_id.unwrap_or_else(random_run_id),
        profile,
        span_bytes: options.span_bytes.unwrap_or_else(|| profile.span_bytes()),
        spans_per_request: options.spans_per_request,
        spans_per_trace: options.spans_per_trace,
        interleaved: options.interleave,
        bad_every: options.bad_spans,
        field_order: options.field_order,
        seed: options.seed,
    }
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
                RunError::Connect { endpoint: plan.target.endpoint.to_string(), source }
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
            .map(|generator| generator.join().expect("a generator does not panic"));
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
        let mut is_warming_up = !plan.warm_up.is_zero();
        loop {
            tokio::select! {
                _ = second.tick() => {
                    let acknowledged = progress.acknowledged();
                    eprintln!("{}", progress.line(start.elapsed(), acknowledged, before));
                    before = acknowledged;
                    timeline.second(acknowledged);
                    if is_warming_up && start.elapsed() >= plan.warm_up {
                        is_warming_up = false;
                        watch.restart(acknowledged);
                    } else {
                        watch.look();
                    }
                }
                () = termination.received() => plan.interrupt(),
                _ = ended.recv() => return Ok(timeline),
            }
        }
    })
}

/// What one generator thread hands back.
#[derive(Default)]
struct Generated {
    workers: Vec<WorkerResult>,
    effort: Option<Effort>,
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
    ) -> std::io::Result<ScopedJoinHandle<'scope, Generated>> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        thread::Builder::new()
            .name(format!("generate-{index}"))
            .spawn_scoped(scope, move || LocalSet::new().block_on(&runtime, self.generate()))
    }

    async fn generate(mut self) -> Generated {
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
            return Generated::default();
        }
        let Ok(start) = self.start.wait_for(Option::is_some).await.map(|start| *start) else {
            return Generated::default();
        };
        let start = start.expect("a start was waited for");
        let measured_from = start + self.plan.warm_up;
        let cpu_before = tokio::task::spawn_local(async move {
            time::sleep_until(measured_from.into()).await;
            machine::thread_cpu()
        });
        let mut runs = JoinSet::new();
        for worker in &workers {
            runs.spawn_local(Rc::clone(worker).run(start));
        }
        runs.join_all().await;
        let mut effort = None;
        // Unless the run ended within its warm-up.
        if let Some(wall) = Instant::now().checked_duration_since(measured_from)
            && let Ok(Some(before)) = cpu_before.await
            && let Some(after) = machine::thread_cpu()
        {
            effort = Some(Effort { cpu: after.saturating_sub(before), wall });
        }
        let workers = workers.iter().map(|worker| worker.take_result()).collect();
        Generated { workers, effort }
    }
}

fn collect(plan: &Plan, generated: Vec<Generated>, elapsed: Duration) -> Measured {
    let shape = plan.payload.shape();
    let mut all = Measured {
        ledger: Ledger {
            run: shape.run,
            spans_per_request: shape.spans_per_request,
            workers: Vec::with_capacity(plan.worker_count),
        },
        latencies: Latencies::new(),
        measured: MeasuredSpans::default(),
        elapsed,
        effort: Some(Effort::default()),
        retries: 0,
        unanswered: 0,
        reconnects: 0,
        receiver_is_local: false,
        timeline: Timeline::default(),
        processes: Vec::new(),
    };
    for Generated { workers, effort } in generated {
        all.effort = all.effort.zip(effort).map(|(sum, effort)| Effort {
            cpu: sum.cpu + effort.cpu,
            wall: sum.wall + effort.wall,
        });
        for result in workers {
            all.ledger.workers.push(result.ledger);
            all.latencies.merge(&result.latencies);
            all.measured.generated += result.measured.generated;
            all.measured.acknowledged += result.measured.acknowledged;
            all.retries += result.retries;
            all.unanswered += result.unanswered;
            all.reconnects += result.reconnects;
            all.receiver_is_local |= result.is_local;
        }
    }
    all.ledger.workers.sort_by_key(|worker| worker.worker);
    all
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
