//! How a sink misbehaves: for tests of what stands in front of it. Pure; time is passed in.

use std::ops::Range;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::options::ScriptOptions;
use crate::units;

/// The sink's delays, and its answers to requests that it is told to fail.
#[derive(Debug)]
pub(crate) struct Script {
    pub(crate) delay: Duration,
    throttle: Option<Throttle>,
    fail_first: u64,
    fail_every: Option<u64>,
    fail_between: Option<Range<Duration>>,
    failure: Status,
}

/// Takes spans one after the other, each for the time that the rate allows.
#[derive(Debug)]
struct Throttle {
    spans_per_second: f64,
    /// When everything taken so far is dealt with.
    free_at: Mutex<Option<Instant>>,
}

impl Script {
    pub(crate) fn new(options: &ScriptOptions) -> Self {
        let code = Code::from(options.fail_code);
        let details = ErrorDetails::with_retry_info(options.retry_info);
        let failure = match options.retry_info {
            Some(_) => Status::with_error_details(code, MESSAGE, details),
            None => Status::new(code, MESSAGE),
        };
        let throttle = options
            .rate_max
            .map(|spans_per_second| Throttle { spans_per_second, free_at: Mutex::default() });
        let ScriptOptions { delay, fail_first, fail_every, .. } = *options;
        let fail_between = options.fail_between.clone();
        Self { delay, throttle, fail_first, fail_every, fail_between, failure }
    }

    /// The failure to answer request `number` with, counted from 0, which came `since_first` after
    /// the first.
    pub(crate) fn failure(&self, number: u64, since_first: Duration) -> Option<Status> {
        let is_among_first = number < self.fail_first;
        let is_nth = self.fail_every.is_some_and(|every| (number + 1).is_multiple_of(every));
        let is_within =
            self.fail_between.as_ref().is_some_and(|range| range.contains(&since_first));
        (is_among_first || is_nth || is_within).then(|| self.failure.clone())
    }

    /// How long `spans` that came at `now` wait for their turn.
    pub(crate) fn wait(&self, now: Instant, spans: u64) -> Duration {
        self.throttle.as_ref().map_or(Duration::ZERO, |throttle| throttle.wait(now, spans))
    }
}

impl Throttle {
    fn wait(&self, now: Instant, spans: u64) -> Duration {
        let mut free_at = self.free_at.lock().unwrap_or_else(PoisonError::into_inner);
        let begin = free_at.map_or(now, |free_at| free_at.max(now));
        let end = begin + Duration::from_secs_f64(spans as f64 / self.spans_per_second);
        *free_at = Some(end);
        end - now
    }
}

/// Two durations as people write them on a command line: `2s..5s`.
pub(crate) fn window(text: &str) -> Result<Range<Duration>, String> {
    const EXPECTED: &str = "expected two durations, the earlier first, such as 2s..5s";
    let (from, to) = text.split_once("..").ok_or(EXPECTED)?;
    let read = |part| units::duration(part).map_err(|error| error.to_string());
    let (from, to) = (read(from)?, read(to)?);
    if from < to { Ok(from..to) } else { Err(EXPECTED.to_owned()) }
}

const MESSAGE: &str = "failed as told by the sink's script";

#[cfg(test)]
mod tests {
    use std::time::{Duration, Instant};

    use tonic::Code;
    use tonic_types::StatusExt;

    use super::{Script, window};
    use crate::options::ScriptOptions;

    fn options() -> ScriptOptions {
        ScriptOptions {
            delay: Duration::ZERO,
            rate_max: None,
            fail_first: 0,
            fail_every: None,
            fail_between: None,
            fail_code: 8,
            retry_info: Some(Duration::from_millis(30)),
            lose_spans: 0,
        }
    }

    /// The first requests and every nth fail, with the code and the RetryInfo asked for.
    #[test]
    fn requests_fail_as_told() {
        let script =
            Script::new(&ScriptOptions { fail_first: 2, fail_every: Some(4), ..options() });
        let failed: Vec<_> =
            (0..9).filter(|number| script.failure(*number, Duration::ZERO).is_some()).collect();
        assert_eq!(failed, [0, 1, 3, 7]);
        let failure = script.failure(0, Duration::ZERO).unwrap();
        assert_eq!(failure.code(), Code::ResourceExhausted);
        let retry_info = failure.get_details_retry_info().unwrap();
        assert_eq!(retry_info.retry_delay, Some(Duration::from_millis(30)));
    }

    /// Within a window of time every request fails, before and after it none.
    #[test]
    fn requests_fail_for_a_while() {
        let fail_between = Some(window("2s..5s").unwrap());
        let script = Script::new(&ScriptOptions { fail_between, ..options() });
        let fails = |seconds| script.failure(0, Duration::from_secs_f64(seconds)).is_some();
        assert_eq!([0.0, 1.9, 2.0, 4.9, 5.0].map(fails), [false, false, true, true, false]);
        for text in ["5s..2s", "2s..2s", "2s", "2..5", "..5s", ""] {
            assert!(window(text).is_err(), "{text}");
        }
    }

    /// A limited sink deals with spans in turn at its rate, and saves nothing up while it is idle.
    #[test]
    fn a_rate_is_not_exceeded() {
        let script = Script::new(&ScriptOptions { rate_max: Some(1_000.0), ..options() });
        let start = Instant::now();
        let wait = |after, spans| script.wait(start + Duration::from_millis(after), spans);
        assert_eq!(wait(0, 100), Duration::from_millis(100));
        assert_eq!(wait(0, 100), Duration::from_millis(200));
        assert_eq!(wait(150, 100), Duration::from_millis(150));
        assert_eq!(wait(9_000, 100), Duration::from_millis(100));
        assert_eq!(Script::new(&options()).wait(start, 100), Duration::ZERO);
    }
}
