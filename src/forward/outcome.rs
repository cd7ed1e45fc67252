//! What a backend's answer means: one table from statuses to what is done about them.
//!
//! Pure. OTLP names the retryable codes; what is not retryable by OTLP is still never given up
//! unless it can only be the data's fault: a wrong token must not drain a topic into the
//! dead-letter topic.

use std::{error::Error, time::Duration};

use h2::Reason;
use http::StatusCode;
use tonic::{Code, ConnectError, Status, TimeoutExpired};
use tonic_types::StatusExt;

use crate::limits;

/// The end of one backend call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// The message was taken. OTLP, "Partial Success": the client MUST NOT retry the refused rest.
    Accepted {
        /// Spans that the backend counted as refused.
        spans_refused: u64,
        /// Its words about them, or a warning.
        warning: String,
    },
    /// The message was not taken, as far as is known.
    Refused(Refusal),
}

/// Why a message was not taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) class: Class,
    /// A value of the label `code`.
    pub(super) code: &'static str,
    /// The backend's words, cut to a line.
    pub(super) message: String,
    /// The pause it asks for.
    pub(super) retry_after: Option<Duration>,
}

/// What is done about a refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Class {
    /// Try again, for ever: the backend is busy or away.
    Now,
    /// Try again, for ever, and loudly: somebody must change a setting.
    Configuration,
    /// The data is at fault: find the record.
    Data,
    /// The data may be at fault: after a few tries, as [`Class::Data`].
    Suspect,
    /// The message is larger than the backend takes: halve it.
    TooLarge,
    /// The connection broke during the call: try again as a trial, which blames nothing yet.
    Broken,
    /// The connection broke in a trial: the data is at fault if it does so again.
    Crash,
}

impl Class {
    /// The value of the label `class`.
    pub(super) fn label(self) -> &'static str {
        match self {
            Self::Now => "now",
            Self::Configuration => "configuration",
            Self::Data => "data",
            Self::Suspect => "suspect",
            Self::TooLarge => "too_large",
            Self::Broken => "broken",
            Self::Crash => "crash",
        }
    }
}

impl Refusal {
    /// From a gRPC status other than OK.
    pub(super) fn from_status(status: &Status) -> Self {
        let (class, code) = match status.code() {
            // OTLP, "OTLP/gRPC Response", Failures: these are retryable ...
            Code::Cancelled => (Class::Now, "cancelled"),
            Code::DeadlineExceeded => (Class::Now, "deadline_exceeded"),
            Code::Aborted => (Class::Now, "aborted"),
            Code::Unavailable => (Class::Now, "unavailable"),
            Code::DataLoss => (Class::Now, "data_loss"),
            // ... unless it is tonic's word for a message over its limit.
            Code::OutOfRange => (now_or_too_large(status.message()), "out_of_range"),
            // OTLP: retryable with RetryInfo. Without it most backends still mean "busy"; the
            // gRPC libraries mean a message over their limit, and say so.
            Code::ResourceExhausted => (now_or_too_large(status.message()), "resource_exhausted"),
            // Not retryable by OTLP, and not the data's fault: the token, the path, the address.
            Code::Unauthenticated => (Class::Configuration, "unauthenticated"),
            Code::PermissionDenied => (Class::Configuration, "permission_denied"),
            Code::Unimplemented => (Class::Configuration, "unimplemented"),
            Code::NotFound => (Class::Configuration, "not_found"),
            // OTLP, "Bad Data": the server MUST say so, and the client MUST NOT retry.
            Code::InvalidArgument => (Class::Data, "invalid_argument"),
            // Not retryable by OTLP, which has them drop the data at once; but grpc-go answers
            // INTERNAL to its own faults as well as to what it cannot unmarshal, and the others
            // say nothing of the data: a few tries first.
            Code::Internal => (Class::Suspect, "internal"),
            // OK is no refusal and does not come here.
            Code::Unknown | Code::Ok => (Class::Suspect, "unknown"),
            Code::AlreadyExists => (Class::Suspect, "already_exists"),
            Code::FailedPrecondition => (Class::Suspect, "failed_precondition"),
        };
        let retry_after = status.get_details_retry_info().and_then(|info| info.retry_delay);
        Self { class, code, message: one_line(status.message()), retry_after }
    }

