//! Names that Kafka knows: topics, groups, members of groups.

use super::Kind;

/// Longest topic name: Kafka makes a folder of it.
const TOPIC_CHARS_MAX: usize = 249;
/// Room for the thread's number behind the instance in `group.instance.id`.
const INSTANCE_CHARS_MAX: usize = 200;
/// Longest name of a group.
const GROUP_CHARS_MAX: usize = 255;

/// A legal topic name.
pub(in crate::config) struct Topic;

impl Kind for Topic {
    type Value = String;
    const PLACEHOLDER: &'static str = "NAME";

    fn allowed(&self) -> String {
        format!("1 to {TOPIC_CHARS_MAX} of the characters A-Z a-z 0-9 . _ -")
    }

    fn parse(&self, raw: &str) -> Result<String, String> {
        match raw {
            "." | ".." => Err("reserved by Kafka".to_owned()),
            _ => legal(raw, TOPIC_CHARS_MAX),
        }
    }

    fn show(&self, name: &String) -> String {
        name.clone()
    }
}

/// True for what a topic may be called.
pub(crate) fn is_topic(name: &str) -> bool {
    Topic.parse(name).is_ok()
}

/// A consumer group's name.
pub(in crate::config) struct Group;

impl Kind for Group {
    type Value = String;
    const PLACEHOLDER: &'static str = "NAME";

    fn allowed(&self) -> String {
        format!("1 to {GROUP_CHARS_MAX} characters, no control characters")
    }

    fn parse(&self, raw: &str) -> Result<String, String> {
        if raw.is_empty() || raw.len() > GROUP_CHARS_MAX {
            Err(format!("{} characters long", raw.len()))
        } else if raw.chars().any(char::is_control) {
            Err("contains a control character".to_owned())
        } else {
            Ok(raw.to_owned())
        }
    }

    fn show(&self, name: &String) -> String {
        name.clone()
    }
}

/// The name of an instance; unset unless given.
pub(in crate::config) struct Instance;

impl Kind for Instance {
    type Value = Option<String>;
    const PLACEHOLDER: &'static str = "NAME";

    fn allowed(&self) -> String {
        format!("1 to {INSTANCE_CHARS_MAX} of the characters A-Z a-z 0-9 . _ -")
    }

    fn parse(&self, raw: &str) -> Result<Option<String>, String> {
        legal(raw, INSTANCE_CHARS_MAX).map(Some)
    }

    fn show(&self, name: &Option<String>) -> String {
        name.clone().unwrap_or_default()
    }
}

/// The characters that Kafka allows in topics and instance ids.
fn legal(raw: &str, chars_max: usize) -> Result<String, String> {
    let foreign = raw.chars().find(|c| !(c.is_ascii_alphanumeric() || "._-".contains(*c)));
    match foreign {
        Some(foreign) => Err(format!("contains {foreign:?}")),
        None if raw.is_empty() || raw.len() > chars_max => {
            Err(format!("{} characters long", raw.len()))
        }
        None => Ok(raw.to_owned()),
    }
}
