//! One word out of a few.

use std::marker::PhantomData;

use super::Kind;

/// A type whose values have names.
pub(in crate::config) trait Choice: Copy + PartialEq + 'static {
    /// Every value with its name.
    const CHOICES: &'static [(&'static str, Self)];
}

impl Choice for bool {
    const CHOICES: &'static [(&'static str, Self)] = &[("true", true), ("false", false)];
}

impl Choice for tracing::Level {
    const CHOICES: &'static [(&'static str, Self)] = &[
        ("error", Self::ERROR),
        ("warn", Self::WARN),
        ("info", Self::INFO),
        ("debug", Self::DEBUG),
        ("trace", Self::TRACE),
    ];
}

/// The names of a [`Choice`].
pub(in crate::config) struct Choices<T>(PhantomData<T>);

impl<T> Choices<T> {
    /// The kind for `T`.
    pub(in crate::config) fn new() -> Self {
        Self(PhantomData)
    }
}

impl<T: Choice> Kind for Choices<T> {
    type Value = T;
    const PLACEHOLDER: &'static str = "WORD";

    fn allowed(&self) -> String {
        T::CHOICES.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ")
    }

    fn parse(&self, raw: &str) -> Result<T, String> {
        let choice = T::CHOICES.iter().find(|(name, _)| name.eq_ignore_ascii_case(raw));
        choice.map(|(_, value)| *value).ok_or_else(|| "not one of the words".to_owned())
    }

    fn show(&self, value: &T) -> String {
        let choice = T::CHOICES.iter().find(|(_, choice)| choice == value);
        choice.map_or_else(String::new, |(name, _)| (*name).to_owned())
    }
}
