//! What the operator decided: validated, typed, immutable after start.
//!
//! [`Config`] is built once on the main thread and handed to every part by reference or `Arc`;
//! nothing else reads the environment.

mod sections;

pub use sections::{
    AdminConfig, Compression, Config, ForwardConfig, KafkaConfig, LogConfig, LogFormat,
    Partitioner, Pinning, PublishConfig, ReceiveConfig, Role, Secret, ShutdownConfig,
    ThreadsConfig, TopicConfig,
};
