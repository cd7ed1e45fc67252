//! The settings as a whole: defaults, precedence, mistakes, masking, the generated texts.

use std::{collections::BTreeMap, ffi::OsString, fs, net::IpAddr, process::Command};

use super::*;
use crate::{corpus, limits};

mod oracle;

fn sources(flags: &[(&str, &str)], variables: &[(&str, &str)]) -> Sources {
    let owned = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    Sources { flags: owned(flags), variables: owned(variables) }
}

fn errors(variables: &[(&str, &str)]) -> String {
    Config::load(&sources(&[], variables)).unwrap_err().to_string()
}

fn values(settings: &[Setting]) -> BTreeMap<&str, &str> {
    settings.iter().map(|setting| (setting.name, setting.value.as_str())).collect()
}

/// The fixed names have their fixed defaults, and listeners are on the loopback.
#[test]
fn fixed_defaults() {
    let settings = Config::settings();
    let values = values(&settings);
    assert_eq!(values["GRPC_PORT"], "4317");
    assert_eq!(values["HTTP_PORT"], "8080");
    assert_eq!(values["KAFKA_BROKERS"], "kafka:9092");
    assert_eq!(values["KAFKA_TOPIC"], "otel.traces");
    assert_eq!(values["KAFKA_DLQ_TOPIC"], "otel.traces.dlq");
    assert_eq!(values["KAFKA_CONSUMER_GROUP"], "otel-event-pipeline");
    assert_eq!(values["JAEGER_ENDPOINT"], "http://jaeger:4317");
    assert_eq!(values["LISTEN_ADDRESS"], "127.0.0.1");
}

/// Every bounded default is the constant of `limits.rs`.
#[test]
fn defaults_are_the_limits() {
    let Config { receive, publish, kafka, forward, shutdown, .. } = Config::default();
    assert_eq!(receive.request_bytes_max, limits::REQUEST_BYTES_DEFAULT);
    assert_eq!(receive.bytes_in_flight_max, limits::BYTES_IN_FLIGHT_DEFAULT);
    assert_eq!(receive.reply_deadline, limits::REPLY_DEADLINE_DEFAULT);
    assert_eq!(receive.connections_max, limits::CONNECTIONS_DEFAULT);
    assert_eq!(receive.streams_max, limits::STREAMS_DEFAULT);
    assert_eq!(publish.record_bytes_max, limits::RECORD_BYTES_DEFAULT);
    assert_eq!(kafka.linger, limits::LINGER_DEFAULT);
    assert_eq!(kafka.batch_bytes, limits::BATCH_BYTES_DEFAULT);
    assert_eq!(kafka.topic.partitions, limits::TOPIC_PARTITIONS_DEFAULT);
    assert_eq!(forward.batch_bytes_max, limits::FORWARD_BATCH_BYTES_DEFAULT);
    assert_eq!(forward.batch_age_max, limits::FORWARD_BATCH_AGE_DEFAULT);
    assert_eq!(forward.requests_in_flight, limits::FORWARD_REQUESTS_DEFAULT);
    assert_eq!(forward.request_timeout, limits::FORWARD_TIMEOUT_DEFAULT);
    assert_eq!(forward.retry_backoff_min, limits::FORWARD_BACKOFF_MIN_DEFAULT);
    assert_eq!(forward.retry_backoff_max, limits::FORWARD_BACKOFF_MAX_DEFAULT);
    assert_eq!(shutdown.drain_delay, limits::DRAIN_DELAY_DEFAULT);
    assert_eq!(shutdown.deadline, limits::SHUTDOWN_DEADLINE_DEFAULT);
}

/// Every default, as it is shown, is a value that its setting takes and shows alike.
#[test]
fn defaults_read_back() {
    let settings = Config::settings();
    let shown = settings.iter().map(|setting| (setting.name, setting.default.as_str()));
    let shown: Vec<_> = shown.collect();
    let loaded = Config::load(&sources(&[], &shown)).unwrap();
    assert_eq!(values(&loaded.settings), values(&settings));
    assert!(loaded.settings.iter().any(|setting| setting.origin == Origin::Environment));
}

