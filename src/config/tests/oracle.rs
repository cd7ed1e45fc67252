//! What must hold for any settings: judges the configuration that came of them, or its refusal.
//!
//! Used by the replay of the fuzz corpus and by the fuzz target. Nothing here asks the code under
//! test what a credential or a bound is: it has its own list, and the constants of `limits`.
//!
//! The input is one setting after the other, between NUL bytes: `NAME=value` for a variable,
//! `--NAME=value` for a flag. A byte 1 in a value becomes a word that occurs nowhere else, so that
//! it can be looked for wherever values are shown.

use std::{collections::BTreeMap, ffi::OsString, fmt::Debug, ops::RangeInclusive};

use crate::{
    config::{Config, ConfigErrors, Loaded, Sources},
    limits,
};

/// Of names that no setting has, so many are kept if they are no longer than this: each is compared
/// with every setting's, which takes the time of many runs and shows nothing new.
const FOREIGN_NAMES_MAX: usize = 2;
const FOREIGN_NAME_BYTES_MAX: usize = 40;

/// Loads what `input` gives; panics where a promise is broken.
pub(crate) fn check(input: &[u8]) {
    let given = Given::read(input);
    match Config::load(&given.sources) {
        Ok(loaded) => {
            check_bounds(&loaded.config);
            check_rules(&loaded.config);
            given.check_print(&loaded);
            given.check_pairs(&loaded.config);
        }
        Err(errors) => given.check_refusal(&errors),
    }
}

/// A unique word within a value, and where it must not be seen.
struct Word {
    text: String,
    hidden_in_errors: bool,
    hidden_in_prints: bool,
}

/// What was given.
struct Given {
    sources: Sources,
    words: Vec<Word>,
}

impl Given {
    fn read(input: &[u8]) -> Self {
        let (mut flags, mut variables) = (BTreeMap::new(), Vec::new());
        let (mut words, mut foreign) = (Vec::new(), 0);
        let settings = Config::settings();
        let is_setting = |name: &[u8]| {
            let name = name.strip_prefix(b"--").unwrap_or(name);
            let name = name.strip_suffix(b"_FILE").unwrap_or(name);
            settings.iter().any(|setting| setting.name.as_bytes() == name)
        };
        for entry in input.split(|byte| *byte == 0) {
            let (name, value) = match entry.iter().position(|byte| *byte == b'=') {
                Some(at) => (&entry[..at], &entry[at + 1..]),
                None => (entry, &[][..]),
            };
            if !is_setting(name) {
                foreign += 1;
                if foreign > FOREIGN_NAMES_MAX || name.len() > FOREIGN_NAME_BYTES_MAX {
                    continue;
                }
            }
            let mut value = with_words(value, &mut words);
            if name.ends_with(b"_FILE") {
                // Nothing on this machine may be read.
                value.splice(0..0, *b"/nowhere/");
            }
            let name_text = String::from_utf8_lossy(name).into_owned();
            let value_text = String::from_utf8_lossy(&value).into_owned();
            hide(name_text.trim_start_matches("--"), &value_text, &mut words);
            match name_text.strip_prefix("--") {
                Some(flag) => drop(flags.insert(flag.to_owned(), value_text)),
                None => variables.push((os(name), os(&value))),
            }
        }
        Self { sources: Sources::new(flags, variables.into_iter()), words }
    }

    /// Every error is about something that was given, names it, and shows no secret.
    fn check_refusal(&self, errors: &ConfigErrors) {
        let settings = Config::settings();
        assert!(errors.iter().count() > 0, "refused without an error");
        for error in errors.iter() {
            let text = error.to_string();
            // `A (--a) is`, `A_FILE names`, or `A and B:` where one of them was given.
            let mut named =
                text.split([' ', ':']).take(3).map(|word| word.trim_end_matches("_FILE"));
            let known = |name: &str| settings.iter().any(|setting| setting.name == name);
            assert!(named.any(|name| known(name) && self.is_given(name)), "nothing given: {text}");
        }
        let shown = format!("{errors} {errors:?}");
        for word in self.words.iter().filter(|word| word.hidden_in_errors) {
            assert!(!shown.contains(&word.text), "{} is shown: {shown}", word.text);
        }
    }

    fn is_given(&self, name: &str) -> bool {
        let Sources { flags, variables } = &self.sources;
        let set = |name: &str| variables.get(name).is_some_and(|value| !value.is_empty());
        flags.contains_key(name) || set(name) || set(&format!("{name}_FILE"))
    }

