//! What every kind of value answers.

/// How a setting's value is written.
pub(in crate::config) trait Kind {
    /// The typed value.
    type Value;
    /// Word for the value in `--help`.
    const PLACEHOLDER: &'static str;

    /// The values that are taken, in words that complete "allowed: ".
    fn allowed(&self) -> String;

    /// The value of a text; the error completes "is `...`: ".
    fn parse(&self, raw: &str) -> Result<Self::Value, String>;

    /// The text of a value, which [`Kind::parse`] reads back, less its secrets.
    fn show(&self, value: &Self::Value) -> String;

    /// A refused text as it may appear in an error.
    fn mask(&self, raw: &str) -> String {
        raw.to_owned()
    }
}
