//! Latency distributions in the forms that people and other tools read: curves for our own page,
//! HdrHistogram's percentile text (`.hgrm`), and its interval log (`.hlog`). Pure but for
//! [`write()`].
//!
//! The text is what HdrHistogram's plotter draws and loses precision; the log holds the histograms
//! themselves, so that those of several processes and runs can be added up by any of its tools.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use hdrhistogram::Histogram;
use hdrhistogram::serialization::V2DeflateSerializer;
use hdrhistogram::serialization::interval_log::{IntervalLogWriterBuilder, Tag};

use crate::latency::Named;
use crate::options::DistributionOptions;

/// By name: pairs of a quantile and its latency in microseconds, ascending.
pub(crate) type Curves = BTreeMap<&'static str, Vec<[f64; 2]>>;

/// The curve of every histogram that holds anything.
pub(crate) fn curves(histograms: &[Named<'_>]) -> Curves {
    let filled = histograms.iter().filter(|named| !named.histogram.is_empty());
    filled.map(|named| (named.name, curve(named.histogram))).collect()
}

/// Writes the files asked for: the text of the first histogram, the log of all.
pub(crate) fn write(
    options: &DistributionOptions,
    histograms: &[Named<'_>],
    started: SystemTime,
    elapsed: Duration,
) -> io::Result<()> {
    if let (Some(path), Some(first)) = (&options.hgrm, histograms.first()) {
        save(path, percentile_text(first.histogram).as_bytes())?;
    }
    if let Some(path) = &options.hlog {
        save(path, &interval_log(histograms, started, elapsed)?)?;
    }
    Ok(())
}

/// Writes `content`; an error names the file.
pub(crate) fn save(path: &Path, content: &[u8]) -> io::Result<()> {
    fs::write(path, content)
        .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", path.display())))
}

fn curve(histogram: &Histogram<u64>) -> Vec<[f64; 2]> {
    let steps = histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE);
    steps.map(|step| [step.quantile_iterated_to(), step.value_iterated_to() as f64 / 1e3]).collect()
}

/// Values in milliseconds, percentiles from 0 to 1.
fn percentile_text(histogram: &Histogram<u64>) -> String {
    let millis = |nanos: f64| nanos / NANOS_PER_MILLI;
    let mut text = format!(
        "{:>12} {:>14} {:>10} {:>14}\n\n",
        "Value", "Percentile", "TotalCount", "1/(1-Percentile)"
    );
    let mut counted = 0;
    for step in histogram.iter_quantiles(TICKS_PER_HALF_DISTANCE) {
        counted += step.count_since_last_iteration();
        let quantile = step.quantile_iterated_to();
        let value = millis(step.value_iterated_to() as f64);
        write!(text, "{value:>12.3} {quantile:>2.12} {counted:>10}").expect(MEMORY);
        // The last line, of the maximum, has no finite distance.
        if quantile < 1.0 {
            write!(text, " {:>14.2}", 1.0 / (1.0 - quantile)).expect(MEMORY);
        }
        text.push('\n');
    }
    for [(name, value), (other_name, other)] in [
        [("Mean", millis(histogram.mean())), ("StdDeviation", millis(histogram.stdev()))],
        [("Max", millis(histogram.max() as f64)), ("Total count", histogram.len() as f64)],
        [
            ("Buckets", f64::from(histogram.buckets())),
            ("SubBuckets", histogram.distinct_values() as f64),
        ],
    ] {
        writeln!(text, "#[{name:<7} = {value:>12.3}, {other_name:<14} = {other:>12.3}]")
            .expect(MEMORY);
    }
    text
}

/// One interval per histogram, from the start to the end of what was measured; values are
/// nanoseconds, the maximum beside them milliseconds, as other tools write them.
fn interval_log(
    histograms: &[Named<'_>],
    started: SystemTime,
    elapsed: Duration,
) -> io::Result<Vec<u8>> {
    let mut log = Vec::new();
    let mut serializer = V2DeflateSerializer::new();
    let mut writer = IntervalLogWriterBuilder::new()
        .add_comment("[Histogram log format version 1.3]")
        .with_start_time(started)
        .with_base_time(started)
        .with_max_value_divisor(NANOS_PER_MILLI)
        .begin_log_with(&mut log, &mut serializer)?;
    writer.write_comment("\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Base64\"")?;
    for named in histograms {
        writer
            .write_histogram(named.histogram, Duration::ZERO, elapsed, Tag::new(named.tag))
            .map_err(|error| io::Error::other(format!("{error:?}")))?;
    }
    Ok(log)
}

/// As HdrHistogram's own tools choose: enough for a smooth curve, a few hundred lines at most.
const TICKS_PER_HALF_DISTANCE: u32 = 5;
const NANOS_PER_MILLI: f64 = 1e6;
const MEMORY: &str = "writing to a string does not fail";

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use hdrhistogram::Histogram;
    use hdrhistogram::serialization::Deserializer;
    use hdrhistogram::serialization::interval_log::{IntervalLogIterator, LogEntry};

    use super::{curves, interval_log, percentile_text};
    use crate::latency::{Named, histogram_up_to};

    /// A hundred values, from 1 ms to 100 ms.
    fn histogram() -> Histogram<u64> {
        let mut histogram = histogram_up_to(60_000_000_000);
        for millis in 1..=100 {
            histogram.record(millis * 1_000_000).unwrap();
        }
        histogram
    }

    /// Every line but the last has value, percentile, count and distance, in ascending order, and
    /// the counts end at the total: what the plotter needs.
    #[test]
    fn the_text_is_what_the_plotter_reads() {
        let text = percentile_text(&histogram());
        let rows: Vec<Vec<f64>> = text
            .lines()
            .skip(2)
            .take_while(|line| !line.starts_with('#'))
            .map(|line| line.split_whitespace().map(|field| field.parse().unwrap()).collect())
            .collect();
        assert!(rows.is_sorted_by(|one, next| one[0] <= next[0] && one[1] < next[1]), "{text}");
        let median = rows.iter().find(|row| row[1] == 0.5).expect("the median has a line");
        assert!((median[0] - 50.0).abs() < 0.1 && median[2] == 50.0 && median[3] == 2.0);
        let (last, others) = rows.split_last().unwrap();
        assert_eq!((last.len(), last[1], last[2]), (3, 1.0, 100.0));
        assert!(others.iter().all(|row| row.len() == 4));
        assert!(text.contains("#[Max     ="), "{text}");
    }

    /// What other tools read from the log are the histograms that were written.
    #[test]
    fn the_log_holds_the_histograms() {
        let histogram = histogram();
        let named = Named { name: "end to end", tag: "end-to-end", histogram: &histogram };
        let started = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let log = interval_log(&[named], started, Duration::from_secs(9)).unwrap();
        let intervals: Vec<_> = IntervalLogIterator::new(&log)
            .filter_map(|entry| match entry.unwrap() {
                LogEntry::Interval(interval) => Some(interval),
                _ => None,
            })
            .collect();
        let [interval] = &intervals[..] else { panic!("{intervals:?}") };
        assert_eq!(interval.tag().unwrap().as_str(), "end-to-end");
        assert_eq!(interval.duration(), Duration::from_secs(9));
        let encoded = decode_base64(interval.encoded_histogram());
        let read: Histogram<u64> = Deserializer::new().deserialize(&mut &encoded[..]).unwrap();
        assert_eq!(read, histogram);
    }

    /// A curve ends at the maximum; an empty histogram has none, rather than a flat one.
    #[test]
    fn curves_reach_the_maximum() {
        let (full, empty) = (histogram(), histogram_up_to(1_000_000));
        let curves = curves(&[
            Named { name: "full", tag: "full", histogram: &full },
            Named { name: "empty", tag: "empty", histogram: &empty },
        ]);
        assert_eq!(curves.keys().collect::<Vec<_>>(), [&"full"]);
        let [quantile, micros] = *curves["full"].last().unwrap();
        assert_eq!(quantile, 1.0);
        assert!((micros / 100_000.0 - 1.0).abs() < 0.002);
    }

    fn decode_base64(text: &str) -> Vec<u8> {
        let digits = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let digit = |byte| digits.iter().position(|it| *it == byte).unwrap() as u32;
        let mut bytes = Vec::new();
        for group in text.trim_end_matches('=').as_bytes().chunks(4) {
            let bits = group.iter().fold(0, |bits, byte| bits << 6 | digit(*byte));
            let bits = bits << (6 * (4 - group.len()) + 8);
            bytes.extend_from_slice(&bits.to_be_bytes()[..group.len() * 6 / 8]);
        }
        bytes
    }
}