    /// What is printed shows no secret, and read again it is the same configuration.
    fn check_print(&self, loaded: &Loaded) {
        let file = loaded.env_file();
        let shown = format!("{file} {loaded:?}");
        for word in self.words.iter().filter(|word| word.hidden_in_prints) {
            assert!(!shown.contains(&word.text), "{} is shown: {shown}", word.text);
        }
        let sources = Sources { variables: read_env_file(&file), flags: BTreeMap::new() };
        let again = Config::load(&sources).unwrap_or_else(|errors| panic!("{file}{errors}"));
        assert_eq!(format!("{:?}", again.config), format!("{:?}", loaded.config));
        assert_eq!(read_env_file(&again.env_file()), sources.variables);
    }

    /// A library that gives the same variables has the same configuration, or misspelt a name.
    fn check_pairs(&self, config: &Config) {
        if !self.sources.flags.is_empty() {
            return;
        }
        match Config::from_pairs(self.sources.variables.clone()) {
            Ok(same) => assert_eq!(format!("{same:?}"), format!("{config:?}")),
            Err(errors) => {
                let misspelt = |text: String| text.contains(" is not a setting");
                assert!(errors.iter().all(|error| misspelt(error.to_string())), "{errors}");
            }
        }
    }
}

#[cfg(unix)]
fn os(bytes: &[u8]) -> OsString {
    std::os::unix::ffi::OsStringExt::from_vec(bytes.to_vec())
}

#[cfg(not(unix))]
fn os(bytes: &[u8]) -> OsString {
    String::from_utf8_lossy(bytes).into_owned().into()
}

/// The value with every byte 1 replaced by a new word. No key of librdkafka has a capital letter.
fn with_words(value: &[u8], words: &mut Vec<Word>) -> Vec<u8> {
    let mut written = Vec::new();
    for byte in value {
        if *byte == 1 {
            let text = format!("Hush{}hush", words.len());
            written.extend(text.bytes());
            words.push(Word { text, hidden_in_errors: false, hidden_in_prints: false });
        } else {
            written.push(*byte);
        }
    }
    written
}

/// Marks the words of one value that are, or may be, a piece of a credential.
fn hide(name: &str, value: &str, words: &mut [Word]) {
    for word in words {
        let Some(at) = value.find(&word.text) else { continue };
        let (before, after) = value.split_at(at);
        match name {
            "KAFKA_PRODUCER_CONFIG" | "KAFKA_CONSUMER_CONFIG" => {
                word.hidden_in_errors = true;
                word.hidden_in_prints = is_credential(before);
            }
            "KAFKA_BROKERS" => word.hidden_in_errors = after.contains('@'),
            "JAEGER_ENDPOINT" => {
                word.hidden_in_errors = after.contains('@') || is_behind_host(before);
            }
            _ if name.ends_with("_FILE") => word.hidden_in_errors = value.contains(['=', '@']),
            _ => {}
        }
    }
}

/// Whether what follows `before`, in a text of librdkafka's properties, is part of a credential.
fn is_credential(before: &str) -> bool {
    let (mut pair, mut escaped) = (String::new(), false);
    for character in before.chars() {
        if !escaped && [',', '\n'].contains(&character) {
            pair.clear();
        } else {
            pair.push(character);
        }
        escaped = !escaped && character == '\\';
    }
    let credentials = ["sasl.password", "ssl.key.password", "ssl.key.pem", "ssl.keystore.password"];
    pair.split_once('=').is_some_and(|(key, _)| credentials.contains(&key.trim()))
}

/// Whether what follows `before` is in the path, the query or the fragment of an endpoint.
fn is_behind_host(before: &str) -> bool {
    let start = before.find(['/', '?', '#']).unwrap_or(before.len());
    let is_scheme = before[start..].starts_with("//") && before[..start].ends_with(':');
    let host = if is_scheme { &before[start + 2..] } else { before };
    host.contains(['/', '?', '#'])
}

/// Reads an env file as a shell does, as far as `--print-config` makes use of it.
fn read_env_file(file: &str) -> BTreeMap<String, String> {
    let lines = file.split('\n').filter(|line| !line.is_empty() && !line.starts_with('#'));
    let pairs = lines.map(|line| line.split_once('=').unwrap_or_else(|| panic!("{line:?}")));
    pairs.map(|(name, value)| (name.to_owned(), unquote(value))).collect()
}

