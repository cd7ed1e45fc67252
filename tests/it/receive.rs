//! Every answer of the OTLP port, to clients that behave and to clients that do not.

use std::io::Write;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::span::Link;
use prost::Message;
use tonic::Code;

use crate::support::{
    mock_kafka::MockKafka,
    otlp_client::{EXPORT, Reply, framed},
    pipeline::Pipeline,
    receiving::{PARTITIONS, TOPIC, start_with},
    spans::{message, nested, request, span, trace},
};

fn start() -> (MockKafka, Pipeline) {
    start_with(&[])
}

fn assert_ok(reply: &Reply) {
    assert_eq!(reply.code(), Code::Ok, "{:?}", reply.status);
    assert_eq!(reply.partial_success(), None);
}

/// An empty request, and one without spans, are OK and produce nothing.
#[test]
fn nothing_to_publish_is_ok() {
    let (kafka, pipeline) = start();
    let client = pipeline.client();
    for body in [Vec::new(), request(Vec::new())] {
        let reply = client.export(&body);
        assert_ok(&reply);
        assert!(reply.message.is_empty());
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 0);
}

/// A good request is OK with every span in Kafka under its trace's key, and not before.
#[test]
fn good_spans_are_acknowledged() {
    let (kafka, pipeline) = start();
    let spans = [trace(1, 3), trace(2, 2)].concat();
    assert_ok(&pipeline.client().export(&request(spans)));
    let records = kafka.records(TOPIC, PARTITIONS);
    let mut found: Vec<(String, usize)> = records
        .iter()
        .map(|record| {
            let value =
                ExportTraceServiceRequest::decode(record.value.as_deref().unwrap()).unwrap();
            let spans = &value.resource_spans[0].scope_spans[0].spans;
            (String::from_utf8(record.key.clone().unwrap()).unwrap(), spans.len())
        })
        .collect();
    found.sort();
    assert_eq!(found, [("02".repeat(16), 3), ("03".repeat(16), 2)]);
}

/// Each kind of bad span is rejected by number and reason; the good one beside it is delivered.
#[test]
fn bad_spans_are_rejected_and_good_ones_delivered() {
    let (kafka, pipeline) = start_with(&[("KAFKA_RECORD_BYTES_MAX", "64KiB")]);
    let client = pipeline.client();
    let good = || span(1, 0);
    let bad = |change: fn(&mut opentelemetry_proto::tonic::trace::v1::Span)| {
        let mut span = span(2, 0);
        change(&mut span);
        span
    };
    let link = Link { trace_id: vec![1; 15], span_id: vec![1; 8], ..Link::default() };
    let mut linked = span(2, 0);
    linked.links = vec![link];
    let cases = [
        ("trace_id", bad(|span| span.trace_id = vec![7; 15])),
        ("trace_id", bad(|span| span.trace_id = vec![0; 16])),
        ("span_id", bad(|span| span.span_id = vec![7; 9])),
        ("span_id", bad(|span| span.span_id = vec![0; 8])),
        ("parent_span_id", bad(|span| span.parent_span_id = vec![7; 3])),
        ("link", linked),
        ("deep", bad(|span| span.attributes = vec![nested(65)])),
        ("limit", bad(|span| span.name = "x".repeat(70_000))),
    ];
    for (number, (word, bad)) in cases.into_iter().enumerate() {
        let reply = client.export(&request(vec![bad, good()]));
        assert_eq!(reply.code(), Code::Ok, "{word}: {:?}", reply.status);
        let (rejected, why) = reply.partial_success().expect(word);
        assert_eq!(rejected, 1, "{word}");
        assert!(why.contains(word), "{word}: {why}");
        assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), number + 1, "{word}");
    }
}

/// A Resource or scope nested too deep takes every span beneath it along.
#[test]
fn deep_resource_rejects_what_it_holds() {
    let (kafka, pipeline) = start();
    let client = pipeline.client();
    let mut deep_resource = message(trace(1, 3));
    let resource = deep_resource.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes.push(nested(65));
    let mut deep_scope = message(trace(1, 2));
    let scope = deep_scope.resource_spans[0].scope_spans[0].scope.as_mut().unwrap();
    scope.attributes.push(nested(65));
    for (message, rejected) in [(deep_resource, 3), (deep_scope, 2)] {
        let reply = client.export(&message.encode_to_vec());
        assert_eq!(reply.code(), Code::Ok);
        assert_eq!(reply.partial_success().unwrap().0, rejected);
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 0);
}

