//! What an answer means for the spans of a request, by the OTLP specification.
//!
//! Pure. opentelemetry-proto `docs/specification.md`, "OTLP/gRPC response": which codes ask for a
//! retry, that RESOURCE_EXHAUSTED does so only with RetryInfo, and that a partial success is final.

use std::borrow::Cow;
use std::time::Duration;

use http::StatusCode;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use tonic::{Code, Status};
use tonic_types::StatusExt;

use crate::compression::inflate;
use crate::ledger::Outcome;
use crate::payload::GRPC_PREFIX_BYTES;

/// How one attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) outcome: Outcome,
    /// How long to wait before the same request may be sent again; `None` when it must not be.
    pub(crate) retry_delay: Option<Duration>,
}

impl Answer {
    /// No answer: the deadline passed, or the connection broke after the request may have arrived.
    pub(crate) const NONE: Self =
        Self { outcome: Outcome::TimedOut, retry_delay: Some(RETRY_DELAY_DEFAULT) };

    /// A final answer.
    fn final_answer(outcome: Outcome) -> Self {
        Self { outcome, retry_delay: None }
    }

    /// The answer with `grpc-status` OK whose body is `body`, as framed by gRPC; `encoding` is its
    /// `grpc-encoding`. A receiver may compress what it was not asked to: grpc-go answers in the
    /// encoding of the request.
    pub(crate) fn from_body(body: &[u8], encoding: &[u8]) -> Self {
        // A body that cannot be read is INTERNAL to a gRPC client, whatever the receiver meant.
        let unreadable = Self::final_answer(Outcome::Rejected(Code::Internal));
        let Some((prefix, message)) = body.split_at_checked(GRPC_PREFIX_BYTES) else {
            return unreadable;
        };
        let message = match prefix[0] {
            0 => Some(Cow::Borrowed(message)),
            _ => inflate(encoding, message, RESPONSE_BYTES_MAX).map(Cow::Owned),
        };
        let decoded = message.map(|message| ExportTraceServiceResponse::decode(&*message));
        let Some(Ok(response)) = decoded else {
            return unreadable;
        };
        let rejected = response.partial_success.map_or(0, |partial| partial.rejected_spans);
        Self::final_answer(match u32::try_from(rejected) {
            Ok(0) => Outcome::Acknowledged,
            Ok(rejected) => Outcome::Partial { rejected },
            Err(_) => Outcome::Rejected(Code::Internal),
        })
    }

    /// The answer that `status` gives; its code is not OK.
    pub(crate) fn from_status(status: &Status) -> Self {
        let code = status.code();
        let info = status.get_details_retry_info();
        let retry_info = info.is_some();
        let asked_delay = info.and_then(|info| info.retry_delay);
        let retry_delay = Some(asked_delay.unwrap_or(RETRY_DELAY_DEFAULT).min(RETRY_DELAY_MAX));
        match code {
            Code::Cancelled | Code::DeadlineExceeded => {
                Self { outcome: Outcome::TimedOut, retry_delay }
            }
            Code::Aborted | Code::OutOfRange | Code::Unavailable | Code::DataLoss => {
                Self { outcome: Outcome::Refused { code, retry_info }, retry_delay }
            }
            Code::ResourceExhausted if retry_info => {
                Self { outcome: Outcome::Refused { code, retry_info }, retry_delay }
            }
            _ => Self::final_answer(Outcome::Rejected(code)),
        }
    }

    /// The answer of something that is not a gRPC server, by gRPC's table of HTTP statuses.
    pub(crate) fn from_http(status: StatusCode) -> Self {
        let code = match status.as_u16() {
            400 => Code::Internal,
            401 => Code::Unauthenticated,
            403 => Code::PermissionDenied,
            404 => Code::Unimplemented,
            429 | 502..=504 => Code::Unavailable,
            _ => Code::Unknown,
        };
        Self::from_status(&Status::new(code, "not a gRPC answer"))
    }
}