/// No two settings share a name, and each says what it does and takes.
#[test]
fn settings_are_distinct_and_described() {
    let settings = Config::settings();
    assert_eq!(values(&settings).len(), settings.len());
    for Setting { name, heading, help, allowed, .. } in &settings {
        assert!(!heading.is_empty() && !help.is_empty() && !allowed.is_empty(), "{name}");
        assert!(!help.ends_with('.') && !help.contains('|') && !allowed.contains('|'), "{name}");
    }
}

/// Whatever setting is wrong, the error names variable, flag, value, origin and what is allowed,
/// and all of them are reported at once.
#[test]
fn all_mistakes_are_reported_at_once() {
    let settings = Config::settings();
    let bad: Vec<_> = settings.iter().map(|setting| (setting.name, "\u{1}bad")).collect();
    let errors = Config::load(&sources(&[], &bad)).unwrap_err();
    assert_eq!(errors.iter().count(), settings.len());
    for (error, setting) in errors.iter().zip(&settings) {
        let error = error.to_string();
        let value = if setting.name.ends_with("_CONFIG") { "***" } else { "\u{1}bad" };
        let named = format!(
            "{} (--{}) is `{value}` (from the environment): ",
            setting.name,
            setting.flag()
        );
        assert!(error.starts_with(&named), "{named} does not begin: {error}");
        assert!(error.ends_with(&format!("; allowed: {}", setting.allowed)), "{error}");
    }
}

/// Values just inside the bounds are taken, and just outside refused.
#[test]
fn bounds_hold() {
    for (name, inside, outside) in [
        ("OTLP_REPLY_DEADLINE", "9s", "8999ms"),
        ("KAFKA_LINGER", "1s", "1001ms"),
        ("KAFKA_TOPIC_REPLICATION", "-1", "0"),
        ("KAFKA_TOPIC_PARTITIONS", "1", "0"),
        ("FORWARD_REQUESTS_IN_FLIGHT", "64", "65"),
        ("PUBLISH_THREADS", "auto", "0"),
        ("GRPC_PORT", "65535", "65536"),
        ("OTLP_REQUEST_BYTES_MAX", "64KiB", "65535"),
        ("KAFKA_TOPIC", "a.b_c-d", "a b"),
        ("KAFKA_TOPIC", "...", ".."),
        ("LOG_LEVEL", "DEBUG", "verbose"),
    ] {
        Config::from_pairs([(name, inside)]).unwrap();
        assert!(errors(&[(name, outside)]).contains(&format!("{name} (")), "{name}={outside}");
    }
}

/// The flag wins over the variable, the variable over the default; the origin is told.
#[test]
fn precedence() {
    let read = |flags: &[_], variables: &[_]| {
        let loaded = Config::load(&sources(flags, variables)).unwrap();
        let topic = loaded.settings.into_iter().find(|setting| setting.name == "KAFKA_TOPIC");
        (loaded.config.kafka.topic.name, topic.unwrap().origin)
    };
    let (flag, variable) = (("KAFKA_TOPIC", "by-flag"), ("KAFKA_TOPIC", "by-variable"));
    assert_eq!(read(&[flag], &[variable]), ("by-flag".to_owned(), Origin::Flag));
    assert_eq!(read(&[], &[variable]), ("by-variable".to_owned(), Origin::Environment));
    assert_eq!(read(&[], &[("KAFKA_TOPIC", "")]), ("otel.traces".to_owned(), Origin::Default));
}

/// Any setting is read from the file that its `*_FILE` variable names, less the last line end.
#[test]
fn values_come_from_files() {
    let file = tempfile::NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    let overrides = "sasl.mechanism=PLAIN\nsasl.password=canary";
    fs::write(path, format!("{overrides}\r\n")).unwrap();
    let file_variable = ("KAFKA_CONSUMER_CONFIG_FILE", path);
    let loaded = Config::load(&sources(&[], &[file_variable])).unwrap();
    assert_eq!(loaded.config.kafka.consumer_overrides[1].1.value, "canary");
    assert!(loaded.env_file().contains(&format!("# from the file {path}\n")));
    assert_eq!(loaded.unknown, []);

    let both = errors(&[file_variable, ("KAFKA_CONSUMER_CONFIG", "client.id=a")]);
    assert!(both.contains("KAFKA_CONSUMER_CONFIG and KAFKA_CONSUMER_CONFIG_FILE"), "{both}");
    let missing = errors(&[("KAFKA_TOPIC_FILE", "/nowhere/at-all")]);
    assert!(missing.contains("KAFKA_TOPIC_FILE names `/nowhere/at-all`"), "{missing}");
    fs::write(path, vec![b'a'; limits::SETTING_FILE_BYTES_MAX + 1]).unwrap();
    assert!(errors(&[("KAFKA_TOPIC_FILE", path)]).contains("longer than 1048576 bytes"));
}

