//! Free librdkafka properties: `key=value` pairs between commas or line ends.
//!
//! `\,`, `\\` and `\n` in a value stand for a comma, a backslash and a line end, so that passwords
//! and PEM blocks fit. No part of a refused text is shown but a key that is surely one: the rest
//! may be a piece of a password.

use std::fmt;

use super::{
    Kind,
    refusals::{Client, missing_feature, refusal},
};

/// A value that `--print-config` and `Debug` mask when it is a credential.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret {
    /// The value as given to librdkafka.
    pub value: String,
    /// True when it must not be shown.
    pub masked: bool,
}

impl Secret {
    /// The value, or three stars.
    fn shown(&self) -> &str {
        if self.masked { "***" } else { &self.value }
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.shown())
    }
}

/// The properties of one client.
pub(in crate::config) struct Overrides(pub(in crate::config) Client);

impl Kind for Overrides {
    type Value = Vec<(String, Secret)>;
    const PLACEHOLDER: &'static str = "KEY=VALUE,...";

    fn allowed(&self) -> String {
        "key=value pairs, separated by commas or line ends; in a value `\\,`, `\\\\` and `\\n` \
         stand for a comma, a backslash and a line end"
            .to_owned()
    }

    fn parse(&self, raw: &str) -> Result<Self::Value, String> {
        let mut overrides: Self::Value = Vec::new();
        let mut mistakes = Vec::new();
        for (index, pair) in split_pairs(raw)?.iter().enumerate() {
            match self.parse_pair(pair) {
                Ok((key, _)) if overrides.iter().any(|(given, _)| *given == key) => {
                    mistakes.push(format!("`{key}` is given twice"));
                }
                Ok(property) => overrides.push(property),
                Err(why) => mistakes.push(format!("pair {}: {why}", index + 1)),
            }
        }
        mistakes.extend(missing_mechanism(&overrides));
        if mistakes.is_empty() { Ok(overrides) } else { Err(mistakes.join("; ")) }
    }

    fn show(&self, overrides: &Self::Value) -> String {
        let pairs = overrides.iter().map(|(key, value)| format!("{key}={}", escape(value.shown())));
        pairs.collect::<Vec<_>>().join(",")
    }

    /// All of it: where it could not be read, nothing tells what is a credential.
    fn mask(&self, _raw: &str) -> String {
        "***".to_owned()
    }
}

impl Overrides {
    fn parse_pair(&self, pair: &str) -> Result<(String, Secret), String> {
        let property = pair.split_once('=').map(|(key, value)| (key.trim(), value.trim()));
        let Some((key, value)) = property.filter(|(key, _)| is_key(key)) else {
            return Err("not key=value (a comma inside a value is written `\\,`)".to_owned());
        };
        if let Some(why) = refusal(self.0, key).or_else(|| missing_feature(key, value)) {
            return Err(format!("`{key}` is refused: {why}"));
        }
        Ok((key.to_owned(), Secret { value: value.to_owned(), masked: is_credential(key) }))
    }
}

/// SASL without a mechanism: librdkafka would take Kerberos, which no build has.
fn missing_mechanism(overrides: &[(String, Secret)]) -> Option<String> {
    let value = |key: &str| overrides.iter().find(|(given, _)| given.starts_with(key));
    let (_, protocol) = value("security.protocol")?;
    let sasl = protocol.value.to_ascii_lowercase().starts_with("sasl");
    let missing = sasl && value("sasl.mechanism").is_none();
    missing.then(|| "`sasl.mechanism` is missing: SCRAM-SHA-256, SCRAM-SHA-512 or PLAIN".to_owned())
}

