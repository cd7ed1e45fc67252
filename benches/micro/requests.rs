//! Requests to measure with: spans of 14 fields and about 290 bytes, as an HTTP server writes them.

#[path = "../../src/otlp/tests/encode.rs"]
mod encode;

pub(crate) use encode::FieldOrder;
use encode::Message;

/// Spans of a request: an SDK's default batch.
pub(crate) const SPANS: usize = 512;

/// What a request looks like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Shape {
    /// As SDKs write (ascending), or as the Collector does.
    pub(crate) order: FieldOrder,
    /// Spans of a trace; they lie in a row.
    pub(crate) spans_per_trace: usize,
}

impl Shape {
    /// Both field orders, each with one trace, with traces of eight spans and with traces of one.
    pub(crate) fn all() -> impl Iterator<Item = Self> {
        [FieldOrder::Ascending, FieldOrder::Descending]
            .into_iter()
            .flat_map(|order| [SPANS, 8, 1].map(|spans_per_trace| Self { order, spans_per_trace }))
    }

    /// Its name in the report.
    pub(crate) fn name(self) -> String {
        let order = match self.order {
            FieldOrder::Ascending => "ascending",
            FieldOrder::Descending => "descending",
        };
        format!("{order}, {} traces", self.trace_count())
    }

    /// Traces in a request.
    pub(crate) fn trace_count(self) -> usize {
        SPANS / self.spans_per_trace
    }

    /// An ExportTraceServiceRequest of one Resource and one scope.
    pub(crate) fn request(self) -> Vec<u8> {
        let spans = (0..SPANS).map(|index| span(index / self.spans_per_trace, index));
        let scope = Message::new().bytes(1, "io.opentelemetry.http").bytes(2, "2.1.0");
        let scope_spans = Message::new().message(1, scope).messages(2, spans);
        let resource = Message::new().messages(
            1,
            [attribute("service.name", "checkout"), attribute("service.version", "1.4.2")],
        );
        let resource_spans = Message::new().message(1, resource).message(2, scope_spans);
        Message::new().message(1, resource_spans).encode(self.order)
    }
}

fn span(trace: usize, index: usize) -> Message {
    Message::new()
        .bytes(1, trace_id(trace))
        .bytes(2, (index as u64 + 1).to_be_bytes())
        .bytes(4, [7; 8])
        .bytes(5, "GET /cart/{cartId}/items")
        .varint(6, 2)
        .fixed64(7, 1_700_000_000_000_000_000)
        .fixed64(8, 1_700_000_000_004_200_000)
        .messages(
            9,
            [
                attribute("http.request.method", "GET"),
                attribute("http.route", "/cart/{cartId}/items"),
                attribute("server.address", "cart.shop.svc"),
                attribute("user_agent.original", "okhttp/4.12.0"),
                attribute("network.protocol.version", "1.1"),
            ],
        )
        .message(15, Message::new().varint(3, 1))
        .fixed32(16, 1)
}

/// Spread over all bits, as real ids are.
pub(crate) fn trace_id(trace: usize) -> [u8; 16] {
    let spread = (trace as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
    spread.to_be_bytes()
}

fn attribute(key: &str, value: &str) -> Message {
    Message::new().bytes(1, key).message(2, Message::new().bytes(1, value))
}
