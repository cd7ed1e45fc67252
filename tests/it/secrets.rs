//! A canary given wherever a secret can be given, rightly or by mistake: it must show nowhere.

use std::{fs, process::Output};

use otel_event_pipeline::config::{Config, Setting};
use tempfile::NamedTempFile;

use crate::support::{
    eventually,
    mock_kafka::MockKafka,
    program::{Program, run},
};

const CANARY: &str = "c4n4ry";
const SASL: &str = "security.protocol=SASL_PLAINTEXT,sasl.mechanism=PLAIN,sasl.username=pipeline";

/// The settings of client properties, by their kind: today those of producer and consumer.
fn overrides() -> Vec<Setting> {
    let mut settings = Config::settings();
    settings.retain(|setting| setting.placeholder == "KEY=VALUE,...");
    assert!(settings.len() >= 2, "{settings:?}");
    settings
}

/// What no setting of this kind takes: a credential in the place where people may put one, or be
/// misled to. Of the other kinds nobody expects to hold one; their values are shown as they are.
fn mistaken(setting: &Setting) -> Vec<String> {
    let values: &[&str] = match setting.placeholder {
        "KEY=VALUE,..." => &[
            "sasl.pasword=C",
            "my.own.property=C",
            "sasl.password=C,acks=0,group.id=a",
            "sasl.password=a,C",
            "sasl.password:C",
            "sasl.password=a\\C",
        ],
        "HOST:PORT,..." => &["user:C@127.0.0.1:9092", "sasl://user:C@127.0.0.1:9092"],
        "HOST:PORT" => &[
            "http://user:C@127.0.0.1:4317",
            "C://user@127.0.0.1:4317",
            "https://127.0.0.1:4317/?key=C",
            "127.0.0.1:4317#C",
        ],
        "NAME" | "WORD" | "NUMBER" | "PORT" | "SIZE" | "DURATION" | "ADDRESS" => &[],
        other => panic!("{}: may a {other} hold a credential?", setting.name),
    };
    values.iter().map(|value| value.replace('C', CANARY)).collect()
}

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
    for setting in overrides() {
        let (name, flag) = (setting.name, format!("--{}={value}", setting.flag()));
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
    let settings = Config::settings();
    let mut given: Vec<(&str, String)> = Vec::new();
    for setting in &settings {
        given.extend(mistaken(setting).into_iter().map(|value| (setting.name, value)));
    }
    // A misspelt variable.
    given.push(("KAFKA_PRODUCER_CONFG", format!("sasl.password={CANARY}")));
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

/// Whichever settings they are: a credential in the place of a file's name, or in a setting that is
/// given twice, is reported without it.
#[test]
fn no_setting_shows_what_stands_for_its_file() {
    let settings = Config::settings();
    let files: Vec<_> = settings.iter().map(|setting| format!("{}_FILE", setting.name)).collect();
    let names = || settings.iter().map(|setting| setting.name);
    for value in [format!("sasl.password={CANARY}"), format!("user:{CANARY}@127.0.0.1:9092")] {
        let in_files: Vec<_> = files.iter().map(|name| (name.as_str(), value.as_str())).collect();
        let twice: Vec<_> =
            names().map(|name| (name, value.as_str())).chain(in_files.clone()).collect();
        for (variables, complaint) in [(in_files, "_FILE names `***`"), (twice, " are both set")] {
            for task in [&[][..], &["check"], &["--print-config"]] {
                let output = run(task, &variables);
                assert_eq!(output.status.code(), Some(2), "{output:?}");
                assert_hidden(&output, complaint);
                let text = printed(&output);
                assert_eq!(text.matches(complaint).count(), settings.len(), "{text}");
                assert!(names().all(|name| text.contains(&format!("{name}_FILE "))), "{text}");
            }
        }
    }
}

/// A mistake in a file or in a flag is reported without the secret, as one in a variable is.
#[test]
fn mistakes_are_hidden_from_every_source() {
    let file = NamedTempFile::new().unwrap();
    let path = file.path().to_str().unwrap();
    for setting in Config::settings() {
        for value in mistaken(&setting) {
            fs::write(file.path(), &value).unwrap();
            let flag = format!("--{}={value}", setting.flag());
            let named = format!("{}_FILE", setting.name);
            for output in [run(&["check", &flag], &[]), run(&["check"], &[(&named, path)])] {
                assert!(matches!(output.status.code(), Some(1 | 2)), "{value}: {output:?}");
                assert_hidden(&output, &value);
            }
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
    let overrides = overrides();
    let mut variables: Vec<_> =
        overrides.iter().map(|setting| (setting.name, value.as_str())).collect();
    variables.extend([
        ("LOG_LEVEL", "trace"),
        ("KAFKA_BROKERS", brokers.as_str()),
        ("JAEGER_ENDPOINT", "127.0.0.1:9"),
        ("SHUTDOWN_DEADLINE", "3s"),
    ]);
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
