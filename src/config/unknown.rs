//! Variables that look like ours and are no setting: most often a misspelt one.
//!
//! They are a warning at start and an error of `check`. An unknown variable changes nothing, and
//! environments hold the variables of other programs too (`KAFKA_HEAP_OPTS`,
//! `JAEGER_AGENT_HOST`): refusing to start would make an outage of a harmless line. Whoever runs
//! `check` asks for every mistake.

use std::collections::BTreeMap;

use super::reader::Setting;

/// Variables with these beginnings are taken to be meant for us. `OTEL_*` is the SDKs' own.
const PREFIXES: [&str; 4] = ["FORWARD_", "JAEGER_", "KAFKA_", "OTLP_"];

/// A variable that no setting reads.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} is not a setting and has no effect{}", did_you_mean(meant.as_deref()))]
pub struct UnknownVariable {
    /// Its name.
    pub name: String,
    /// The setting it may have been meant for.
    pub meant: Option<String>,
}

/// The end of a sentence about an unknown name.
pub(super) fn did_you_mean(meant: Option<&str>) -> String {
    meant.map_or_else(String::new, |meant| format!(": did you mean {meant}?"))
}

/// Variables with one of our prefixes that are neither a setting, its file, nor a service link.
pub(super) fn unknown_variables(
    variables: &BTreeMap<String, String>,
    settings: &[Setting],
) -> Vec<UnknownVariable> {
    let ours = |name: &str| PREFIXES.iter().any(|prefix| name.starts_with(prefix));
    variables
        .iter()
        .filter(|(name, value)| ours(name) && !is_service_link(name, value))
        .filter(|(name, _)| !is_setting(name, settings))
        .map(|(name, _)| UnknownVariable { name: name.clone(), meant: meant(name, settings) })
        .collect()
}

/// True for a setting's variable and for its `*_FILE`.
pub(super) fn is_setting(name: &str, settings: &[Setting]) -> bool {
    let base = name.strip_suffix("_FILE").unwrap_or(name);
    settings.iter().any(|setting| setting.name == name || setting.name == base)
}

/// The setting whose name is nearest to `name`, when one is near.
pub(super) fn meant(name: &str, settings: &[Setting]) -> Option<String> {
    let (base, file) = match name.strip_suffix("_FILE") {
        Some(base) => (base, "_FILE"),
        None => (name, ""),
    };
    let nearest = settings
        .iter()
        .map(|setting| (distance(base, setting.name), setting.name))
        .min()
        .filter(|(distance, _)| *distance <= (base.len() / 4).max(2));
    let prefix = base.split_inclusive('_').next().unwrap_or(base);
    let mut akin = settings.iter().filter(|setting| setting.name.starts_with(prefix));
    let only = akin.next().filter(|_| akin.next().is_none());
    let name = nearest.map(|(_, name)| name).or_else(|| only.map(|setting| setting.name))?;
    Some(format!("{name}{file}"))
}

/// Edits between two names, where another order of the words is no edit.
fn distance(a: &str, b: &str) -> usize {
    let sorted = |name: &str| {
        let mut words: Vec<&str> = name.split('_').collect();
        words.sort_unstable();
        words.join("_")
    };
    levenshtein(a, b).min(levenshtein(&sorted(a), &sorted(b)))
}

fn levenshtein(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, from) in a.bytes().enumerate() {
        let mut diagonal = std::mem::replace(&mut row[0], i + 1);
        for (j, to) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(from != to);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

/// True for what Kubernetes sets for a Service, as in `KAFKA_PORT=tcp://10.0.0.1:9092`,
/// `KAFKA_SERVICE_HOST`, `KAFKA_SERVICE_PORT_CLIENT`, `KAFKA_PORT_9092_TCP_ADDR`.
fn is_service_link(name: &str, value: &str) -> bool {
    let link_value = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if name.ends_with("_SERVICE_HOST") || name.ends_with("_SERVICE_PORT") {
        return true;
    }
    if name.contains("_SERVICE_PORT_") || (name.ends_with("_PORT") && link_value) {
        return true;
    }
    name.match_indices("_PORT_").any(|(at, port)| {
        let rest = name[at + port.len()..].split_once('_');
        rest.is_some_and(|(number, protocol)| {
            let known = ["TCP", "UDP", "SCTP"].iter().any(|known| protocol.starts_with(known));
            known && !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit())
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    fn unknown(variables: &[(&str, &str)]) -> Vec<UnknownVariable> {
        let pairs = variables.iter().map(|(name, value)| ((*name).into(), (*value).into()));
        unknown_variables(&pairs.collect(), &Config::settings())
    }

    /// Misspelt variables, files among them, are found and the nearest setting is named.
    #[test]
    fn misspelt_variables_are_found() {
        for (name, meant) in [
            ("KAFKA_BROKER", Some("KAFKA_BROKERS")),
            ("KAFKA_TOPC_FILE", Some("KAFKA_TOPIC_FILE")),
            ("OTLP_MAX_REQUEST_BYTES", Some("OTLP_REQUEST_BYTES_MAX")),
            ("JAEGER_URL", Some("JAEGER_ENDPOINT")),
            ("FORWARD_BATCH_BYTE", Some("FORWARD_BATCH_BYTES")),
            ("KAFKA_HEAP_OPTS", None),
        ] {
            let meant = meant.map(str::to_owned);
            assert_eq!(unknown(&[(name, "x")]), [UnknownVariable { name: name.into(), meant }]);
        }
    }

    /// Settings, their files, Kubernetes service links and foreign variables are left alone.
    #[test]
    fn others_are_left_alone() {
        let variables = [
            ("KAFKA_BROKERS", "kafka:9092"),
            ("KAFKA_PRODUCER_CONFIG_FILE", "/run/secrets/kafka"),
            ("KAFKA_PORT", "tcp://10.0.0.1:9092"),
            ("KAFKA_SERVICE_HOST", "10.0.0.1"),
            ("KAFKA_SERVICE_PORT", "9092"),
            ("KAFKA_SERVICE_PORT_CLIENT", "9092"),
            ("KAFKA_PORT_9092_TCP", "tcp://10.0.0.1:9092"),
            ("KAFKA_PORT_9092_TCP_ADDR", "10.0.0.1"),
            ("JAEGER_COLLECTOR_PORT_4317_TCP_PROTO", "tcp"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://localhost:4317"),
            ("PATH", "/usr/bin"),
        ];
        assert_eq!(unknown(&variables), []);
    }

    /// A port that is no service link is not excepted.
    #[test]
    fn plain_port_is_unknown() {
        assert_eq!(unknown(&[("KAFKA_PORT", "9092"), ("KAFKA_PORT_X_TCP", "1")]).len(), 2);
    }
}
