//! `/latency`: percentiles per stage and window, as JSON or as HdrHistogram's percentile text.

use std::fmt::Write;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::{
    request::Query,
    routes::{Answer, Sources},
};
use crate::internal_telemetry::{Latency, Stage, Window};

/// The percentiles reported, with their keys; all values are in microseconds.
const PERCENTILES: [(&str, f64); 4] =
    [("p50_us", 0.5), ("p90_us", 0.9), ("p99_us", 0.99), ("p99_9_us", 0.999)];

/// Rows of the percentile text per halving of the distance to 100 %, HdrHistogram's usual number.
const ROWS_PER_HALVING: u32 = 5;

pub(super) fn answer(sources: &Sources, query: &Query) -> Answer {
    let latency = &sources.telemetry.latency;
    match query.value("format") {
        None | Some("json") => json_answer(latency),
        Some("hgrm") => hgrm_answer(latency, query),
        Some(_) => Answer::text(400, "format: json or hgrm\n"),
    }
}

fn json_answer(latency: &Latency) -> Answer {
    let stages: Map<String, Value> = Stage::ALL
        .into_iter()
        .map(|stage| {
            let mut entry = Map::new();
            entry.insert("about".to_owned(), stage.about().into());
            for window in Window::ALL {
                let figures = figures(&latency.histogram(stage, window));
                entry.insert(window.name().to_owned(), figures);
            }
            (stage.name().to_owned(), entry.into())
        })
        .collect();
    let body = format!("{:#}\n", json!({ "stages": stages }));
    Answer { status: 200, content_type: "application/json", body }
}

fn figures(histogram: &Histogram<u64>) -> Value {
    let mut figures = Map::new();
    figures.insert("count".to_owned(), histogram.len().into());
    if histogram.is_empty() {
        return figures.into();
    }
    figures.insert("mean_us".to_owned(), (histogram.mean() / 1e3).into());
    for (key, quantile) in PERCENTILES {
        let microseconds = histogram.value_at_quantile(quantile) as f64 / 1e3;
        figures.insert(key.to_owned(), microseconds.into());
    }
    figures.insert("max_us".to_owned(), (histogram.max() as f64 / 1e3).into());
    figures.into()
}

fn hgrm_answer(latency: &Latency, query: &Query) -> Answer {
    let stage = query.value("stage").unwrap_or_default();
    let Some(stage) = Stage::ALL.into_iter().find(|known| known.name() == stage) else {
        return Answer::text(400, format!("stage: {}\n", Stage::ALL.map(Stage::name).join(", ")));
    };
    let window = query.value("window").unwrap_or_else(|| Window::SinceStart.name());
    let Some(window) = Window::ALL.into_iter().find(|known| known.name() == window) else {
        return Answer::text(
            400,
            format!("window: {}\n", Window::ALL.map(Window::name).join(", ")),
        );
    };
    Answer::text(200, hgrm(&latency.histogram(stage, window)))
}

/// The format that HdrHistogram's plotter reads, values in microseconds.
fn hgrm(histogram: &Histogram<u64>) -> String {
    let mut text = "       Value     Percentile TotalCount 1/(1-Percentile)\n\n".to_owned();
    let mut total = 0;
    for row in histogram.iter_quantiles(ROWS_PER_HALVING) {
        total += row.count_since_last_iteration();
        let value = row.value_iterated_to() as f64 / 1e3;
        let quantile = row.quantile_iterated_to();
        // The last row stands for 100 %, whose distance to 100 % has no reciprocal.
        let reciprocal =
            if quantile < 1.0 { format!("{:14.2}", 1.0 / (1.0 - quantile)) } else { String::new() };
        writeln!(text, "{value:12.3} {quantile:1.12} {total:10} {reciprocal}")
            .expect("a string takes all writes");
    }
    let mean = histogram.mean() / 1e3;
    let deviation = histogram.stdev() / 1e3;
    let max = histogram.max() as f64 / 1e3;
    let count = histogram.len();
    text + &format!(
        "#[Mean    = {mean:12.3}, StdDeviation   = {deviation:12.3}]\n\
         #[Max     = {max:12.3}, Total count    = {count:12}]\n\
         #[Buckets = {:12}, SubBuckets     = {:12}]\n",
        histogram.buckets(),
        (2 * 10_u64.pow(histogram.sigfig().into())).next_power_of_two(),
    )
}