/// The pairs with their escapes undone; blank ones left out.
fn split_pairs(raw: &str) -> Result<Vec<String>, String> {
    let mut pairs = vec![String::new()];
    let mut characters = raw.chars();
    while let Some(character) = characters.next() {
        let literal = match character {
            ',' | '\n' => {
                pairs.push(String::new());
                continue;
            }
            '\\' => match characters.next() {
                Some('n') => '\n',
                Some(escaped @ (',' | '\\')) => escaped,
                _ => return Err("a lone backslash is written `\\\\`".to_owned()),
            },
            other => other,
        };
        if let Some(pair) = pairs.last_mut() {
            pair.push(literal);
        }
    }
    pairs.retain(|pair| !pair.trim().is_empty());
    Ok(pairs)
}

fn escape(value: &str) -> String {
    value.replace('\\', "\\\\").replace(',', "\\,").replace('\n', "\\n")
}

/// True for what librdkafka's properties look like; of those without a dot there are few.
fn is_key(key: &str) -> bool {
    let legal = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "._".contains(c);
    let bare = ["acks", "debug", "interceptors", "log_level", "opaque", "partitioner", "retries"];
    let joined = key.contains('.') || key.contains('_');
    key.chars().all(legal) && (joined || bare.contains(&key))
}

/// True when the value of `key` must not be shown. Too many rather than too few: a misspelt
/// property may hold a credential too. The path of one may be shown.
pub(crate) fn is_credential(key: &str) -> bool {
    let parts = ["pas", "pwd", "secret", "token", "key", "credential", "jaas", "pem"];
    let harmless = [".location", ".file", ".certificate.pem", ".ca.pem"];
    parts.iter().any(|part| key.contains(part)) && !harmless.iter().any(|end| key.ends_with(end))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs split at commas and line ends; values keep `=`, escaped commas, backslashes and lines.
    #[test]
    fn pairs_are_split_and_round_trip() {
        let raw = "client.id=a=b, sasl.username=x\\,y\n\nclient.rack=c\\\\d,debug=e\\nf,";
        let kind = Overrides(Client::Producer);
        let overrides = kind.parse(raw).unwrap();
        let pairs: Vec<_> = overrides.iter().map(|(k, v)| (k.as_str(), v.value.as_str())).collect();
        let expected = [
            ("client.id", "a=b"),
            ("sasl.username", "x,y"),
            ("client.rack", "c\\d"),
            ("debug", "e\nf"),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(kind.parse(&kind.show(&overrides)).unwrap(), overrides);
    }

    /// Every mistake of one text is named, the promise's among them with its reason.
    #[test]
    fn mistakes_are_reported_together() {
        let raw = "acks=1,linger.ms=5,client.id=a,client.id=b,oops";
        let why = Overrides(Client::Producer).parse(raw).unwrap_err();
        for part in ["`acks` is refused: the promise", "KAFKA_LINGER", "given twice", "pair 5"] {
            assert!(why.contains(part), "{part} is not in: {why}");
        }
    }

    /// No piece of a password shows in an error, whichever way the password broke the pairs.
    #[test]
    fn errors_show_no_piece_of_a_password() {
        for raw in [
            "sasl.password:canary1",
            "sasl.password=a,canary1",
            "sasl.password=a,canary1=b",
            "sasl.password=a\\canary1",
        ] {
            let kind = Overrides(Client::Consumer);
            let shown = format!("{} {}", kind.parse(raw).unwrap_err(), kind.mask(raw));
            assert!(!shown.contains("canary1"), "{shown}");
        }
    }

    /// Credentials are masked wherever a value is shown; their paths are not.
    #[test]
    fn credentials_are_masked() {
        let raw = "sasl.password=canary,sasl.pasword=canary,group.api.key=canary,my_secret=canary";
        let kind = Overrides(Client::Consumer);
        let overrides = kind.parse(raw).unwrap();
        assert!(!format!("{} {overrides:?}", kind.show(&overrides)).contains("canary"));
        assert!(is_credential("ssl.key.pem") && is_credential("ssl.keystore.password"));
        assert!(!is_credential("ssl.key.location") && !is_credential("ssl.ca.pem"));
    }
}
