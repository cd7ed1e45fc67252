//! What differs between OpenTelemetry's signals: one row each, so that no signal needs a copy of
//! the code. Traces are the only one the product carries.

/// A signal's names on the wire and in Kafka.
#[derive(Clone, Copy, Debug)]
pub struct Signal {
    /// The gRPC service that receives it, and the service that health checks may name.
    pub grpc_service: &'static str,
    /// The path of the service's one method.
    pub grpc_export_path: &'static str,
    /// The Kafka topic, unless configured otherwise.
    pub topic_default: &'static str,
}

/// Traces: `opentelemetry/proto/collector/trace/v1/trace_service.proto`.
pub const TRACES: Signal = Signal {
    grpc_service: "opentelemetry.proto.collector.trace.v1.TraceService",
    grpc_export_path: "/opentelemetry.proto.collector.trace.v1.TraceService/Export",
    topic_default: "otel.traces",
};
