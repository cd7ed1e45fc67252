//! The librdkafka properties that overrides may not set, each with its reason.
//!
//! Everything that is not here is free. What is here would void the promise, work against the
//! program's own steps, or has a setting of its own.

/// Whose overrides are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Client {
    /// `KAFKA_PRODUCER_CONFIG`.
    Producer,
    /// `KAFKA_CONSUMER_CONFIG`.
    Consumer,
}

/// Properties refused for one reason; `*` at an end stands for anything.
struct Refusal {
    keys: &'static [&'static str],
    why: &'static str,
}

/// Refused for the producer and the consumer.
const BOTH: &[Refusal] = &[
    Refusal {
        keys: &["bootstrap.servers", "metadata.broker.list"],
        why: "set KAFKA_BROKERS instead",
    },
    Refusal {
        keys: &["allow.auto.create.topics"],
        why: "topics are created as KAFKA_TOPIC_CREATE says, never by a misspelt name",
    },
    Refusal {
        keys: &["*_cb", "opaque", "*_opaque", "*_callback_data", "default_topic_conf"],
        why: "it is a pointer inside the program and no text",
    },
    Refusal {
        keys: &["enabled_events", "log.queue", "internal.termination.signal"],
        why: "the program's own event loop depends on it",
    },
    Refusal {
        keys: &["interceptors", "plugin.library.paths"],
        why: "foreign code in the client could drop or change records unseen",
    },
    Refusal {
        keys: &["sasl.oauthbearer.*", "enable.sasl.oauthbearer.unsecure.jwt"],
        why: "OAUTHBEARER needs a source of tokens, which no build has",
    },
    Refusal {
        keys: &["sasl.kerberos.*"],
        why: "Kerberos is in no build: use SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN",
    },
];

/// Refused for the producer.
const PRODUCER: &[Refusal] = &[
    Refusal { keys: &["acks", "request.required.acks"], why: "the promise rests on acks=all" },
    Refusal {
        keys: &["delivery.report.only.error"],
        why: "without reports of success no request could be answered",
    },
    Refusal {
        keys: &["message.timeout.ms", "delivery.timeout.ms"],
        why: "a record must be given up before OTLP_REPLY_DEADLINE, so it is fixed",
    },
    Refusal { keys: &["enable.idempotence"], why: "set KAFKA_IDEMPOTENCE instead" },
    Refusal {
        keys: &["enable.gapless.guarantee"],
        why: "one failed record would end the producer for good",
    },
    Refusal {
        keys: &["transactional.id", "transaction.timeout.ms"],
        why: "records outside a transaction would be refused, and none is opened",
    },
    Refusal { keys: &["linger.ms", "queue.buffering.max.ms"], why: "set KAFKA_LINGER instead" },
    Refusal { keys: &["batch.size"], why: "set KAFKA_BATCH_BYTES instead" },
    Refusal {
        keys: &["message.max.bytes"],
        why: "it follows KAFKA_RECORD_BYTES_MAX and KAFKA_BATCH_BYTES",
    },
    Refusal {
        keys: &["compression.codec", "compression.type"],
        why: "set KAFKA_COMPRESSION instead",
    },
    Refusal {
        keys: &["queue.buffering.max.messages", "queue.buffering.max.kbytes"],
        why: "it follows OTLP_BYTES_IN_FLIGHT_MAX, which bounds memory",
    },
    Refusal { keys: &["partitioner"], why: "set KAFKA_PARTITIONER instead" },
];

/// Refused for the consumer.
const CONSUMER: &[Refusal] = &[
    Refusal {
        keys: &["enable.auto.commit", "auto.commit.enable"],
        why: "an offset is committed after the backend has answered, never by time",
    },
    Refusal {
        keys: &["enable.auto.offset.store"],
        why: "an offset is stored after the backend has answered, never when it is read",
    },
    Refusal {
        keys: &["auto.offset.reset"],
        why: "a new group starts at the earliest record, or acknowledged spans would be skipped",
    },
    Refusal {
        keys: &["offset.store.*"],
        why: "offsets live in the consumer group, so that any instance can go on",
    },
    Refusal { keys: &["group.id"], why: "set KAFKA_CONSUMER_GROUP instead" },
    Refusal { keys: &["group.instance.id"], why: "set INSTANCE instead" },
    Refusal {
        keys: &["group.protocol*", "group.remote.assignor", "partition.assignment.strategy"],
        why: "the steps of a rebalance are written for the classic protocol, cooperative-sticky",
    },
    Refusal {
        keys: &["enable.partition.eof"],
        why: "the end of a partition is no error here, and would be reported as one",
    },
];