/// Bytes that are not a request are INVALID_ARGUMENT, and nothing of them is produced.
#[test]
fn malformed_is_invalid_argument() {
    let (kafka, pipeline) = start();
    let client = pipeline.client();
    let good = request(trace(1, 2));
    let group_without_end = [&good[..], &[0x3b]].concat();
    let wrong_wire_type = [&good[..], &[0x08, 0x01]].concat();
    for body in [
        b"{\"json\": 1}".to_vec(),
        good[..good.len() - 3].to_vec(),
        group_without_end,
        wrong_wire_type,
    ] {
        let reply = client.export(&body);
        assert_eq!(reply.code(), Code::InvalidArgument, "{:?}", reply.status);
        assert_eq!(reply.retry_delay(), None);
    }
    for body in [
        Vec::new(),
        vec![0, 0, 0],
        framed(0, &good)[..40].to_vec(),
        [framed(0, &good), vec![0]].concat(),
        framed(2, &good),
    ] {
        let reply = client.call(EXPORT, &[], body);
        assert_eq!(reply.code(), Code::InvalidArgument, "{:?}", reply.status);
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 0);
    assert_eq!(pipeline.metric("otel_pipeline_receive_requests_total{outcome=\"invalid\"}"), 9.0);
}

/// gzip and zstd are inflated; a flag without an encoding, or the reverse, means what gRPC says.
#[test]
fn compressed_requests_are_inflated() {
    let (kafka, pipeline) = start();
    let client = pipeline.client();
    let plain = request(trace(1, 20));
    let gzip = gzip(&plain);
    let zstd = zstd::encode_all(plain.as_slice(), 3).unwrap();
    assert_ok(&client.call(EXPORT, &[("grpc-encoding", "gzip")], framed(1, &gzip)));
    assert_ok(&client.call(EXPORT, &[("grpc-encoding", "zstd")], framed(1, &zstd)));
    assert_ok(&client.call(EXPORT, &[("grpc-encoding", "gzip")], framed(0, &plain)));
    let records = kafka.records(TOPIC, PARTITIONS);
    assert_eq!(records.len(), 3);
    assert!(
        records.iter().all(|record| record.value.as_ref() == Some(&plain)),
        "one trace passes untouched"
    );
    let broken = client.call(EXPORT, &[("grpc-encoding", "gzip")], framed(1, &plain));
    assert_eq!(broken.code(), Code::InvalidArgument);
}

/// Too large, on the wire or only when inflated, is RESOURCE_EXHAUSTED and not worth a retry.
#[test]
fn too_large_is_resource_exhausted() {
    let (kafka, pipeline) = start_with(&[("OTLP_REQUEST_BYTES_MAX", "1MiB")]);
    let client = pipeline.client();
    let mut large = span(1, 0);
    large.name = "x".repeat(2 << 20);
    let large = request(vec![large]);
    let gzip = framed(1, &gzip(&large));
    for reply in [client.export(&large), client.call(EXPORT, &[("grpc-encoding", "gzip")], gzip)] {
        assert_eq!(reply.code(), Code::ResourceExhausted, "{:?}", reply.status);
        assert_eq!(reply.retry_delay(), None);
    }
    assert_eq!(kafka.records(TOPIC, PARTITIONS).len(), 0);
    assert_ok(&client.export(&request(trace(1, 1))));
}

/// A Resource that its many traces would repeat beyond reason costs no more than the budget.
#[test]
fn repeated_headers_are_bounded() {
    let (kafka, pipeline) = start_with(&[("KAFKA_RECORD_BYTES_MAX", "900KiB")]);
    let mut message = message((0..200).map(|number| span(number, 0)).collect());
    let resource = message.resource_spans[0].resource.as_mut().unwrap();
    resource.attributes.push(crate::support::spans::attribute("large", &"x".repeat(100_000)));
    assert_ok(&pipeline.client().export(&message.encode_to_vec()));
    let records = kafka.records(TOPIC, PARTITIONS);
    assert!(records.len() <= 4, "one record per partition, not {}", records.len());
    assert!(records.iter().all(|record| record.key.is_none()));
    assert_eq!(pipeline.metric("otel_pipeline_publish_header_fallbacks_total"), 1.0);
}

