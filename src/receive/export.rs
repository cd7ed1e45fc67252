//! One export request from its headers to its reply. A task on the connection's runtime.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Sender, TrySendError};
use h2::RecvStream;
use http::{HeaderMap, Response};
use tokio::time::timeout_at;

use super::{
    admission::Admission,
    body,
    message::BodyError,
    reply::ReplyQueue,
    status::{self, Reply},
    stream::Stream,
};
use crate::{
    internal_telemetry::{Recorder, Stage, Telemetry},
    publish::{Answer, Budget, Charge, Encoding, Failure, Request, Spans},
};

/// What every export request on one runtime shares.
pub(super) struct Export {
    pub(super) admission: Arc<Admission>,
    pub(super) replies: Arc<ReplyQueue>,
    pub(super) workers: Vec<Sender<Request>>,
    /// The worker whose turn is next.
    pub(super) turn: AtomicUsize,
    pub(super) request_bytes_max: usize,
    pub(super) reply_deadline: Duration,
    pub(super) telemetry: Arc<Telemetry>,
    pub(super) recorder: Recorder,
}

impl Export {
    /// Lets a request in by its headers, with its least charge, or gives the refusal. Every path
    /// from here ends in exactly one counted outcome.
    pub(super) fn admit(
        export: &Arc<Self>,
        headers: &HeaderMap,
        share: &Arc<Budget>,
    ) -> Result<OpenRequest, Response<()>> {
        let mut count = Count::begin(export);
        let Some(encoding) = encoding(headers) else {
            count.outcome = "unimplemented";
            return Err(status::unimplemented("this grpc-encoding is not supported"));
        };
        match export.admission.admit(share) {
            Ok(charge) => {
                let deadline = count.received + allowed(headers).min(export.reply_deadline);
                Ok(OpenRequest { count, encoding, charge, deadline })
            }
            Err(failure) => Err(count.settle(unavailable(failure)).head),
        }
    }

    /// Reads the message, hands it to a worker, waits for the answer.
    ///
    /// An error is an answer for which no charge has to wait.
    async fn exchange(
        &self,
        body: &mut RecvStream,
        encoding: Encoding,
        mut charge: Charge,
        deadline: Instant,
    ) -> Result<(Answer, Charge), Answer> {
        let message =
            body::read(body, self.request_bytes_max, |bytes| charge.resize_arriving(bytes))
                .await
                .map_err(|error| refuse(&error))?;
        self.telemetry.receive.bytes.inc_by(message.bytes as u64);
        if message.bytes == 0 && !message.compressed {
            // "The server SHOULD respond with success" to an empty request: nothing to publish.
            return Ok((Answer::Acknowledged(Spans::default()), charge));
        }
        charge.arrived();
        let (reply, answered) = self.replies.slot();
        let encoding = if message.compressed { encoding } else { Encoding::Identity };
        let request = Request {
            frames: message.frames,
            encoding,
            queued: Instant::now(),
            deadline,
            charge,
            reply,
        };
        self.hand_over(request).map_err(unavailable)?;
        // A slot dropped without an answer was lost by a defect of ours: never an OK.
        answered.await.map_err(|_| unavailable(Failure::Abandoned))
    }

    /// Gives the request to the next worker that has room.
    fn hand_over(&self, mut request: Request) -> Result<(), Failure> {
        let turn = self.turn.fetch_add(1, Ordering::Relaxed);
        let mut failure = Failure::ShuttingDown;
        for offset in 0..self.workers.len() {
            let worker = &self.workers[(turn + offset) % self.workers.len()];
            request = match worker.try_send(request) {
                Ok(()) => return Ok(()),
                Err(TrySendError::Full(request)) => {
                    failure = Failure::QueueFull;
                    request
                }
                Err(TrySendError::Disconnected(request)) => request,
            };
        }
        Err(failure)
    }
}

/// A request that was let in.
pub(super) struct OpenRequest {
    count: Count,
    encoding: Encoding,
    charge: Charge,
    deadline: Instant,
}

