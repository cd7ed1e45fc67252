//! The `check` task: says line by line whether the pipeline could work with these settings, and
//! what to do where it could not.
//!
//! Runs on the main thread of a process of its own, asks what the role needs and no more, changes
//! nothing. What can be asked of Kafka is in [`crate::kafka`], of the backend in
//! [`crate::forward`].

use std::{
    fmt,
    io::{self, ErrorKind, Write},
    net::{IpAddr, TcpListener},
};

use crate::{
    config::{Config, Loaded},
    forward::probe_backend,
    kafka::KafkaProbe,
};

/// How something stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// As it should be.
    Ok,
    /// Worth knowing; the pipeline may work all the same.
    Warn,
    /// The pipeline will not work.
    Fail,
}

/// One line of the check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// How it stands.
    pub verdict: Verdict,
    /// What was looked at, in one word.
    pub subject: &'static str,
    /// What was found, and the fix.
    pub text: String,
}

impl Finding {
    /// As it should be.
    pub fn ok(subject: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Ok, subject, text: text.into() }
    }

    /// Worth knowing.
    pub fn warn(subject: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Warn, subject, text: text.into() }
    }

    /// To be mended; `text` ends with how.
    pub fn fail(subject: &'static str, text: impl Into<String>) -> Self {
        Self { verdict: Verdict::Fail, subject, text: text.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let verdict = match self.verdict {
            Verdict::Ok => "ok",
            Verdict::Warn => "warn",
            Verdict::Fail => "FAIL",
        };
        write!(f, "{verdict:<4}  {:<8}  {}", self.subject, self.text)
    }
}

/// Checks everything the role needs and writes a line for each as soon as it is known; true when
/// nothing has to be mended. Each silent party is waited for at most
/// [`crate::limits::ADMIN_TIMEOUT`].
///
/// # Errors
/// `out` does not take the lines.
pub fn run(loaded: &Loaded, out: &mut dyn Write) -> io::Result<bool> {
    let config = &loaded.config;
    let mut report = Report { out, sound: true };
    report.tell(settings(loaded))?;
    report.tell(listeners(config))?;
    match connect(config) {
        Ok(kafka) => {
            report.tell([kafka.broker()])?;
            report.tell(kafka.topics())?;
            report.tell(config.role.forwards().then(|| kafka.group()))?;
        }
        Err(finding) => report.tell([finding])?,
    }
    report.tell(config.role.forwards().then(|| probe_backend(&config.forward)))?;
    Ok(report.sound)
}

struct Report<'a> {
    out: &'a mut dyn Write,
    sound: bool,
}

impl Report<'_> {
    fn tell(&mut self, findings: impl IntoIterator<Item = Finding>) -> io::Result<()> {
        for finding in findings {
            self.sound &= finding.verdict != Verdict::Fail;
            writeln!(self.out, "{finding}")?;
        }
        Ok(())
    }
}

/// Mistakes in values have ended the process before; left are names that nobody reads.
fn settings(loaded: &Loaded) -> Vec<Finding> {
    if loaded.unknown.is_empty() {
        return vec![Finding::ok("settings", "every value is allowed, no variable is unknown")];
    }
    loaded.unknown.iter().map(|unknown| Finding::fail("settings", unknown.to_string())).collect()
}

fn listeners(config: &Config) -> Vec<Finding> {
    let (receive, admin) = (&config.receive, &config.admin);
    let otlp = config.role.receives().then(|| {
        let (address, port) = (receive.listen_address, receive.grpc_port);
        listener("GRPC_PORT", address, port)
    });
    let pages = listener("HTTP_PORT", admin.listen_address, admin.http_port);
    otlp.into_iter().chain([pages]).collect()
}

fn listener(name: &str, address: IpAddr, port: u16) -> Finding {
    const SUBJECT: &str = "listener";
    match TcpListener::bind((address, port)) {
        Ok(_) => Finding::ok(SUBJECT, format!("{name} {port} of {address} can be listened on")),
        // The pipeline that is being checked may be running.
        Err(error) if error.kind() == ErrorKind::AddrInUse => Finding::warn(
            SUBJECT,
            format!("{name} {port} of {address} is taken: unless by this pipeline, set {name}"),
        ),
        Err(error) => Finding::fail(
            SUBJECT,
            format!("{name} {port} of {address}: {error}; set {name} or LISTEN_ADDRESS"),
        ),
    }
}

fn connect(config: &Config) -> Result<KafkaProbe<'_>, Finding> {
    match config.kafka.explain_default_broker() {
        Some(why) => Err(Finding::fail("broker", why)),
        None => KafkaProbe::connect(config),
    }
}
