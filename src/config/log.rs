//! What is logged, and how a line looks.

use tracing::Level;

use super::{
    kinds::{Choice, Choices},
    reader::Reader,
};

/// `LOG_LEVEL`, `LOG_FORMAT`.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Least severe level shown.
    pub level: Level,
    /// Lines for people or for machines.
    pub format: LogFormat,
}

impl LogConfig {
    pub(super) fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Log");
        Self {
            level: reader.read(
                "LOG_LEVEL",
                Level::INFO,
                Choices::new(),
                "Least severe lines that are written, to standard error",
            ),
            format: reader.read(
                "LOG_FORMAT",
                LogFormat::Text,
                Choices::new(),
                "Lines of text, or one JSON object per line",
            ),
        }
    }
}

/// How a log line looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}

impl Choice for LogFormat {
    const CHOICES: &'static [(&'static str, Self)] = &[("text", Self::Text), ("json", Self::Json)];
}
