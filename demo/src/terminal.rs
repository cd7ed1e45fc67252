//! What the visitor reads: what starts, where to look, one live line, and the ledger.
//!
//! The figures of the live line come from the pipeline's own pages, /metrics and /latency, as any
//! monitoring would read them.

use std::{
    io::{self, IsTerminal, Write},
    ops::Add,
    time::{Duration, Instant},
};

use serde_json::Value;

use crate::{Settings, ledger::Balance, page};

/// How often a line is written where none can be redrawn, such as in a log.
const LOGGED_EVERY: Duration = Duration::from_secs(5);

/// The traces to see first: those that go through every service.
const SHOP_SEARCH: &str =
    "/search?service=storefront&operation=POST%20%2Fcheckout&lookback=1h&limit=20";

/// Where everything is, and how to send one's own spans.
pub(crate) fn welcome(settings: &Settings, broker: &str) -> io::Result<()> {
    let Settings { grpc_port, http_port, ui_port, .. } = settings;
    let (traffic, search) = if settings.traffic {
        ("a shop: storefront, order, payment, email (DEMO_TRAFFIC=off: none)", SHOP_SEARCH)
    } else {
        ("none but yours", "/search")
    };
    writeln!(
        io::stdout(),
        "
  traces     http://localhost:{ui_port}{search}
  metrics    http://localhost:{http_port}/metrics
  latency    http://localhost:{http_port}/latency

  Kafka      {broker}
  traffic    {traffic}
  your own   OTEL_EXPORTER_OTLP_ENDPOINT=http://localhost:{grpc_port}
  Ctrl-C     ends it in order, with a ledger

   spans per second                        lag   reply, ms        end to end, ms
   received   acknowledged   forwarded  records   p50     p99       p50     p99"
    )
}

/// The pipeline's counters and percentiles at one moment.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    received_spans: f64,
    acknowledged_spans: f64,
    pub(crate) published_records: f64,
    /// Forwarded, or otherwise done with.
    pub(crate) finished_records: f64,
    lag_records: f64,
    /// p50 and p99 of the last ten seconds, in milliseconds.
    reply_ms: [Option<f64>; 2],
    end_to_end_ms: [Option<f64>; 2],
}

impl Figures {
    /// Reads the pages of the pipeline at `http_port`.
    ///
    /// # Errors
    /// It does not answer.
    pub(crate) fn read(http_port: u16) -> io::Result<Self> {
        let (_, metrics) = page::fetch(http_port, "/metrics")?;
        let (_, latency) = page::fetch(http_port, "/latency")?;
        let latency: Value = serde_json::from_str(&latency)?;
        let percentiles = |stage| {
            let figures = &latency["stages"][stage]["last_10s"];
            ["p50_us", "p99_us"].map(|key| Some(figures[key].as_f64()? / 1e3))
        };
        Ok(Self {
            received_spans: sum(&metrics, "publish_spans_received_total"),
            acknowledged_spans: sum(&metrics, "publish_spans_total{outcome=\"acknowledged\"}"),
            published_records: sum(&metrics, "publish_records_total"),
            finished_records: sum(&metrics, "forward_records_total"),
            lag_records: sum(&metrics, "forward_lag_records"),
            reply_ms: percentiles("receive_to_reply"),
            end_to_end_ms: percentiles("record_age"),
        })
    }
}

/// The sum over the series whose name, after the pipeline's prefix, begins like this.
fn sum(metrics: &str, series: &str) -> f64 {
    let lines = metrics.lines().filter_map(|line| line.strip_prefix("otel_pipeline_"));
    let values = lines.filter(|line| line.starts_with(series));
    // Not `sum`, which is -0 for nothing.
    values.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).fold(0.0, Add::add)
}

/// The line that tells how it goes.
pub(crate) struct LiveLine {
    last: Figures,
    last_stored: u64,
    read_at: Instant,
    written_at: Option<Instant>,
    redrawn: bool,
}

impl LiveLine {
    /// Nothing has flowed yet.
    pub(crate) fn begin() -> Self {
        let redrawn = io::stdout().is_terminal();
        Self {
            last: Figures::default(),
            last_stored: 0,
            read_at: Instant::now(),
            written_at: None,
            redrawn,
        }
    }

    /// Tells the figures of now; `stored` is the number of spans that Jaeger has taken so far.
    pub(crate) fn tell(&mut self, figures: Figures, stored: u64) -> io::Result<()> {
        if !self.redrawn && self.written_at.is_some_and(|at| at.elapsed() < LOGGED_EVERY) {
            return Ok(());
        }
        let seconds = self.read_at.elapsed().as_secs_f64();
        let [reply_p50, reply_p99] = figures.reply_ms.map(milliseconds);
        let [age_p50, age_p99] = figures.end_to_end_ms.map(milliseconds);
        let line = format!(
            "{:>11.0}{:>15.0}{:>12.0}{:>9.0}{reply_p50}{reply_p99}  {age_p50}{age_p99}",
            (figures.received_spans - self.last.received_spans) / seconds,
            (figures.acknowledged_spans - self.last.acknowledged_spans) / seconds,
            (stored - self.last_stored) as f64 / seconds,
            figures.lag_records,
        );
        let mut out = io::stdout().lock();
        if self.redrawn {
            write!(out, "\r{line}\x1b[K")?;
            out.flush()?;
        } else {
            writeln!(out, "{line}")?;
        }
        *self = Self {
            last: figures,
            last_stored: stored,
            read_at: Instant::now(),
            written_at: Some(Instant::now()),
            redrawn: self.redrawn,
        };
        Ok(())
    }
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| format!("{:>8}", "-"), |value| format!("{value:>8.1}"))
}

/// Tells that the end has begun: what is under way is waited for.
pub(crate) fn ending() -> io::Result<()> {
    writeln!(io::stdout(), "\n\nending: what was acknowledged is waited for")
}

/// What became of every span of the shop.
pub(crate) fn ledger(balance: Balance) -> io::Result<()> {
    let Balance { sent, acknowledged, traces, found, missing } = balance;
    writeln!(
        io::stdout(),
        "
  sent         {sent:>9} spans, by the shop
  acknowledged {acknowledged:>9} with OK, in {traces} traces
  forwarded    {found:>9} of those found in Jaeger, through its API
  lost         {missing:>9}
"
    )
}

/// What the pipeline counted, when there was no shop to keep a ledger.
pub(crate) fn counts(figures: Figures) -> io::Result<()> {
    writeln!(
        io::stdout(),
        "
  received     {:>9} spans
  acknowledged {:>9} with OK
  published    {:>9} records, each of one trace
  forwarded    {:>9} records
",
        figures.received_spans,
        figures.acknowledged_spans,
        figures.published_records,
        figures.finished_records,
    )
}
