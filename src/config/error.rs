//! What can be wrong with the settings, in words that name the setting and what is allowed.

use std::fmt;

use super::{
    reader::{Origin, flag},
    unknown::did_you_mean,
};

/// One mistake in the settings.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A value that the setting does not take. `value` is already masked.
    #[error("{name} (--{}) is `{value}` ({origin}): {why}; allowed: {allowed}", flag(name))]
    Refused {
        /// The variable.
        name: &'static str,
        /// What was given, without its secrets.
        value: String,
        /// Where it was given.
        origin: Origin,
        /// What is wrong with it.
        why: String,
        /// What would be right.
        allowed: String,
    },
    /// Values that are fine alone and not together.
    #[error("{}: {why}", names.join(" and "))]
    Contradiction {
        /// The variables concerned.
        names: &'static [&'static str],
        /// Their values, and what must hold between them.
        why: String,
    },
    /// A variable and its `*_FILE` variable at once.
    #[error("{name} and {name}_FILE are both set: keep one of them")]
    GivenTwice {
        /// The variable.
        name: &'static str,
    },
    /// A `*_FILE` variable names a file that cannot be used.
    #[error("{name}_FILE names `{path}`, which cannot be used: {why}")]
    File {
        /// The variable without `_FILE`.
        name: &'static str,
        /// The file.
        path: String,
        /// The system's answer.
        why: String,
    },
    /// A value with bytes that are no text.
    #[error("{name} (--{}) is not valid UTF-8; allowed: text", flag(name))]
    NotUtf8 {
        /// The variable.
        name: &'static str,
    },
    /// A name given to [`super::Config::from_pairs`] that no setting has.
    #[error("{name} is not a setting{}", did_you_mean(meant.as_deref()))]
    Unknown {
        /// The name as given.
        name: String,
        /// The setting it may have been meant for.
        meant: Option<String>,
    },
}

impl ConfigError {
    /// True when `name` has no value to compare others with.
    pub(super) fn concerns(&self, name: &str) -> bool {
        match self {
            Self::Refused { name: own, .. }
            | Self::GivenTwice { name: own }
            | Self::File { name: own, .. }
            | Self::NotUtf8 { name: own } => *own == name,
            Self::Contradiction { .. } | Self::Unknown { .. } => false,
        }
    }

    /// The settings that do not fit together; none unless that is the error.
    pub(super) fn contradicting(&self) -> &'static [&'static str] {
        match self {
            Self::Contradiction { names, .. } => names,
            _ => &[],
        }
    }
}

/// Every mistake in the settings; never empty.
#[derive(Debug)]
pub struct ConfigErrors(pub(super) Vec<ConfigError>);

impl ConfigErrors {
    /// The mistakes, in the order of the settings.
    pub fn iter(&self) -> impl Iterator<Item = &ConfigError> {
        self.0.iter()
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} in the settings:", if self.0.len() == 1 { "error" } else { "errors" })?;
        self.0.iter().try_for_each(|error| write!(f, "\n  {error}"))
    }
}

impl std::error::Error for ConfigErrors {}
