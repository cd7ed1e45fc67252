//! What the operator decided: validated, typed, immutable after start.
//!
//! [`Config`] is built once on the main thread and handed to every part by reference or `Arc`;
//! nothing else reads the environment. A setting is declared where it is read, in the file of its
//! section: name, default, kind and help in one call. Everything else derives from that call: the
//! flags and `--help` ([`crate::cli`]), `--print-config`, the table in README, the search for
//! misspelt variables.
//!
//! A value comes from the flag, else the variable, else the file that `<variable>_FILE` names, else
//! the default. Every mistake is reported at once.
//!
//! Imports nothing of its crate but `limits` and `otlp`, so that the fuzz targets can include it.

mod admin;
mod error;
mod forward;
mod kafka;
mod kinds;
mod load;
mod log;
mod print;
mod publish;
mod reader;
mod receive;
mod role;
mod rules;
mod shutdown;
#[cfg(test)]
mod tests;
mod threads;
mod unknown;

pub use admin::AdminConfig;
pub use error::{ConfigError, ConfigErrors};
pub use forward::ForwardConfig;
pub use kafka::{Compression, KafkaConfig, TopicConfig};
pub use kinds::Secret;
pub(crate) use kinds::{is_credential, is_topic, parse_duration};
pub use load::{Config, Loaded};
pub use log::{LogConfig, LogFormat};
pub use print::settings_markdown;
pub use publish::{Partitioner, PublishConfig};
pub use reader::{Origin, Setting, Sources};
pub use receive::ReceiveConfig;
pub use role::Role;
pub use shutdown::ShutdownConfig;
pub use threads::{Pinning, ThreadsConfig};
pub use unknown::UnknownVariable;
