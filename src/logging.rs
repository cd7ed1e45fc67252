//! Where log lines go: standard error, as text or JSON. Set up once by the main thread.
//!
//! Lines of libraries are shown from `info` up only: at `debug` h2 alone writes one per frame.

use std::io::{self, IsTerminal};

use tracing::level_filters::LevelFilter;
use tracing_subscriber::{Layer, filter::Targets, fmt, layer::SubscriberExt};

use crate::config::{LogConfig, LogFormat};

/// Sends every later event of the process to standard error.
///
/// A program that has its own subscriber already keeps it.
pub fn init(config: &LogConfig) {
    let level = LevelFilter::from_level(config.level);
    let shown = Targets::new()
        .with_target(env!("CARGO_CRATE_NAME"), level)
        .with_default(level.min(LevelFilter::INFO));
    let lines = fmt::layer().with_writer(io::stderr);
    // The layer's own default honours NO_COLOR, which asking for colours would override.
    let lines = if io::stderr().is_terminal() { lines } else { lines.with_ansi(false) };
    let lines = match config.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().flatten_event(true).boxed(),
    };
    let subscriber = tracing_subscriber::registry().with(lines.with_filter(shown));
    // The only error is a subscriber that is there already.
    tracing::subscriber::set_global_default(subscriber).ok();
}