impl OpenRequest {
    /// Reads the message, has it published and replies; everything it held is given back then.
    /// Returns the body, of which something may be left.
    pub(super) async fn serve(self, mut stream: Stream) -> RecvStream {
        let Self { mut count, encoding, charge, deadline } = self;
        let export = Arc::clone(&count.export);
        let answered = tokio::select! {
            biased;
            answered = timeout_at(
                deadline.into(),
                export.exchange(&mut stream.body, encoding, charge, deadline),
            ) => answered,
            // What was handed to a worker is published all the same.
            () = Stream::abandoned(&mut stream.respond) => return stream.body,
        };
        // The charge goes back when this returns, with the reply written.
        let (answer, _charge) = match answered {
            Ok(Ok((answer, charge))) => (answer, Some(charge)),
            Ok(Err(answer)) => (answer, None),
            Err(_elapsed) => (Answer::TimedOut, None),
        };
        let reply = count.settle(answer);
        stream.reply(reply, deadline).await;
        stream.body
    }
}

/// Counts a request in, and out again on whichever path it ends.
struct Count {
    export: Arc<Export>,
    received: Instant,
    outcome: &'static str,
}

impl Count {
    fn begin(export: &Arc<Export>) -> Self {
        export.telemetry.receive.requests_received.inc();
        export.telemetry.receive.requests_in_flight.inc();
        // What remains when the client goes away and the task is dropped.
        Self { export: Arc::clone(export), received: Instant::now(), outcome: "cancelled" }
    }

    /// Notes the answer and gives it as gRPC says it.
    fn settle(&mut self, answer: Answer) -> Reply {
        if let Answer::Unavailable { failure, .. } = &answer
            && let Some(reason) = status::refusal(*failure)
        {
            self.export.telemetry.receive.refusals.with_label_values(&[reason]).inc();
        }
        let (reply, outcome) = status::reply(answer);
        self.outcome = outcome;
        self.export.recorder.record(Stage::ReceiveToReply, self.received.elapsed());
        reply
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        let metrics = &self.export.telemetry.receive;
        // In this order: whoever sees none in flight sees what became of each.
        metrics.requests.with_label_values(&[self.outcome]).inc();
        metrics.requests_in_flight.dec();
    }
}

fn unavailable(failure: Failure) -> Answer {
    Answer::Unavailable { failure, spans: Spans::default() }
}

fn refuse(error: &BodyError) -> Answer {
    match error {
        BodyError::Framing(_) => Answer::Malformed(error.to_string()),
        BodyError::TooLarge { .. } => Answer::TooLarge(error.to_string()),
        BodyError::Short(short) => unavailable(Failure::Budget(*short)),
        BodyError::Broken => Answer::Cancelled,
    }
}

/// `grpc-encoding`; `None` when it is one we do not know.
fn encoding(headers: &HeaderMap) -> Option<Encoding> {
    match headers.get("grpc-encoding").map(|value| value.as_bytes()) {
        None | Some(b"identity") => Some(Encoding::Identity),
        Some(b"gzip") => Some(Encoding::Gzip),
        Some(b"zstd") => Some(Encoding::Zstd),
        Some(_) => None,
    }
}

/// `grpc-timeout`; [`Duration::MAX`] when there is none or it is not understood.
fn allowed(headers: &HeaderMap) -> Duration {
    let timeout = headers.get("grpc-timeout").and_then(|value| value.to_str().ok());
    timeout.and_then(parse_timeout).unwrap_or(Duration::MAX)
}

/// gRPC over HTTP/2, "Timeout": at most eight digits and a unit.
fn parse_timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    if digits.is_empty() || digits.len() > 8 || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    let value: u64 = digits.parse().ok()?;
    match unit {
        "H" => Some(Duration::from_secs(value * 3600)),
        "M" => Some(Duration::from_secs(value * 60)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every unit of the gRPC specification is read, and nothing else is.
    #[test]
    fn timeouts() {
        assert_eq!(parse_timeout("1H"), Some(Duration::from_secs(3600)));
        assert_eq!(parse_timeout("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parse_timeout("10S"), Some(Duration::from_secs(10)));
        assert_eq!(parse_timeout("99999999m"), Some(Duration::from_millis(99_999_999)));
        assert_eq!(parse_timeout("5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse_timeout("7n"), Some(Duration::from_nanos(7)));
        for text in ["", "S", "-1S", "+1S", "1", "1s", "123456789S", "1 S", "µS"] {
            assert_eq!(parse_timeout(text), None, "{text:?}");
        }
    }
}