/// An answer is a few bytes, with an error message a few hundred.
pub(crate) const RESPONSE_BYTES_MAX: usize = 64 << 10;
/// Where the receiver names no delay.
const RETRY_DELAY_DEFAULT: Duration = Duration::from_millis(100);
/// A receiver cannot put a run to sleep for longer.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(30);

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::StatusCode;
    use tonic::{Code, Status};
    use tonic_types::{ErrorDetails, StatusExt};

    use super::{Answer, RETRY_DELAY_DEFAULT, RETRY_DELAY_MAX};
    use crate::compression::Compression;
    use crate::ledger::Outcome;

    /// An empty message is a full success, `rejected_spans` a partial one, all else unreadable.
    #[test]
    fn bodies_are_read() {
        let outcome = |body: &[u8]| Answer::from_body(body, b"identity").outcome;
        assert_eq!(outcome(&[0, 0, 0, 0, 0]), Outcome::Acknowledged);
        let partial = [0, 0, 0, 0, 4, 0x0a, 2, 0x08, 3];
        assert_eq!(outcome(&partial), Outcome::Partial { rejected: 3 });
        let only_a_warning = [0, 0, 0, 0, 5, 0x0a, 3, 0x12, 1, b'w'];
        assert_eq!(outcome(&only_a_warning), Outcome::Acknowledged);
        for body in [&[][..], &[0, 0, 0, 0, 1, 0xff], &[1, 0, 0, 0, 0]] {
            assert_eq!(outcome(body), Outcome::Rejected(Code::Internal));
        }
    }

    /// A compressed answer counts as what it says.
    #[test]
    fn compressed_bodies_are_read() {
        for compression in [Compression::Gzip, Compression::Zstd] {
            let encoding = compression.encoding().unwrap().as_bytes();
            let compressed = |body: &[u8]| compression.compress(body).unwrap().unwrap();
            let outcome = |body: &[u8]| Answer::from_body(&compressed(body), encoding).outcome;
            assert_eq!(outcome(&[0, 0, 0, 0, 0]), Outcome::Acknowledged);
            let partial = [0, 0, 0, 0, 4, 0x0a, 2, 0x08, 3];
            assert_eq!(outcome(&partial), Outcome::Partial { rejected: 3 });
        }
    }

    /// The specification's retryable codes are retried, no others.
    #[test]
    fn codes_are_classified() {
        let answer = |code| Answer::from_status(&Status::new(code, ""));
        for code in [Code::Unavailable, Code::Aborted, Code::OutOfRange, Code::DataLoss] {
            let retry_delay = Some(RETRY_DELAY_DEFAULT);
            let outcome = Outcome::Refused { code, retry_info: false };
            assert_eq!(answer(code), Answer { outcome, retry_delay });
        }
        for code in [Code::Cancelled, Code::DeadlineExceeded] {
            assert_eq!(answer(code).outcome, Outcome::TimedOut);
            assert!(answer(code).retry_delay.is_some());
        }
        for code in [Code::InvalidArgument, Code::ResourceExhausted, Code::Unimplemented] {
            let outcome = Outcome::Rejected(code);
            assert_eq!(answer(code), Answer { outcome, retry_delay: None });
        }
        let unavailable = Outcome::Refused { code: Code::Unavailable, retry_info: false };
        assert_eq!(Answer::from_http(StatusCode::SERVICE_UNAVAILABLE).outcome, unavailable);
    }

    /// RetryInfo sets the delay, within a bound, and makes RESOURCE_EXHAUSTED retryable.
    #[test]
    fn retry_info_is_honoured() {
        for (asked, expected) in [
            (Duration::from_millis(250), Duration::from_millis(250)),
            (Duration::from_secs(3600), RETRY_DELAY_MAX),
        ] {
            for code in [Code::Unavailable, Code::ResourceExhausted] {
                let details = ErrorDetails::with_retry_info(Some(asked));
                let status = Status::with_error_details(code, "busy", details);
                let answer = Answer::from_status(&status);
                assert_eq!(answer.outcome, Outcome::Refused { code, retry_info: true });
                assert_eq!(answer.retry_delay, Some(expected));
            }
        }
    }
}
