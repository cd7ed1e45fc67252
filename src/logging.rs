//! Where log lines go: standard error, as text or JSON. Set up once by the main thread.
//!
//! Lines of libraries are shown from `info` up only: at `debug` h2 alone writes one per frame.

use std::io::{self, IsTerminal};

use tracing::{Subscriber, level_filters::LevelFilter};
use tracing_subscriber::{
    Layer, filter::Targets, fmt, fmt::MakeWriter, layer::SubscriberExt, registry,
};

use crate::config::{LogConfig, LogFormat};

/// Sends every later event of the process to standard error.
///
/// A program that has its own subscriber already keeps it.
pub fn init(config: &LogConfig) {
    let lines = subscriber(config, io::stderr, io::stderr().is_terminal());
    // The only error is a subscriber that is there already.
    tracing::subscriber::set_global_default(lines).ok();
}

/// Writes the lines that `config` asks for; in colours only to a terminal.
fn subscriber<W>(config: &LogConfig, writer: W, terminal: bool) -> impl Subscriber + use<W>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let level = LevelFilter::from_level(config.level);
    let shown = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(level.min(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(writer);
    // The layer's own default honours NO_COLOR, which asking for colours would override.
    let lines = if terminal { lines } else { lines.with_ansi(false) };
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    registry().with(lines.with_filter(shown))
}

#[cfg(test)]
mod tests {
    use std::{fs, sync::Arc};

    use tracing::Level;

    use super::*;

    /// What is written, without a terminal, for one line of ours and one of a library, at `debug`.
    fn written(format: LogFormat) -> String {
        let file = tempfile::NamedTempFile::new().unwrap();
        let writer = Arc::new(file.reopen().unwrap());
        let config = LogConfig { level: Level::DEBUG, format };
        tracing::subscriber::with_default(subscriber(&config, writer, false), || {
            tracing::debug!(partition = 3, "ours");
            tracing::trace!("finer");
            tracing::debug!(target: "h2", "theirs");
        });
        fs::read_to_string(file.path()).unwrap()
    }

    /// Text has the fields and no colours; finer lines and chatty libraries are left out.
    #[test]
    fn text_is_plain() {
        let text = written(LogFormat::Text);
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(text.contains("ours partition=3") && !text.contains('\u{1b}'), "{text}");
    }

    /// JSON is one object per line, with the fields at its top.
    #[test]
    fn json_is_one_object() {
        let line: serde_json::Value = serde_json::from_str(&written(LogFormat::Json)).unwrap();
        assert_eq!((&line["message"], &line["level"]), (&"ours".into(), &"DEBUG".into()));
        assert_eq!(line["partition"], 3);
    }
}
