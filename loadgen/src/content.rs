//! What spans say: the Resource, the scope, and spans of three profiles, each of an exact size.
//!
//! Pure. A figure means little without the spans it was measured with, so the profiles are fixed:
//! their sizes and numbers of attributes are those of published trace benchmarks.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, SpanKind};
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};

use crate::checksum::CHECKSUM_KEY;
use crate::ids::mix;
use crate::payload::Shape;

/// The Resource attribute that tells the sink how traces are cut out of the sequence numbers.
pub(crate) const SPANS_PER_TRACE_KEY: &str = "loadgen.spans_per_trace";

/// A kind of span, named by its size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Profile {
    /// 260 B with 4 attributes, as a small service makes
    Small,
    /// 800 B with 12 attributes, as HTTP instrumentation makes
    Std,
    /// 4 KB with 40 attributes and 2 events, as a generous developer makes
    Fat,
}

/// A size that a profile cannot have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct TooSmall {
    /// Bytes of a span without filler.
    pub(crate) least: usize,
}

impl Profile {
    /// The profile for spans of this size: the largest that is no larger, or the smallest.
    pub(crate) fn fitting(span_bytes: usize) -> Self {
        [Self::Fat, Self::Std]
            .into_iter()
            .find(|profile| profile.span_bytes() <= span_bytes)
            .unwrap_or(Self::Small)
    }

    /// Size of a span within its request, where no other is asked for.
    pub(crate) fn span_bytes(self) -> usize {
        match self {
            Self::Small => 260,
            Self::Std => 800,
            Self::Fat => 4096,
        }
    }

    /// Attributes of a span, the checksum and the filler among them.
    fn attributes(self) -> usize {
        match self {
            Self::Small => 4,
            Self::Std => 12,
            Self::Fat => 40,
        }
    }

    fn events(self) -> usize {
        match self {
            Self::Small | Self::Std => 0,
            Self::Fat => 2,
        }
    }
}

/// The Resource of every request of `shape`, without spans.
pub(crate) fn resource_spans(shape: &Shape) -> ResourceSpans {
    let attributes = vec![
        text("service.name", "loadgen"),
        text("service.version", env!("CARGO_PKG_VERSION")),
        text("service.instance.id", &shape.run.to_string()),
        attribute(SPANS_PER_TRACE_KEY, Value::IntValue(i64::from(shape.spans_per_trace))),
    ];
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: Vec::new(),
        schema_url: SCHEMA_URL.to_owned(),
    }
}

/// The scope of every request, without spans.
pub(crate) fn scope_spans() -> ScopeSpans {
    let scope = InstrumentationScope {
        name: "loadgen".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        ..InstrumentationScope::default()
    };
    ScopeSpans { scope: Some(scope), spans: Vec::new(), schema_url: SCHEMA_URL.to_owned() }
}

/// The span at `index` of a request of `shape`, of the size asked for, with placeholders where it
/// is patched.
pub(crate) fn sized_span(shape: &Shape, index: u32) -> Result<Span, TooSmall> {
    let seed = mix(shape.seed ^ mix(u64::from(index)));
    let (method, route) = OPERATIONS[index as usize % OPERATIONS.len()];
    let mut span = Span {
        trace_id: vec![1; 16],
        span_id: vec![1; 8],
        parent_span_id: vec![1; 8],
        name: format!("{method} {route}"),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: 1,
        end_time_unix_nano: 1 + SPAN_DURATION_NANOS,
        attributes: attributes(shape.profile, method, route, seed),
        events: (0..shape.profile.events()).map(|number| event(seed, number)).collect(),
        ..Span::default()
    };
    let least = framed_bytes(&span);
    if least > shape.span_bytes {
        return Err(TooSmall { least });
    }
    let mut filler_bytes = shape.span_bytes - least;
    loop {
        let filler = text(FILLER_KEY, &letters(seed, filler_bytes));
        *span.attributes.last_mut().expect("a span has attributes") = filler;
        // Lengths grow by a byte or two with the filler; the span is never larger than asked for.
        match framed_bytes(&span).saturating_sub(shape.span_bytes) {
            0 => return Ok(span),
            excess => filler_bytes = filler_bytes.saturating_sub(excess),
        }
    }
}

/// A string attribute.
pub(crate) fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Value::StringValue(value.to_owned()))
}

/// The size of a span within its scope: tag, length and content.
pub(crate) fn framed_bytes(span: &Span) -> usize {
    use prost::Message as _;
    let content = span.encoded_len();
    1 + prost::length_delimiter_len(content) + content
}