/// Why `key` may not be set for `client`; `None` when it may.
pub(super) fn refusal(client: Client, key: &str) -> Option<&'static str> {
    let own = match client {
        Client::Producer => PRODUCER,
        Client::Consumer => CONSUMER,
    };
    let refusals = BOTH.iter().chain(own);
    let covers = |refusal: &&Refusal| refusal.keys.iter().any(|pattern| matches(pattern, key));
    refusals.into_iter().find(covers).map(|refusal| refusal.why)
}

/// Why this build cannot serve the property; `None` when it can.
pub(super) fn missing_feature(key: &str, value: &str) -> Option<&'static str> {
    const TLS: &str = "this build has no TLS: released binaries and images do, a build of your own \
                       with `cargo build --release --features kafka-tls`";
    let value = value.to_ascii_lowercase();
    let needs_tls = match key {
        "security.protocol" => value.ends_with("ssl"),
        "sasl.mechanism" | "sasl.mechanisms" => match value.as_str() {
            "plain" => false,
            "scram-sha-256" | "scram-sha-512" => true,
            _ => return Some("use SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN: no build has others"),
        },
        _ => ["ssl.", "ssl_", "https.", "enable.ssl."].iter().any(|tls| key.starts_with(tls)),
    };
    (needs_tls && !cfg!(feature = "kafka-tls")).then_some(TLS)
}

fn matches(pattern: &str, key: &str) -> bool {
    match (pattern.strip_prefix('*'), pattern.strip_suffix('*')) {
        (Some(end), _) => key.ends_with(end),
        (None, Some(start)) => key.starts_with(start),
        (None, None) => key == pattern,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every property that would void the promise is refused, and aliases with it.
    #[test]
    fn the_promise_cannot_be_overridden() {
        for key in ["acks", "request.required.acks", "delivery.report.only.error"] {
            assert!(refusal(Client::Producer, key).is_some(), "{key}");
        }
        for key in ["enable.auto.commit", "enable.auto.offset.store", "auto.offset.reset"] {
            assert!(refusal(Client::Consumer, key).is_some(), "{key}");
        }
        for client in [Client::Producer, Client::Consumer] {
            for key in ["bootstrap.servers", "rebalance_cb", "dr_msg_cb", "interceptors"] {
                assert!(refusal(client, key).is_some(), "{key}");
            }
        }
    }

    /// Tuning and credentials stay free.
    #[test]
    fn others_are_free() {
        for key in ["batch.num.messages", "compression.level", "socket.timeout.ms", "client.id"] {
            assert_eq!(refusal(Client::Producer, key), None, "{key}");
        }
        for key in ["fetch.min.bytes", "queued.min.messages", "sasl.password", "client.rack"] {
            assert_eq!(refusal(Client::Consumer, key), None, "{key}");
        }
    }

    /// What needs TLS is refused exactly where the build has none, naming the build that does.
    #[test]
    fn tls_names_its_build() {
        let tls = cfg!(feature = "kafka-tls");
        for (key, value) in [
            ("security.protocol", "SASL_SSL"),
            ("ssl.ca.location", "/ca.pem"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
        ] {
            let why = missing_feature(key, value);
            assert_eq!(why.is_some_and(|why| why.contains("--features kafka-tls")), !tls, "{key}");
        }
        assert_eq!(missing_feature("security.protocol", "SASL_PLAINTEXT"), None);
        assert_eq!(missing_feature("sasl.mechanism", "PLAIN"), None);
        assert!(missing_feature("sasl.mechanism", "GSSAPI").is_some());
    }
}