/// Settings that contradict each other are named together with their values and a way out.
#[test]
fn contradictions_name_both() {
    let long = "t".repeat(249);
    let sasl = "security.protocol=sasl_plaintext,sasl.mechanism=PLAIN";
    for (variables, parts) in [
        (
            &[("OTLP_REQUEST_BYTES_MAX", "32MiB")][..],
            ["OTLP_REQUEST_BYTES_MAX and OTLP_BYTES_IN_FLIGHT_MAX", "32MiB", "at least 128MiB"],
        ),
        (
            &[("KAFKA_BATCH_BYTES", "512KiB")],
            ["KAFKA_RECORD_BYTES_MAX and KAFKA_BATCH_BYTES", "900KiB", "512KiB"],
        ),
        (
            &[("FORWARD_BATCH_BYTES", "900KiB")],
            ["FORWARD_BATCH_BYTES and KAFKA_RECORD_BYTES_MAX", "900KiB", "allowed"],
        ),
        (&[("DRAIN_DELAY", "25s")], ["DRAIN_DELAY and SHUTDOWN_DEADLINE", "25s", "allowed"]),
        (
            &[("FORWARD_RETRY_BACKOFF_MIN", "1m")],
            ["FORWARD_RETRY_BACKOFF_MIN and FORWARD_RETRY_BACKOFF_MAX", "1m", "10s"],
        ),
        (&[("KAFKA_TOPIC", &long)], ["KAFKA_TOPIC and KAFKA_DLQ_TOPIC", "ttt.dlq", "1 to 249"]),
        (&[("HTTP_PORT", "4317")], ["GRPC_PORT and HTTP_PORT", "4317", "allowed"]),
        (&[("KAFKA_DLQ_TOPIC", "otel.traces")], ["KAFKA_DLQ_TOPIC", "otel.traces", "allowed"]),
        (
            &[("KAFKA_PRODUCER_CONFIG", sasl)],
            ["KAFKA_CONSUMER_CONFIG", "sasl_plaintext", "plaintext for the consumer"],
        ),
    ] {
        let errors = errors(variables);
        assert_eq!(errors.lines().count(), 2, "{errors}");
        parts.iter().for_each(|part| assert!(errors.contains(part), "{part} is not in: {errors}"));
    }
}

/// A refused value is not also blamed, by its default, for a contradiction.
#[test]
fn refused_values_contradict_nothing() {
    let errors = errors(&[("OTLP_BYTES_IN_FLIGHT_MAX", "1"), ("OTLP_REQUEST_BYTES_MAX", "1GiB")]);
    assert_eq!(errors.lines().count(), 2, "{errors}");
}

/// A secret shows neither in `--print-config`, nor in `Debug`, nor in an error.
#[test]
fn secrets_stay_secret() {
    let overrides = "sasl.mechanism=PLAIN,sasl.password=canary\\,canary,sasl.username=shown";
    let variables = [("KAFKA_PRODUCER_CONFIG", overrides), ("KAFKA_CONSUMER_CONFIG", overrides)];
    let loaded = Config::load(&sources(&[], &variables)).unwrap();
    assert_eq!(loaded.config.kafka.producer_overrides[1].1.value, "canary,canary");
    let file = loaded.env_file();
    assert!(file.contains("sasl.password=***,sasl.username=shown\n"), "{file}");
    assert!(!format!("{file}{loaded:?}").contains("canary"));
    let refused = errors(&[
        ("KAFKA_PRODUCER_CONFIG", "sasl.password=canary,acks=0"),
        ("KAFKA_BROKERS", "user:canary@kafka:9092"),
        ("JAEGER_ENDPOINT", "http://user:canary@jaeger:4317"),
    ]);
    assert_eq!(refused.lines().count(), 4, "{refused}");
    assert!(!refused.contains("canary"), "{refused}");
}

