//! Settings of every kind: taken, refused, and at odds with each other.

/// Name, and the variables and flags as the oracle of the settings reads them; `\u{1}` stands for a
/// word that is looked for.
type Seed = (&'static str, Vec<&'static str>);

/// All of them.
pub(super) fn settings() -> Vec<Seed> {
    [receiving(), brokers(), overrides(), forwarding()].concat()
}

/// The process, and what it receives and publishes.
fn receiving() -> Vec<Seed> {
    vec![
        ("none", vec![]),
        ("process", vec!["ROLE=receive", "INSTANCE=pod-0", "LISTEN_ADDRESS=::", "PINNING=off"]),
        ("ports", vec!["GRPC_PORT=0", "--HTTP_PORT=0", "GRPC_PORT=tcp://10.0.0.1:80"]),
        ("ports-clash", vec!["GRPC_PORT=8080"]),
        ("receive", vec!["OTLP_REQUEST_BYTES_MAX=4MiB", "OTLP_BYTES_IN_FLIGHT_MAX=16777216"]),
        (
            "connections",
            vec![
                "OTLP_CONNECTIONS_MAX=2",
                "OTLP_CONNECTIONS_PER_PEER_MAX=+1",
                "OTLP_CONNECTION_AGE_MAX=1m30s",
                "OTLP_STREAMS_MAX=7",
                "OTLP_REPLY_DEADLINE=9s500us",
            ],
        ),
        ("request-over-share", vec!["OTLP_REQUEST_BYTES_MAX=1GiB"]),
        (
            "records",
            vec![
                "KAFKA_RECORD_MODE=partition",
                "KAFKA_RECORD_BYTES_MAX=4KiB",
                "KAFKA_PARTITIONER=fnv1a",
            ],
        ),
        ("record-over-batch", vec!["KAFKA_BATCH_BYTES=16KiB", "KAFKA_LINGER=0s"]),
        (
            "topic",
            vec![
                "KAFKA_TOPIC=a.b_c-d",
                "KAFKA_TOPIC_CREATE=false",
                "KAFKA_TOPIC_PARTITIONS=3",
                "KAFKA_TOPIC_REPLICATION=-1",
                "KAFKA_COMPRESSION=zstd",
                "KAFKA_IDEMPOTENCE=TRUE",
            ],
        ),
        ("topics-equal", vec!["KAFKA_TOPIC=a", "--KAFKA_DLQ_TOPIC=a"]),
    ]
}

/// Brokers, with and without what may be a password.
fn brokers() -> Vec<Seed> {
    vec![
        ("brokers", vec!["KAFKA_BROKERS=a:9092, [::1]:9093,\u{1}:9094"]),
        ("brokers-userinfo", vec!["KAFKA_BROKERS=user:\u{1}@a:9092"]),
        ("brokers-userinfo-comma", vec!["KAFKA_BROKERS=user:\u{1},x@a:9092"]),
    ]
}

/// Properties of librdkafka, credentials among them.
fn overrides() -> Vec<Seed> {
    vec![
        (
            "overrides",
            vec![
                "KAFKA_PRODUCER_CONFIG=client.id=it's \u{1} \"$b\" `c` \\\\\n\
                 sasl.username=x\\,\\ny",
                "KAFKA_CONSUMER_CONFIG=client.rack=a,debug=",
            ],
        ),
        (
            "overrides-sasl",
            vec![
                "KAFKA_PRODUCER_CONFIG=security.protocol=SASL_SSL,sasl.mechanism=PLAIN,\
                 sasl.password=\u{1}\\,\u{1}",
                "KAFKA_CONSUMER_CONFIG=security.protocol=sasl_ssl\n\
                 sasl.mechanisms=PLAIN\nssl.key.pem=\u{1}",
            ],
        ),
        ("overrides-lopsided", vec!["KAFKA_PRODUCER_CONFIG=security.protocol=ssl"]),
        (
            "overrides-refused",
            vec!["KAFKA_PRODUCER_CONFIG=acks=0,sasl.password=a,\u{1},linger.ms=\u{1},acks=1"],
        ),
        ("overrides-backslash", vec!["KAFKA_CONSUMER_CONFIG=sasl.password=\u{1}\\x"]),
    ]
}

/// What is forwarded to where, and the rest.
fn forwarding() -> Vec<Seed> {
    vec![
        (
            "forward",
            vec![
                "JAEGER_ENDPOINT=HTTPS://traces.example.com:443/",
                "KAFKA_CONSUMER_GROUP=it's $HOME; \"a\" `b` \\ #c",
                "FORWARD_BATCH_BYTES=1MiB",
                "FORWARD_BATCH_AGE=0s",
                "FORWARD_REQUESTS_IN_FLIGHT=64",
                "FORWARD_REQUEST_TIMEOUT=100ms",
                "FORWARD_RETRY_BACKOFF_MIN=1ms",
                "FORWARD_RETRY_BACKOFF_MAX=2ms",
            ],
        ),
        ("endpoint-userinfo", vec!["JAEGER_ENDPOINT=http://\u{1}:\u{1}@jaeger:4317"]),
        ("endpoint-path-userinfo", vec!["JAEGER_ENDPOINT=http://jaeger:4317/a@\u{1}"]),
        ("endpoint-query-scheme", vec!["JAEGER_ENDPOINT=jaeger:4317?u=http://a&key=\u{1}"]),
        ("endpoint-path", vec!["JAEGER_ENDPOINT=https://jaeger:4317/v1?key=\u{1}"]),
        ("backoffs-crossed", vec!["FORWARD_RETRY_BACKOFF_MIN=1m"]),
        (
            "rest",
            vec![
                "RECEIVE_THREADS=1",
                "PUBLISH_THREADS=auto",
                "FORWARD_THREADS=256",
                "LOG_LEVEL=Debug",
                "LOG_FORMAT=json",
                "DRAIN_DELAY=5s",
                "SHUTDOWN_DEADLINE=1h",
            ],
        ),
        ("files", vec!["KAFKA_TOPIC_FILE=a", "KAFKA_PRODUCER_CONFIG_FILE=sasl.password=\u{1}"]),
        ("given-twice", vec!["KAFKA_TOPIC_FILE=a", "KAFKA_TOPIC=a"]),
        ("unknown", vec!["KAFKA_BROKER=a:1", "OTLP_SERVICE_HOST=b", "PATH=c", "="]),
    ]
}