/// As many attributes as the profile has: what HTTP instrumentation sets, then an application's
/// own, then the checksum and the filler.
fn attributes(profile: Profile, method: &str, route: &str, seed: u64) -> Vec<KeyValue> {
    let http = [
        text("http.request.method", method),
        text("http.route", route),
        attribute("http.response.status_code", Value::IntValue(200)),
        text("server.address", "shop.example.com"),
        attribute("server.port", Value::IntValue(443)),
        text("url.scheme", "https"),
        text("url.path", &format!("/shop/{}", letters(seed, 16))),
        text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64) Gecko/20100101"),
        text("client.address", "203.0.113.77"),
        text("network.protocol.version", "2"),
    ];
    let own = (0..).map(|number| {
        text(&format!("app.field.{number:02}"), &letters(mix(seed ^ number), OWN_VALUE_BYTES))
    });
    let mut attributes: Vec<_> =
        http.into_iter().chain(own).take(profile.attributes() - 2).collect();
    attributes.push(text(CHECKSUM_KEY, &"0".repeat(16)));
    attributes.push(text(FILLER_KEY, ""));
    attributes
}

fn event(seed: u64, number: usize) -> Event {
    Event {
        name: "exception".to_owned(),
        attributes: vec![
            text("exception.type", "TimeoutError"),
            text("exception.message", &letters(mix(seed ^ !(number as u64)), OWN_VALUE_BYTES)),
        ],
        ..Event::default()
    }
}

/// Letters and digits that look random: a filler of one letter would compress to nothing.
fn letters(seed: u64, bytes: usize) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    (0..bytes as u64)
        .map(|at| char::from(ALPHABET[mix(seed.wrapping_add(at)) as usize % ALPHABET.len()]))
        .collect()
}

fn attribute(key: &str, value: Value) -> KeyValue {
    let value = Some(AnyValue { value: Some(value) });
    KeyValue { key: key.to_owned(), value, ..KeyValue::default() }
}

/// Where the spans' content ends up when its size is chosen: the last attribute.
const FILLER_KEY: &str = "loadgen.filler";
/// Of every span.
pub(crate) const SPAN_DURATION_NANOS: u64 = 1_000_000;
const SCHEMA_URL: &str = "https://opentelemetry.io/schemas/1.37.0";
const OPERATIONS: [(&str, &str); 4] =
    [("GET", "/items"), ("GET", "/items/{id}"), ("POST", "/orders"), ("PUT", "/carts/{id}")];
/// Values of an application's own attributes: identifiers and short texts.
const OWN_VALUE_BYTES: usize = 60;

#[cfg(test)]
mod tests {
    use super::{Profile, TooSmall, framed_bytes, sized_span};
    use crate::ids::RunId;
    use crate::payload::Shape;

    /// Each profile has its size, its attributes and its events; a size asked for is kept to
    /// within the two bytes by which lengths jump.
    #[test]
    fn profiles_are_what_they_say() {
        let profiles =
            [(Profile::Small, 260, 4, 0), (Profile::Std, 800, 12, 0), (Profile::Fat, 4096, 40, 2)];
        for (profile, bytes, attributes, events) in profiles {
            let shape = Shape::of(RunId(1), profile);
            assert_eq!(shape.span_bytes, bytes);
            let span = sized_span(&shape, 0).unwrap();
            assert_eq!((span.attributes.len(), span.events.len()), (attributes, events));
            for span_bytes in [bytes, bytes + 77, bytes + 78, 70_000] {
                for index in 0..8 {
                    let span = sized_span(&Shape { span_bytes, ..shape }, index).unwrap();
                    let size = framed_bytes(&span);
                    assert!((span_bytes - 2..=span_bytes).contains(&size), "{span_bytes}: {size}");
                }
            }
        }
    }

    /// A size chooses its profile; one that no profile can have is refused with the least.
    #[test]
    fn sizes_choose_their_profile() {
        let fitting = [(1, Profile::Small), (799, Profile::Small), (800, Profile::Std)];
        for (bytes, profile) in fitting.into_iter().chain([(5_000, Profile::Fat)]) {
            assert_eq!(Profile::fitting(bytes), profile);
        }
        let shape = Shape { span_bytes: 10, ..Shape::of(RunId(1), Profile::Small) };
        assert!(matches!(sized_span(&shape, 0), Err(TooSmall { least: 100..=260 })));
    }

    /// A seed chooses the content: the same one the same, another one another.
    #[test]
    fn seeds_choose_content() {
        let shape = Shape::of(RunId(1), Profile::Std);
        assert_eq!(sized_span(&shape, 3), sized_span(&shape, 3));
        assert_ne!(sized_span(&shape, 3), sized_span(&Shape { seed: 9, ..shape }, 3));
    }
}