    /// From an HTTP answer that carries no gRPC status: a proxy, or not a gRPC server.
    pub(super) fn from_http(http: StatusCode, retry_after: Option<Duration>) -> Self {
        let class = match http.as_u16() {
            // OTLP, "OTLP/HTTP Response", Retryable Response Codes; RFC 9110, 15.5.9: 408 may be
            // repeated too.
            408 | 429 | 502..=504 => Class::Now,
            // OTLP, "Bad Data": 400, the client MUST NOT retry. RFC 9110, 15.5.21: 422, understood
            // and not processed.
            400 | 422 => Class::Data,
            // RFC 9110, 15.5.14: content too large.
            413 => Class::TooLarge,
            // RFC 9110, 15.6.1: the server's own fault, of which the data may be the cause.
            500 => Class::Suspect,
            // gRPC, "HTTP to gRPC Status Code Mapping": 401, 403 and 404 are the token's and the
            // path's. So are 405, a redirect, and a page with 200: the address is wrong.
            _ => Class::Configuration,
        };
        let message = format!("HTTP {http} without a gRPC status");
        Self { class, code: "http", message, retry_after }
    }

    /// From a connection that was not made, or that broke during the call.
    pub(super) fn from_transport(error: &(dyn Error + 'static)) -> Self {
        let chain = || std::iter::successors(Some(error), |&error| error.source());
        let message = chain().map(ToString::to_string).collect::<Vec<_>>().join(": ");
        // tonic's channel reads our `grpc-timeout` and ends the call by a timer of its own: the
        // backend is slow, and its connection is well.
        if chain().any(|error| error.is::<TimeoutExpired>()) {
            return Self::late(one_line(&message));
        }
        // A name that does not resolve and a certificate that does not verify are settings.
        // gRPC over HTTP2, "Errors": a server that gives a call up, for its deadline or its own
        // end, resets that stream. The connection stands.
        let given_up = |error: &h2::Error| {
            let is_reset = error.is_reset() && error.is_remote();
            is_reset && matches!(error.reason(), Some(Reason::CANCEL | Reason::REFUSED_STREAM))
        };
        if chain().filter_map(|error| error.downcast_ref()).any(given_up) {
            let message = one_line(&message);
            return Self { class: Class::Now, code: "cancelled", message, retry_after: None };
        }
        let configuration =
            ["dns error", "certificate", "tls handshake"].iter().any(|text| message.contains(text));
        let unconnected = chain().any(|error| error.is::<ConnectError>());
        let class = match (configuration, unconnected) {
            (true, _) => Class::Configuration,
            (false, true) => Class::Now,
            (false, false) => Class::Broken,
        };
        Self { class, code: "connection", message: one_line(&message), retry_after: None }
    }

    /// From our own deadline for a call.
    pub(super) fn from_timeout(timeout: Duration) -> Self {
        Self::late(format!("no answer within {timeout:?}"))
    }

    fn late(message: String) -> Self {
        Self { class: Class::Now, code: "timeout", message, retry_after: None }
    }
}

/// The words of grpc-go, C-core and Java, and of tonic, for a message over the receiver's limit.
fn now_or_too_large(message: &str) -> Class {
    let sizes = ["larger than max", "exceeds maximum size", "message length too large"];
    if sizes.iter().any(|text| message.contains(text)) { Class::TooLarge } else { Class::Now }
}

/// Foreign words, made fit for a log line and a record header.
pub(super) fn one_line(text: &str) -> String {
    let printable = text.chars().map(|char| if char.is_control() { ' ' } else { char });
    printable.take(limits::BACKEND_MESSAGE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use tonic_types::ErrorDetails;

    use super::*;
    use crate::internal_telemetry::{FAILURE_CLASSES, RESPONSE_CODES};

    fn class(code: Code, message: &str) -> Class {
        Refusal::from_status(&Status::new(code, message)).class
    }

    /// Every gRPC code but OK has a class and a declared label.
    #[test]
    fn every_code_is_in_the_table() {
        for code in (1..=16).map(Code::from_i32) {
            let refusal = Refusal::from_status(&Status::new(code, ""));
            assert!(RESPONSE_CODES.contains(&refusal.code), "{code:?}");
            assert!(FAILURE_CLASSES.contains(&refusal.class.label()), "{code:?}");
        }
    }

    /// What OTLP calls retryable is retried, what somebody must configure is never the data's
    /// fault, and bad data is found at once.
    #[test]
    fn classes_of_grpc() {
        for code in [
            Code::Cancelled,
            Code::DeadlineExceeded,
            Code::Aborted,
            Code::OutOfRange,
            Code::Unavailable,
            Code::DataLoss,
            Code::ResourceExhausted,
        ] {
            assert_eq!(class(code, "busy"), Class::Now, "{code:?}");
        }
        for code in
            [Code::Unauthenticated, Code::PermissionDenied, Code::Unimplemented, Code::NotFound]
        {
            assert_eq!(class(code, ""), Class::Configuration, "{code:?}");
        }
        assert_eq!(class(Code::InvalidArgument, ""), Class::Data);
        assert_eq!(class(Code::Internal, ""), Class::Suspect);
    }

    /// The libraries' words for a message over the limit are told from "busy".
    #[test]
    fn too_large_is_recognised() {
        let go = "grpc: received message larger than max (4194305 vs. 4194304)";
        assert_eq!(class(Code::ResourceExhausted, go), Class::TooLarge);
        let tonic = "Error, decoded message length too large: found 9 bytes, the limit is: 4 bytes";
        assert_eq!(class(Code::OutOfRange, tonic), Class::TooLarge);
    }

    /// RetryInfo is read from the status details.
    #[test]
    fn retry_info_is_read() {
        let delay = Duration::from_millis(1500);
        let details = ErrorDetails::with_retry_info(Some(delay));
        let status = Status::with_error_details(Code::Unavailable, "busy", details);
        assert_eq!(Refusal::from_status(&status).retry_after, Some(delay));
    }

    /// HTTP answers without gRPC follow OTLP/HTTP; a page is a wrong address, not bad data.
    #[test]
    fn classes_of_http() {
        let class = |http| {
            Refusal::from_http(StatusCode::from_u16(http).expect("a valid status"), None).class
        };
        assert_eq!([429, 502, 503, 504].map(class), [Class::Now; 4]);
        assert_eq!([200, 301, 401, 403, 404, 405].map(class), [Class::Configuration; 6]);
        assert_eq!([400, 422].map(class), [Class::Data; 2]);
        assert_eq!([413, 500].map(class), [Class::TooLarge, Class::Suspect]);
    }

    /// What could not be reached, what is set wrongly and what broke on the way are told apart.
    #[test]
    fn classes_of_connections() {
        let class = |error: &(dyn Error + 'static)| Refusal::from_transport(error).class;
        let refused = || Box::new(std::io::Error::from(std::io::ErrorKind::ConnectionRefused));
        assert_eq!(class(&ConnectError(refused())), Class::Now);
        assert_eq!(class(&ConnectError("dns error: no such host".into())), Class::Configuration);
        let reset = std::io::Error::from(std::io::ErrorKind::ConnectionReset);
        assert_eq!(class(&reset), Class::Broken);
        assert_eq!(class(&TimeoutExpired(())), Class::Now, "slow is not broken");
    }

    /// Foreign words cannot break a log line or fill it.
    #[test]
    fn foreign_words_are_tamed() {
        let long = format!("line one\nline\u{1b}[31m two{}", "x".repeat(10_000));
        let tamed = one_line(&long);
        assert_eq!(tamed.chars().count(), limits::BACKEND_MESSAGE_CHARS_MAX);
        assert!(tamed.chars().all(|char| !char.is_control()));
    }
}