/// Without room in the budget: UNAVAILABLE with RetryInfo, and room again when it is quiet.
#[test]
fn short_budget_is_unavailable() {
    let settings = [("OTLP_BYTES_IN_FLIGHT_MAX", "2MiB"), ("OTLP_REQUEST_BYTES_MAX", "512KiB")];
    let (_kafka, pipeline) =
        start_with(&[&settings[..], &[("KAFKA_RECORD_BYTES_MAX", "450KiB")]].concat());
    let client = pipeline.client();
    let mut large = span(1, 0);
    large.name = "x".repeat(400_000);
    let body = framed(0, &request(vec![large]));
    let replies = client.export_all(vec![body; 12]);
    let (taken, refused): (Vec<_>, Vec<_>) =
        replies.iter().partition(|reply| reply.code() == Code::Ok);
    assert!(!taken.is_empty() && !refused.is_empty(), "{} taken", taken.len());
    for reply in refused {
        assert_eq!(reply.code(), Code::Unavailable, "{:?}", reply.status);
        assert!(reply.retry_delay().is_some());
    }
    assert_ok(&client.export(&request(trace(1, 1))));
    let idle = pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_bytes_in_flight 0\n")
    });
    assert!(idle.contains("otel_pipeline_receive_refusals_total{reason=\"connection_budget\"}"));
}

/// Without a broker there is no OK and no readiness; with one again, both come back by themselves.
#[test]
fn unreachable_broker_is_unavailable() {
    let kafka = MockKafka::start(&[TOPIC], PARTITIONS);
    kafka.down();
    let brokers = kafka.brokers();
    let pipeline = Pipeline::start_unready(&[("KAFKA_BROKERS", &brokers)]);
    let (status, _) = pipeline.page("/readyz");
    assert_eq!(status, 503);
    assert_eq!(pipeline.page("/healthz").0, 200);
    let client = pipeline.client();
    let reply = client.export(&request(trace(1, 1)));
    assert_eq!(reply.code(), Code::Unavailable);
    assert!(reply.retry_delay().is_some());
    kafka.up();
    pipeline.await_ready();
    assert_ok(&client.export(&request(trace(1, 1))));
}

/// Bad spans beside good ones that Kafka refuses: UNAVAILABLE, the rejections wait for an OK.
#[test]
fn delivery_failure_outranks_rejections() {
    let (kafka, pipeline) = start();
    kafka.refuse_produce(1);
    let mut bad = span(2, 0);
    bad.trace_id = vec![1];
    let body = request(vec![span(1, 0), bad]);
    let reply = pipeline.client().export(&body);
    assert_eq!(reply.code(), Code::Unavailable, "{:?}", reply.status);
    assert!(reply.retry_delay().is_some());
    assert_eq!(pipeline.metric("otel_pipeline_publish_spans_total{outcome=\"rejected\"}"), 0.0);
    let again = pipeline.client().export(&body);
    assert_eq!(again.partial_success().unwrap().0, 1);
}

