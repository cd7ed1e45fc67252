//! A canary given wherever a secret can be given, rightly or by mistake: it must show nowhere.

use std::{fs, process::Output};

use tempfile::NamedTempFile;

use crate::support::{
    eventually,
    mock_kafka::MockKafka,
    program::{Program, run},
};

const CANARY: &str = "c4n4ry";
const SASL: &str = "security.protocol=SASL_PLAINTEXT,sasl.mechanism=PLAIN,sasl.username=pipeline";

/// Both settings of client properties.
const OVERRIDES: [&str; 2] = ["KAFKA_PRODUCER_CONFIG", "KAFKA_CONSUMER_CONFIG"];

fn printed(output: &Output) -> String {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    format!("{}{}", text(&output.stdout), text(&output.stderr))
}

fn assert_hidden(output: &Output, given: &str) {
    let text = printed(output);
    assert!(!text.is_empty(), "{given} says nothing at all");
    assert!(!text.contains(CANARY), "{given} shows the canary: {text}");
}

/// A password in a variable, a file or a flag is masked in the effective settings.
#[test]
fn print_config_masks_every_source() {
    let file = NamedTempFile::new().unwrap();
    let value = format!("client.rack=a,sasl.password={CANARY}");
    fs::write(file.path(), &value).unwrap();
    let path = file.path().to_str().unwrap();
    for name in OVERRIDES {
        let flag = format!("--{}={value}", name.to_ascii_lowercase().replace('_', "-"));
        let named = format!("{name}_FILE");
        for output in [
            run(&["--print-config"], &[(name, &value)]),
            run(&["--print-config"], &[(&named, path)]),
            run(&["--print-config", &flag], &[]),
        ] {
            assert_eq!(output.status.code(), Some(0), "{output:?}");
            assert_hidden(&output, name);
            assert!(printed(&output).contains("sasl.password=***"), "{output:?}");
        }
    }
}

/// A mistake beside, inside or in the name of a credential is reported without it, by the start and
/// by the check alike.
#[test]
fn mistakes_are_reported_without_the_secret() {
    let brokers = ("KAFKA_BROKERS", "127.0.0.1:9");
    let ports = [("GRPC_PORT", "0"), ("HTTP_PORT", "0")];
    let mut given: Vec<(&str, String)> = Vec::new();
    for name in OVERRIDES {
        given.extend([
            (name, format!("sasl.pasword={CANARY}")),
            (name, format!("my.own.property={CANARY}")),
            (name, format!("sasl.password={CANARY},acks=0,group.id=a")),
            (name, format!("sasl.password=a,{CANARY}")),
            (name, format!("sasl.password:{CANARY}")),
            (name, format!("sasl.password=a\\{CANARY}")),
        ]);
    }
    given.extend([
        ("KAFKA_BROKERS", format!("user:{CANARY}@127.0.0.1:9092")),
        ("KAFKA_BROKERS", format!("sasl://user:{CANARY}@127.0.0.1:9092")),
        ("JAEGER_ENDPOINT", format!("http://user:{CANARY}@127.0.0.1:4317")),
        ("JAEGER_ENDPOINT", format!("{CANARY}://user@127.0.0.1:4317")),
        ("JAEGER_ENDPOINT", format!("https://127.0.0.1:4317/?key={CANARY}")),
        ("JAEGER_ENDPOINT", format!("127.0.0.1:4317#{CANARY}")),
        // The value itself where the name of a file belongs.
        ("KAFKA_PRODUCER_CONFIG_FILE", format!("sasl.password={CANARY}")),
        // A misspelt variable.
        ("KAFKA_PRODUCER_CONFG", format!("sasl.password={CANARY}")),
    ]);
    for (name, value) in given {
        let variables = [&[brokers], &ports[..], &[(name, value.as_str())]].concat();
        assert_hidden(&run(&["check"], &variables), &value);
        // What is only doubtful does not keep the program from starting.
        if name != "KAFKA_PRODUCER_CONFG" {
            let output = run(&[], &variables);
            assert!(matches!(output.status.code(), Some(2 | 3)), "{value}: {output:?}");
            assert_hidden(&output, &value);
        }
    }
}

/// A pair that slipped out of its quotes is refused by its key.
#[test]
fn stray_arguments_are_refused_without_the_secret() {
    let stray = format!("sasl.password={CANARY}");
    let flag = format!("--{stray}");
    for arguments in [
        &["--kafka-producer-config", "client.rack=a", &stray][..],
        &["check", &stray][..],
        &[flag.as_str()][..],
        &["--kafka-producer-confg", &stray][..],
    ] {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(2), "{output:?}");
        assert_hidden(&output, "a stray argument");
    }
}

/// A running process with the most talkative log shows no credential in its log and on no page.
#[test]
fn a_running_process_keeps_the_secret() {
    let kafka = MockKafka::start(&["otel.traces"], 1);
    let brokers = kafka.brokers();
    let value = format!("{SASL},sasl.password={CANARY},debug=all");
    let variables = [
        ("LOG_LEVEL", "trace"),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("KAFKA_PRODUCER_CONFIG", &value),
        ("KAFKA_CONSUMER_CONFIG", &value),
        ("JAEGER_ENDPOINT", "127.0.0.1:9"),
        ("SHUTDOWN_DEADLINE", "3s"),
    ];
    let mut program = Program::start_unready(&variables);
    eventually("librdkafka talks", || program.log().contains("librdkafka: "));
    for path in ["/metrics", "/readyz?verbose", "/healthz?verbose", "/", "/latency"] {
        let (_, page) = program.page(path);
        assert!(!page.contains(CANARY), "{path}: {page}");
    }
    program.terminate();
    program.exit_code();
    assert!(!program.log().contains(CANARY), "{}", program.log());
}