/// A shell that reads the output of `--print-config` sets the same values.
#[test]
fn printed_settings_are_an_env_file() {
    let variables = [
        ("KAFKA_CONSUMER_GROUP", "it's $HOME; \"a\" `b` \\ #c"),
        ("KAFKA_PRODUCER_CONFIG", "client.id=two words,sasl.username=a\\,b\\\\c"),
        ("LISTEN_ADDRESS", "::"),
        ("OTLP_REPLY_DEADLINE", "90s"),
    ];
    let loaded = Config::load(&sources(&[], &variables)).unwrap();
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), loaded.env_file()).unwrap();
    let mut shell = Command::new("/bin/sh");
    shell.args(["-c", "set -a; . \"$0\"; exec /usr/bin/env"]).arg(file.path()).env_clear();
    let output = shell.output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    let printed = String::from_utf8(output.stdout).unwrap();
    let pairs: Vec<_> = printed.lines().filter_map(|line| line.split_once('=')).collect();
    let reloaded = Config::load(&sources(&[], &pairs)).unwrap();
    assert_eq!(values(&reloaded.settings), values(&loaded.settings));
    assert_eq!(reloaded.config.forward.group, variables[0].1);
}

/// Misspelt variables are reported, and do not keep the program from starting.
#[test]
fn unknown_variables_are_reported() {
    let loaded = Config::load(&sources(&[], &[("KAFKA_BROKER", "a:1")])).unwrap();
    let unknown: Vec<_> = loaded.unknown.iter().map(ToString::to_string).collect();
    let expected = "KAFKA_BROKER is not a setting and has no effect: did you mean KAFKA_BROKERS?";
    assert_eq!(unknown, [expected]);
}

/// A port that Kubernetes set for a Service is refused in words that say so.
#[test]
fn service_link_for_a_port() {
    for name in ["GRPC_PORT", "HTTP_PORT"] {
        let errors = errors(&[(name, "tcp://10.0.0.1:80")]);
        assert!(errors.contains(name) && errors.contains("enableServiceLinks"), "{errors}");
    }
}

/// Pairs build a configuration without the environment; a name that is no setting is an error.
#[test]
fn pairs_build_a_config() {
    let config = Config::from_pairs([("GRPC_PORT", "0"), ("LISTEN_ADDRESS", "::1")]).unwrap();
    assert_eq!(config.receive.grpc_port, 0);
    assert_eq!(config.admin.listen_address, "::1".parse::<IpAddr>().unwrap());
    let errors = Config::from_pairs([("GRPC_PROT", "0"), ("ROLE", "both")]).unwrap_err();
    let text = errors.to_string();
    assert!(text.contains("GRPC_PROT is not a setting: did you mean GRPC_PORT?"), "{text}");
    assert!(text.contains("ROLE (--role) is `both`"), "{text}");
}

/// Bytes that are no text are refused, not mended.
#[test]
#[cfg(unix)]
fn other_bytes_are_refused() {
    use std::os::unix::ffi::OsStringExt;
    let broken = OsString::from_vec(vec![b'a', 0xff]);
    let environment = [(OsString::from("KAFKA_CONSUMER_GROUP"), broken)];
    let sources = Sources::new(BTreeMap::new(), environment.into_iter());
    let errors = Config::load(&sources).unwrap_err().to_string();
    assert!(errors.contains("KAFKA_CONSUMER_GROUP (--kafka-consumer-group) is not valid UTF-8"));
}

/// README shows the generated table.
#[test]
fn readme_has_the_table() {
    let readme = include_str!("../../README.md");
    let (_, rest) = readme.split_once("<!-- settings:begin -->\n").unwrap();
    let (table, _) = rest.split_once("<!-- settings:end -->").unwrap();
    assert!(table.trim() == settings_markdown().trim(), "README differs: run `make generate`");
}

/// Every file of the fuzz corpus is judged as promised: what fuzzing has found stays found.
#[test]
fn corpus_keeps_the_promises() {
    corpus::replay("config", oracle::check);
}
