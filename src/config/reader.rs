//! Reads one setting after the other, and remembers each: the declaration is the reading.
//!
//! Reading over no sources at all yields the defaults and the description of every setting. A
//! mistake never stops the reading: the default stands in, and the mistake is kept.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    fmt,
    fs::File,
    io::{self, Read},
};

use super::{error::ConfigError, kinds::Kind};
use crate::limits::SETTING_FILE_BYTES_MAX;

/// One setting: its description, and what this start made of it.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Group of `--help` and of the table.
    pub heading: &'static str,
    /// The variable.
    pub name: &'static str,
    /// Word for the value in `--help`, such as `SIZE`.
    pub placeholder: &'static str,
    /// What it does.
    pub help: &'static str,
    /// Default with its unit; empty = unset.
    pub default: String,
    /// Values that are taken, in words.
    pub allowed: String,
    /// The effective value with its unit, secrets masked.
    pub value: String,
    /// Where the effective value came from.
    pub origin: Origin,
}

impl Setting {
    /// The flag, without its dashes.
    pub fn flag(&self) -> String {
        flag(self.name)
    }
}

/// The flag of a variable, without its dashes: `KAFKA_TOPIC` is `--kafka-topic`.
pub(super) fn flag(name: &str) -> String {
    name.to_ascii_lowercase().replace('_', "-")
}

/// Where a value came from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Not set.
    Default,
    /// The variable.
    Environment,
    /// The file that `<variable>_FILE` names.
    File(String),
    /// The command line.
    Flag,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Environment => f.write_str("from the environment"),
            Self::File(path) => write!(f, "from the file {path}"),
            Self::Flag => f.write_str("from the command line"),
        }
    }
}

/// What was given: flags and variables by the variable's name. Never shown: it holds secrets.
#[derive(Clone, Default)]
pub struct Sources {
    /// Values of the command line.
    pub flags: BTreeMap<String, String>,
    /// Variables, ours and all others.
    pub variables: BTreeMap<String, String>,
}

impl Sources {
    /// Flags, and the variables of an environment (`std::env::vars_os()`).
    ///
    /// Bytes that are no UTF-8 become replacement characters, which no setting accepts.
    pub fn new(
        flags: BTreeMap<String, String>,
        environment: impl Iterator<Item = (OsString, OsString)>,
    ) -> Self {
        let text = |raw: OsString| raw.to_string_lossy().into_owned();
        let variables = environment.map(|(name, value)| (text(name), text(value))).collect();
        Self { flags, variables }
    }

    /// A variable that is set; an empty one is not, as in compose files' `${X:-}`.
    fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str).filter(|value| !value.is_empty())
    }

    /// What was given for a setting, by precedence.
    fn find(&self, name: &'static str) -> Result<Option<(String, Origin)>, ConfigError> {
        let variable = self.variable(name);
        let file = self.variable(&format!("{name}_FILE"));
        if variable.is_some() && file.is_some() {
            return Err(ConfigError::GivenTwice { name });
        }
        let found = if let Some(value) = self.flags.get(name) {
            Some((value.clone(), Origin::Flag))
        } else if let Some(value) = variable {
            Some((value.to_owned(), Origin::Environment))
        } else if let Some(path) = file {
            let content = read_file(path).map_err(|error| {
                let why = error.to_string();
                ConfigError::File { name, path: shown_path(path), why }
            })?;
            Some((content, Origin::File(path.to_owned())))
        } else {
            None
        };
        match found {
            Some((value, _)) if value.contains(char::REPLACEMENT_CHARACTER) => {
                Err(ConfigError::NotUtf8 { name })
            }
            found => Ok(found),
        }
    }
}

/// A path as it may be shown: the value itself may stand where its file's name belongs.
fn shown_path(path: &str) -> String {
    if path.contains(['=', '@']) { "***".to_owned() } else { path.to_owned() }
}

/// The content of a file less the newline that editors put at its end.
fn read_file(path: &str) -> io::Result<String> {
    let mut content = String::new();
    File::open(path)?.take(SETTING_FILE_BYTES_MAX as u64 + 1).read_to_string(&mut content)?;
    if content.len() > SETTING_FILE_BYTES_MAX {
        let why = format!("longer than {SETTING_FILE_BYTES_MAX} bytes");
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, why));
    }
    let line = content.strip_suffix('\n').unwrap_or(&content);
    Ok(line.strip_suffix('\r').unwrap_or(line).to_owned())
}

/// Reads settings from sources, keeping descriptions and mistakes.
pub(super) struct Reader<'s> {
    sources: &'s Sources,
    heading: &'static str,
    pub(super) settings: Vec<Setting>,
    pub(super) errors: Vec<ConfigError>,
}

impl<'s> Reader<'s> {
    /// Nothing read yet.
    pub(super) fn new(sources: &'s Sources) -> Self {
        Self { sources, heading: "", settings: Vec::new(), errors: Vec::new() }
    }

    /// Starts a group of settings.
    pub(super) fn heading(&mut self, heading: &'static str) {
        self.heading = heading;
    }

    /// Declares a setting and reads it; a refused value is kept as an error, the default returned.
    pub(super) fn read<K: Kind>(
        &mut self,
        name: &'static str,
        default: K::Value,
        kind: K,
        help: &'static str,
    ) -> K::Value {
        let shown_default = kind.show(&default);
        let (value, origin) = match self.given(name, &kind) {
            Ok(Some(given)) => given,
            Ok(None) => (default, Origin::Default),
            Err(error) => {
                self.errors.push(error);
                (default, Origin::Default)
            }
        };
        self.settings.push(Setting {
            heading: self.heading,
            name,
            placeholder: K::PLACEHOLDER,
            help,
            default: shown_default,
            allowed: kind.allowed(),
            value: kind.show(&value),
            origin,
        });
        value
    }

    /// The typed value that was given for a setting, and where.
    fn given<K: Kind>(
        &self,
        name: &'static str,
        kind: &K,
    ) -> Result<Option<(K::Value, Origin)>, ConfigError> {
        let Some((raw, origin)) = self.sources.find(name)? else { return Ok(None) };
        match kind.parse(&raw) {
            Ok(value) => Ok(Some((value, origin))),
            Err(why) => {
                let (value, allowed) = (kind.mask(&raw), kind.allowed());
                Err(ConfigError::Refused { name, value, origin, why, allowed })
            }
        }
    }
}