/// A deadline of the client's ends in DEADLINE_EXCEEDED while the broker is silent. Without one, or
/// with a later one than ours, there is an answer all the same: the records are given up before our
/// deadline, and a request that is not whole by then is DEADLINE_EXCEEDED.
#[test]
fn deadlines_are_kept() {
    // Some seconds after a record's own, also on a busy machine.
    let (kafka, pipeline) = start_with(&[("OTLP_REPLY_DEADLINE", "14s")]);
    let client = pipeline.client();
    assert_ok(&client.export(&request(trace(1, 1))));
    let body = framed(0, &request(trace(1, 1)));
    let reply = client.stall(&[("grpc-timeout", "1H")], body[..20].to_vec());
    assert_eq!(reply.code(), Code::DeadlineExceeded, "{:?}", reply.status);
    kafka.delay(std::time::Duration::from_secs(120));
    let reply = client.call(EXPORT, &[("grpc-timeout", "200m")], body.clone());
    assert_eq!(reply.code(), Code::DeadlineExceeded, "{:?}", reply.status);
    // Both at once: ten seconds later the topic counts as unusable.
    let replies = std::thread::scope(|scope| {
        let call = |headers| {
            let (client, body) = (pipeline.client(), body.clone());
            scope.spawn(move || client.call(EXPORT, headers, body))
        };
        [call(&[]), call(&[("grpc-timeout", "1H")])].map(|reply| reply.join().unwrap())
    });
    for reply in replies {
        assert_eq!(reply.code(), Code::Unavailable, "{:?}", reply.status);
        assert!(reply.retry_delay().is_some());
        assert!(reply.status.message().ends_with("timed_out"), "{:?}", reply.status);
    }
    let outcome = "otel_pipeline_receive_requests_total{outcome=\"timed_out\"}";
    assert_eq!(pipeline.metric(outcome), 2.0);
}

/// Unknown methods and encodings are UNIMPLEMENTED, with the encodings there are.
#[test]
fn unknown_is_unimplemented() {
    let (_kafka, pipeline) = start();
    let client = pipeline.client();
    let body = framed(0, &request(trace(1, 1)));
    let metrics = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
    let encoding = client.call(EXPORT, &[("grpc-encoding", "snappy")], body.clone());
    for reply in [client.call(metrics, &[], body), encoding] {
        assert_eq!(reply.code(), Code::Unimplemented, "{:?}", reply.status);
        assert_eq!(reply.headers["grpc-accept-encoding"], "identity,gzip,zstd");
    }
}

/// `grpc.health.v1.Health/Check` tells what `/readyz` tells.
#[test]
fn health_check_follows_readiness() {
    let (_kafka, pipeline) = start();
    let client = pipeline.client();
    let service = b"\x0a\x33opentelemetry.proto.collector.trace.v1.TraceService";
    for (request, code, serving) in [
        (&b""[..], Code::Ok, &[0x08, 0x01][..]),
        (&service[..], Code::Ok, &[0x08, 0x01]),
        (b"\x0a\x04none", Code::NotFound, &[]),
    ] {
        let reply = client.call("/grpc.health.v1.Health/Check", &[], framed(0, request));
        assert_eq!(reply.code(), code, "{:?}", reply.status);
        assert_eq!(&reply.message[..], serving);
    }
}

/// Whatever was sent, requests and spans received are all accounted for.
#[test]
fn counters_reconcile() {
    let (kafka, pipeline) = start();
    let client = pipeline.client();
    let mut bad = span(2, 0);
    bad.span_id = vec![1];
    client.export(&request(trace(1, 3)));
    client.export(&request(vec![span(1, 0), bad]));
    client.export(b"not protobuf");
    client.call("/unknown", &[], framed(0, b""));
    client.call(EXPORT, &[("grpc-encoding", "snappy")], framed(0, b""));
    kafka.refuse_produce(1);
    client.export(&request(trace(1, 4)));
    client.abandon(framed(0, &request(trace(1, 5)))[..50].to_vec());
    let text = pipeline.await_page("/metrics", |_, text| {
        text.contains("otel_pipeline_receive_requests_in_flight 0\n")
            && text.contains("otel_pipeline_publish_spans_in_flight 0\n")
    });
    let sum = |prefix: &str| -> f64 {
        let samples = text.lines().filter(|line| line.starts_with(prefix));
        samples.map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap()).sum()
    };
    assert_eq!(sum("otel_pipeline_receive_requests_received_total "), 6.0);
    assert_eq!(sum("otel_pipeline_receive_requests_total{"), 6.0);
    for outcome in ["acknowledged", "invalid", "unimplemented", "failed", "cancelled"] {
        let sample = format!("otel_pipeline_receive_requests_total{{outcome=\"{outcome}\"}} ");
        assert!(sum(&sample) >= 1.0, "{outcome}");
    }
    assert_eq!(sum("otel_pipeline_publish_spans_received_total "), 9.0);
    assert_eq!(sum("otel_pipeline_publish_spans_total{"), 9.0);
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
