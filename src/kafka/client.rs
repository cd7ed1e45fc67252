//! The one way to make a client of librdkafka: whatever goes wrong, the error shows no credential.
//!
//! Called where clients are made. Must not add settings: those have their reasons in `settings`.

use rdkafka::{
    ClientConfig, ClientContext,
    config::FromClientConfigAndContext,
    error::{KafkaError, KafkaResult},
    types::RDKafkaConfRes,
};

use crate::config::is_credential;

/// Creates a client, which connects in the background.
///
/// # Errors
/// librdkafka's refusal of a setting, or no resources.
pub(super) fn create<C: ClientContext, T: FromClientConfigAndContext<C>>(
    settings: &ClientConfig,
    context: C,
) -> KafkaResult<T> {
    T::from_config_and_context(settings, context).map_err(without_credentials)
}

/// librdkafka's words on a property, with its value only where that is known to be harmless.
fn without_credentials(error: KafkaError) -> KafkaError {
    const MASK: &str = "***";
    match error {
        // A property that librdkafka does not know may be a credential's, misspelt.
        KafkaError::ClientConfig(RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN, words, key, _) => {
            let kind = RDKafkaConfRes::RD_KAFKA_CONF_UNKNOWN;
            KafkaError::ClientConfig(kind, words, key, MASK.to_owned())
        }
        // The words repeat the value.
        KafkaError::ClientConfig(kind, _, key, _) if is_credential(&key) => {
            KafkaError::ClientConfig(kind, "value refused".to_owned(), key, MASK.to_owned())
        }
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use rdkafka::producer::{BaseProducer, DefaultProducerContext};

    use super::*;

    fn refusal(key: &str, value: &str) -> String {
        let mut settings = ClientConfig::new();
        settings.set(key, value);
        let made: KafkaResult<BaseProducer> = create(&settings, DefaultProducerContext);
        made.err().expect("librdkafka refuses it").to_string()
    }

    /// A misspelt property is named, and its value, which may be a password, is not.
    #[test]
    fn unknown_property_keeps_its_value() {
        for key in ["sasl.pasword", "no.such.property"] {
            let text = refusal(key, "canary");
            assert!(text.contains(key) && !text.contains("canary"), "{text}");
        }
    }

    /// An illegal value is shown where it helps, and not where it is a credential.
    #[test]
    fn illegal_value_is_shown_unless_secret() {
        assert!(refusal("socket.timeout.ms", "soon").contains("soon"));
        let error = |key: &str| {
            let (kind, value) = (RDKafkaConfRes::RD_KAFKA_CONF_INVALID, "canary".to_owned());
            let words = "Invalid value canary".to_owned();
            KafkaError::ClientConfig(kind, words, key.to_owned(), value)
        };
        let text = without_credentials(error("ssl.key.pem")).to_string();
        assert!(text.contains("ssl.key.pem") && !text.contains("canary"), "{text}");
    }
}