fn unquote(value: &str) -> String {
    let inner = |quote| value.strip_prefix(quote).and_then(|rest| rest.strip_suffix(quote));
    if let Some(literal) = inner('\'') {
        assert!(!literal.contains('\''), "the quotes end early: {value}");
        return literal.to_owned();
    }
    let Some(quoted) = inner('"') else {
        let special = |c: char| c.is_whitespace() || "'\"\\$`;&|<>()#!~{}[]?".contains(c);
        assert!(!value.contains(special), "not in quotes: {value}");
        return value.to_owned();
    };
    let (mut text, mut characters) = (String::new(), quoted.chars());
    while let Some(character) = characters.next() {
        assert!(!"\"$`".contains(character), "not escaped: {value}");
        let literal = if character == '\\' { characters.next() } else { Some(character) };
        text.extend(literal);
    }
    text
}

fn check_bounds(config: &Config) {
    let Config { receive, publish, kafka, forward, threads, shutdown, .. } = config;
    within(receive.request_bytes_max, &limits::REQUEST_BYTES_RANGE);
    within(receive.bytes_in_flight_max, &limits::BYTES_IN_FLIGHT_RANGE);
    within(receive.reply_deadline, &limits::REPLY_DEADLINE_RANGE);
    within(receive.connections_max, &limits::CONNECTIONS_RANGE);
    within(receive.connections_per_peer_max, &limits::CONNECTIONS_RANGE);
    within(receive.connection_age_max, &limits::CONNECTION_AGE_RANGE);
    within(receive.streams_max, &limits::STREAMS_RANGE);
    within(publish.record_bytes_max, &limits::RECORD_BYTES_RANGE);
    within(kafka.linger, &limits::LINGER_RANGE);
    within(kafka.batch_bytes, &limits::BATCH_BYTES_RANGE);
    within(kafka.topic.partitions, &limits::TOPIC_PARTITIONS_RANGE);
    within(kafka.topic.replication, &(-1..=limits::TOPIC_REPLICATION_MAX));
    assert_ne!(kafka.topic.replication, 0);
    within(forward.batch_bytes_max, &limits::FORWARD_BATCH_BYTES_RANGE);
    within(forward.batch_age_max, &limits::FORWARD_BATCH_AGE_RANGE);
    within(forward.requests_in_flight, &limits::FORWARD_REQUESTS_RANGE);
    within(forward.request_timeout, &limits::FORWARD_TIMEOUT_RANGE);
    within(forward.retry_backoff_min, &limits::FORWARD_BACKOFF_RANGE);
    within(forward.retry_backoff_max, &limits::FORWARD_BACKOFF_RANGE);
    for count in [threads.receive, threads.publish, threads.forward].into_iter().flatten() {
        within(count, &limits::THREADS_RANGE);
    }
    within(shutdown.drain_delay, &limits::DRAIN_DELAY_RANGE);
    within(shutdown.deadline, &limits::SHUTDOWN_DEADLINE_RANGE);
}

fn within<T: PartialOrd + Debug>(value: T, range: &RangeInclusive<T>) {
    assert!(range.contains(&value), "{value:?} is not within {range:?}");
}

/// What the parts rely on when they put two settings together.
fn check_rules(config: &Config) {
    let Config { receive, publish, kafka, forward, shutdown, .. } = config;
    let share = receive.bytes_in_flight_max / limits::BUDGET_SHARES_PER_CONNECTION;
    assert!(receive.request_bytes_max <= share);
    assert!(publish.record_bytes_max + limits::BATCH_FRAMING_BYTES <= kafka.batch_bytes);
    assert!(publish.record_bytes_max < forward.batch_bytes_max);
    assert!(shutdown.drain_delay < shutdown.deadline);
    assert!(forward.retry_backoff_min <= forward.retry_backoff_max);
    let ports_clash = receive.grpc_port == config.admin.http_port && receive.grpc_port != 0;
    assert!(!ports_clash || !config.role.receives());
    assert_ne!(kafka.topic.name, forward.dead_letter_topic);
    for topic in [&kafka.topic.name, &forward.dead_letter_topic] {
        let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
        assert!((1..=249).contains(&topic.len()) && topic.bytes().all(legal), "{topic:?}");
    }
    for broker in kafka.brokers.split(',').chain([forward.endpoint.as_str()]) {
        let port = broker.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        assert!(port.is_some_and(|port| port > 0), "{broker:?}");
        assert!(!broker.contains(|c: char| c == '@' || c.is_whitespace() || c.is_control()));
    }
}
