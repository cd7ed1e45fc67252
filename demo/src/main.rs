//! The demo: a shop, a Kafka, the pipeline and Jaeger's UI in one process. `make demo` starts it.
//!
//! The pipeline runs as in production: librdkafka over loopback, a consumer group, commits; only
//! the broker and the backend are small ones in memory. Parts start from the back to the front
//! and end from the front to the back, so that everything sent is seen through:
//!
//! 1. broker, Jaeger, pipeline; when the pipeline is ready, the shop.
//! 2. The main thread tells how it goes, once a second.
//! 3. The shop closes and exports its last spans; all that was acknowledged is looked up in Jaeger.
//! 4. The pipeline ends in order, then Jaeger, then the broker. The ledger decides the exit code.

mod broker;
mod conventions;
mod dependencies;
mod jaeger;
mod ledger;
mod page;
mod shop;
mod terminal;
mod timeline;

use std::{
    env,
    error::Error,
    io::{self, Write},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use otel_event_pipeline::{
    config::Config,
    logging,
    process::{Ending, Process, shutdown_asked},
};
use tokio::runtime;

use crate::{
    broker::Broker,
    jaeger::Jaeger,
    ledger::Ledger,
    shop::Shop,
    terminal::{Figures, LiveLine},
};

/// Longest time until the pipeline has found its broker.
const READY_WITHIN: Duration = Duration::from_secs(30);

/// Longest time until Jaeger shows what was acknowledged.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Time between two live lines.
const TICK: Duration = Duration::from_secs(1);

/// The exit code of a second Ctrl-C: 128 and the number of the signal.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match Settings::read().and_then(|settings| run(&settings)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            // Standard error may be closed; the exit code tells all the same.
            writeln!(io::stderr(), "demo: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

/// The variables that the Makefile hands on.
struct Settings {
    grpc_port: u16,
    http_port: u16,
    ui_port: u16,
    brokers: Option<String>,
    traffic: bool,
    /// How long to run; without it, until Ctrl-C.
    runs_for: Option<Duration>,
    /// Instead of what the broker deserves.
    log_level: Option<String>,
}

impl Settings {
    fn read() -> Result<Self, Box<dyn Error>> {
        let set = |name: &str| env::var(name).ok().filter(|value| !value.is_empty());
        let number = |name: &str, default| match set(name) {
            Some(value) => value.parse::<u16>().map_err(|error| format!("{name}={value}: {error}")),
            None => Ok(default),
        };
        let seconds = number("DEMO_SECONDS", 0)?;
        Ok(Self {
            grpc_port: number("GRPC_PORT", 4317)?,
            http_port: number("HTTP_PORT", 8080)?,
            ui_port: number("UI_PORT", 16686)?,
            brokers: set("KAFKA_BROKERS"),
            traffic: set("DEMO_TRAFFIC").is_none_or(|value| value != "off"),
            runs_for: (seconds > 0).then(|| Duration::from_secs(seconds.into())),
            log_level: set("LOG_LEVEL"),
        })
    }
}

/// Runs the demo from start to end; whether all went well.
fn run(settings: &Settings) -> Result<bool, Box<dyn Error>> {
    let asked = shutdown_asked(INTERRUPTED);
    let runtime = runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let broker = Broker::start(settings.brokers.as_deref())?;
    let jaeger = Jaeger::start(&runtime, settings.ui_port)
        .map_err(|error| format!("UI_PORT={}: {error}", settings.ui_port))?;
    let process = start_pipeline(settings, &broker, &jaeger)?;
    await_ready(settings.http_port, &asked)?;

    let ledger = Arc::new(Ledger::default());
    let endpoint = format!("http://127.0.0.1:{}", settings.grpc_port);
    let shop = settings.traffic.then(|| Shop::open(&runtime, &endpoint, &ledger)).transpose()?;
    terminal::welcome(settings, &broker.describe())?;

    let (closing, finished) = (AtomicBool::new(false), AtomicBool::new(false));
    let (figures, ending) = thread::scope(|scope| {
        let pipeline = scope.spawn(|| process.run_until(&finished));
        let shop = shop.map(|shop| scope.spawn(|| shop.run(&closing)));
        let ends = || asked.load(Ordering::Relaxed) || pipeline.is_finished();
        // The threads must be told to end, whatever becomes of the terminal or of Jaeger.
        let watched = watch(settings, &ledger, &jaeger, ends);
        closing.store(true, Ordering::Relaxed);
        let closed = shop.is_none_or(|shop| shop.join().is_ok());
        let figures = watched.and_then(|()| see_through(settings, &ledger));
        finished.store(true, Ordering::Relaxed);
        (figures, pipeline.join().ok().filter(|_| closed))
    });
    let figures = figures?;
    let balance = ledger.balance();
    if settings.traffic {
        terminal::ledger(balance)?;
    } else {
        terminal::counts(figures)?;
    }
    if ending != Some(Ending::Orderly) {
        return Err(format!("the end was not orderly: {ending:?}").into());
    }
    Ok(balance.missing == 0 && (balance.acknowledged > 0 || !settings.traffic))
}

/// The pipeline as in production, but for where Kafka and the backend are.
fn start_pipeline(
    settings: &Settings,
    broker: &Broker,
    jaeger: &Jaeger,
) -> Result<Process, Box<dyn Error>> {
    let mut pairs = broker.settings();
    pairs.extend([
        ("GRPC_PORT", settings.grpc_port.to_string()),
        ("HTTP_PORT", settings.http_port.to_string()),
        ("JAEGER_ENDPOINT", format!("http://{}", jaeger.otlp_address)),
        ("KAFKA_CONSUMER_GROUP", "otel-event-pipeline-demo".to_owned()),
    ]);
    pairs.extend(settings.log_level.clone().map(|level| ("LOG_LEVEL", level)));
    let config = Config::from_pairs(pairs)?;
    logging::init(&config.log);
    Ok(Process::start(config)?)
}

/// Waits until the pipeline says that it can do its work.
fn await_ready(http_port: u16, asked: &AtomicBool) -> Result<(), Box<dyn Error>> {
    let deadline = Instant::now() + READY_WITHIN;
    loop {
        let (status, why) = page::fetch(http_port, "/readyz")?;
        if status == 200 {
            return Ok(());
        }
        if asked.load(Ordering::Relaxed) || Instant::now() >= deadline {
            return Err(why.into());
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Tells how it goes, and looks up what was acknowledged, until it is time to end.
fn watch(
    settings: &Settings,
    ledger: &Ledger,
    jaeger: &Jaeger,
    ends: impl Fn() -> bool,
) -> io::Result<()> {
    let begin = Instant::now();
    let mut line = LiveLine::begin();
    let mut next_tick = begin + TICK;
    while !ends() && settings.runs_for.is_none_or(|time| begin.elapsed() < time) {
        thread::sleep(Duration::from_millis(50));
        if Instant::now() >= next_tick {
            next_tick += TICK;
            let looked_up = ledger.look_up(settings.ui_port, Instant::now() + TICK / 2);
            // A page that is late on a busy machine is asked for again at the next tick.
            if let Ok(figures) = looked_up.and_then(|()| Figures::read(settings.http_port)) {
                line.tell(figures, jaeger.stored())?;
            }
        }
    }
    terminal::ending()
}

/// Waits until Jaeger has every span that was acknowledged, and Kafka nothing for it.
fn see_through(settings: &Settings, ledger: &Ledger) -> io::Result<Figures> {
    let deadline = Instant::now() + SEEN_WITHIN;
    loop {
        let looked_up = ledger.look_up(settings.ui_port, deadline);
        let figures = looked_up.and_then(|()| Figures::read(settings.http_port));
        let all_found = ledger.balance().missing == 0;
        let done = |it: &Figures| all_found && it.finished_records >= it.published_records;
        if figures.as_ref().is_ok_and(done) || Instant::now() >= deadline {
            return figures;
        }
        thread::sleep(Duration::from_millis(50));
    }
}
