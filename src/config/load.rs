//! Builds [`Config`] from what was given. Runs once, on the main thread.

use std::collections::BTreeMap;

use super::{
    AdminConfig, ConfigError, ConfigErrors, ForwardConfig, KafkaConfig, LogConfig, PublishConfig,
    ReceiveConfig, Role, Setting, ShutdownConfig, Sources, ThreadsConfig, UnknownVariable,
    kinds::{Choices, Instance},
    reader::Reader,
    rules,
    unknown::{is_setting, meant, unknown_variables},
};

/// Every setting of the process.
#[derive(Clone, Debug)]
pub struct Config {
    /// Which halves of the pipeline this process runs.
    pub role: Role,
    /// Name of this instance, stable over restarts: enables static group membership.
    pub instance: Option<String>,
    /// OTLP listener and admission.
    pub receive: ReceiveConfig,
    /// How requests become records.
    pub publish: PublishConfig,
    /// Brokers, topic and client settings shared by both halves.
    pub kafka: KafkaConfig,
    /// Backend and the consumer side.
    pub forward: ForwardConfig,
    /// HTTP pages.
    pub admin: AdminConfig,
    /// Thread counts and pinning.
    pub threads: ThreadsConfig,
    /// Log level and format.
    pub log: LogConfig,
    /// Deadlines of an orderly end.
    pub shutdown: ShutdownConfig,
}

/// A configuration, and what there is to say about it.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The configuration.
    pub config: Config,
    /// Every setting with its effective value and where that came from.
    pub settings: Vec<Setting>,
    /// Variables that look like ours and are not.
    pub unknown: Vec<UnknownVariable>,
}

impl Loaded {
    /// What is legal and probably not meant: a warning at start, an error of `check`.
    ///
    /// Asks the system's resolver for the default broker, which may take seconds.
    pub fn doubts(&self) -> impl Iterator<Item = String> {
        let unknown = self.unknown.iter().map(ToString::to_string);
        unknown.chain(self.config.kafka.explain_default_broker())
    }
}

impl Config {
    /// Reads every setting from the sources.
    ///
    /// # Errors
    /// Every value that is refused and every rule between values that is broken, at once.
    pub fn load(sources: &Sources) -> Result<Loaded, ConfigErrors> {
        let mut reader = Reader::new(sources);
        let config = Self::read(&mut reader);
        let Reader { settings, mut errors, .. } = reader;
        let refused = |name: &&str| errors.iter().any(|error| error.concerns(name));
        // Where a value was refused its default stands in, about which no rule should complain.
        let broken: Vec<_> = rules::broken(&config)
            .filter(|error| !error.contradicting().iter().any(refused))
            .collect();
        errors.extend(broken);
        if !errors.is_empty() {
            return Err(ConfigErrors(errors));
        }
        let unknown = unknown_variables(&sources.variables, &settings);
        Ok(Loaded { config, settings, unknown })
    }

    /// Builds a configuration from variables alone, for programs that hold the pipeline as a
    /// library: `Config::from_pairs([("GRPC_PORT", "0"), ("KAFKA_BROKERS", "127.0.0.1:9092")])`.
    ///
    /// Neither the environment nor the command line is read.
    ///
    /// # Errors
    /// As [`Config::load`], and every name that is not a setting.
    pub fn from_pairs<N, V>(pairs: impl IntoIterator<Item = (N, V)>) -> Result<Self, ConfigErrors>
    where
        N: Into<String>,
        V: Into<String>,
    {
        let pairs = pairs.into_iter().map(|(name, value)| (name.into(), value.into()));
        let sources = Sources { variables: pairs.collect(), flags: BTreeMap::new() };
        let settings = Self::settings();
        let foreign = sources.variables.keys().filter(|name| !is_setting(name, &settings));
        let unknown = |name: &String| ConfigError::Unknown {
            name: name.clone(),
            meant: meant(name, &settings),
        };
        let mut errors: Vec<ConfigError> = foreign.map(unknown).collect();
        match Self::load(&sources) {
            Ok(loaded) if errors.is_empty() => Ok(loaded.config),
            Ok(_) => Err(ConfigErrors(errors)),
            Err(ConfigErrors(others)) => {
                errors.extend(others);
                Err(ConfigErrors(errors))
            }
        }
    }

    /// Describes every setting, with its default as its value.
    pub fn settings() -> Vec<Setting> {
        let nothing = Sources::default();
        let mut reader = Reader::new(&nothing);
        Self::read(&mut reader);
        reader.settings
    }

    /// Declares and reads every setting, in the order of `--help`.
    fn read(reader: &mut Reader<'_>) -> Self {
        reader.heading("Process");
        let role = reader.read("ROLE", Role::All, Choices::new(), "Which halves run here");
        let instance = reader.read(
            "INSTANCE",
            None,
            Instance,
            "Name of this instance that survives restarts, so that they cause no rebalance",
        );
        let receive = ReceiveConfig::read(reader);
        let publish = PublishConfig::read(reader);
        let kafka = KafkaConfig::read(reader);
        let forward = ForwardConfig::read(reader, &kafka.topic.name);
        let admin = AdminConfig::read(reader, receive.listen_address);
        let threads = ThreadsConfig::read(reader);
        let log = LogConfig::read(reader);
        let shutdown = ShutdownConfig::read(reader);
        Self { role, instance, receive, publish, kafka, forward, admin, threads, log, shutdown }
    }
}

impl Default for Config {
    /// Every setting at its default.
    fn default() -> Self {
        Self::read(&mut Reader::new(&Sources::default()))
    }
}
