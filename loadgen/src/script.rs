//! How a sink misbehaves, by request number: for tests of what stands in front of it. Pure.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::options::ScriptOptions;

/// The sink's answers to requests that it is told to fail.
#[derive(Clone, Debug)]
pub(crate) struct Script {
    pub(crate) delay: Duration,
    fail_first: u64,
    fail_every: Option<u64>,
    failure: Status,
}

impl Script {
    pub(crate) fn new(options: &ScriptOptions) -> Self {
        let code = Code::from(options.fail_code);
        let details = ErrorDetails::with_retry_info(options.retry_info);
        let failure = match options.retry_info {
            Some(_) => Status::with_error_details(code, MESSAGE, details),
            None => Status::new(code, MESSAGE),
        };
        let ScriptOptions { delay, fail_first, fail_every, .. } = *options;
        Self { delay, fail_first, fail_every, failure }
    }

    /// The failure to answer request `number`, counted from 0, with.
    pub(crate) fn failure(&self, number: u64) -> Option<Status> {
        let is_among_first = number < self.fail_first;
        let is_nth = self.fail_every.is_some_and(|every| (number + 1).is_multiple_of(every));
        (is_among_first || is_nth).then(|| self.failure.clone())
    }
}

const MESSAGE: &str = "failed as told by the sink's script";

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tonic::Code;
    use tonic_types::StatusExt;

    use super::Script;
    use crate::options::ScriptOptions;

    /// The first requests and every nth fail, with the code and the RetryInfo asked for.
    #[test]
    fn requests_fail_as_told() {
        let script = Script::new(&ScriptOptions {
            delay: Duration::ZERO,
            fail_first: 2,
            fail_every: Some(4),
            fail_code: 8,
            retry_info: Some(Duration::from_millis(30)),
            lose_spans: 0,
        });
        let failed: Vec<_> = (0..9).filter(|number| script.failure(*number).is_some()).collect();
        assert_eq!(failed, [0, 1, 3, 7]);
        let failure = script.failure(0).unwrap();
        assert_eq!(failure.code(), Code::ResourceExhausted);
        let retry_info = failure.get_details_retry_info().unwrap();
        assert_eq!(retry_info.retry_delay, Some(Duration::from_millis(30)));
    }
}
