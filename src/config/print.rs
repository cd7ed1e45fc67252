//! The settings as text: an env file for `--print-config`, a table for README. Pure.

use super::{Config, Loaded, Setting};

impl Loaded {
    /// The effective values with their origins, as a file that `env_file:` of compose, systemd's
    /// `EnvironmentFile=` and a shell read. Secrets are masked.
    pub fn env_file(&self) -> String {
        let mut file = String::new();
        for (heading, settings) in by_heading(&self.settings) {
            file.push_str(&format!("# {heading}\n\n"));
            for setting in settings {
                file.push_str(&format!(
                    "# {}\n{}={}\n",
                    setting.origin,
                    setting.name,
                    quote(&setting.value)
                ));
            }
            file.push('\n');
        }
        file.truncate(file.trim_end().len());
        file.push('\n');
        file
    }
}

/// Every setting as Markdown tables, one per group, for README.
pub fn settings_markdown() -> String {
    let mut text = String::new();
    for (heading, settings) in by_heading(&Config::settings()) {
        text.push_str(&format!(
            "### {heading}\n\n| variable | default | what it does | allowed |\n"
        ));
        text.push_str("|---|---|---|---|\n");
        for setting in settings {
            let default = match setting.default.as_str() {
                "" => "unset".to_owned(),
                default => format!("`{default}`"),
            };
            let (name, help, allowed) = (setting.name, setting.help, &setting.allowed);
            text.push_str(&format!("| `{name}` | {default} | {help} | {allowed} |\n"));
        }
        text.push('\n');
    }
    text.truncate(text.trim_end().len());
    text.push('\n');
    text
}

/// The settings in their groups, in the order of their reading.
fn by_heading(settings: &[Setting]) -> impl Iterator<Item = (&'static str, &[Setting])> {
    let groups = settings.chunk_by(|a, b| a.heading == b.heading);
    groups.map(|group| (group[0].heading, group))
}

/// The value as it stands, in quotes where a shell would change it.
fn quote(value: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.,:/=+@%*".contains(c);
    if value.chars().all(plain) {
        value.to_owned()
    } else if !value.contains('\'') {
        format!("'{value}'")
    } else {
        let mut quoted = String::from("\"");
        for character in value.chars() {
            if "\"\\$`".contains(character) {
                quoted.push('\\');
            }
            quoted.push(character);
        }
        quoted + "\""
    }
}
