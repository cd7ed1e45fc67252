//! The program as an operator starts it: what it prints where, and its exit code.

use crate::support::{nobody::Nobody, program::run};

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

/// `--help` and `--version` go to standard output and end well.
#[test]
fn help_ends_well() {
    for (argument, part) in [("--help", "--kafka-brokers"), ("--version", "otel-event-pipeline ")] {
        let output = run(&[argument], &[]);
        assert_eq!(output.status.code(), Some(0));
        assert!(text(&output.stdout).contains(part) && output.stderr.is_empty(), "{output:?}");
    }
}

/// Mistakes in settings go to standard error, all of them, with exit code 2.
#[test]
fn mistakes_end_with_2() {
    let output = run(&["--linger", "2ms"], &[]);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let variables = [("KAFKA_LINGER", "fast"), ("HTTP_PORT", "-1")];
    let output = run(&["check", "--kafka-topic", "a/b"], &variables);
    assert_eq!(output.status.code(), Some(2));
    for name in ["KAFKA_LINGER", "HTTP_PORT", "KAFKA_TOPIC"] {
        assert!(text(&output.stderr).contains(name), "{output:?}");
    }
    assert!(output.stdout.is_empty());
}

/// `--print-config` shows flags and variables with their origin, and ends well.
#[test]
fn print_config_tells_origins() {
    let output = run(&["--print-config", "--role=receive"], &[("KAFKA_TOPIC", "spans")]);
    assert_eq!(output.status.code(), Some(0));
    let printed = text(&output.stdout);
    for part in [
        "# from the command line\nROLE=receive\n",
        "# from the environment\nKAFKA_TOPIC=spans\n",
        "# default\nKAFKA_DLQ_TOPIC=spans.dlq\n",
    ] {
        assert!(printed.contains(part), "{part} is not in: {printed}");
    }
}

/// A health check of a process that is not there ends with 1 and says where it asked.
#[test]
fn healthcheck_ends_with_1() {
    let nobody = Nobody::new();
    let address = nobody.address();
    let output = run(&["healthcheck"], &[("HTTP_PORT", &address.port().to_string())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains(&format!("http://{address}/healthz")), "{output:?}");
}
