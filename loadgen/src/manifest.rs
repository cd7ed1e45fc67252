//! What has to be known to read a report, or to repeat its run: machine, build, flags, payload.
//!
//! Pure but for what [`machine`] reads. It must never contain the value of a header, which may be
//! a secret.

use std::env;
use std::ffi::OsString;

use serde::{Serialize, Serializer};

use crate::machine;
use crate::options::RunOptions;
use crate::plan::Plan;

/// Facts with their names, in the order in which they are shown.
#[derive(Debug, Default)]
pub(crate) struct Manifest(Vec<(String, String)>);

impl Manifest {
    /// The manifest of a run that this process carries out.
    pub(crate) fn of_run(options: &RunOptions, plan: &Plan) -> Self {
        let shape = plan.payload.shape();
        let mut manifest = Self::default();
        manifest.add("cpu", machine::cpu_model());
        manifest.add("cores", machine::cores());
        manifest.add("cores allowed", machine::cores_allowed());
        manifest.add("kernel", machine::kernel());
        manifest.add("governor", machine::governor());
        manifest.add("loadgen", Some(env!("CARGO_PKG_VERSION")));
        manifest.add("commit", Some(COMMIT));
        manifest.add("build", Some(if cfg!(debug_assertions) { "debug" } else { "release" }));
        manifest.add("flags", Some(flags(env::args_os().skip(2))));
        manifest.add("headers", header_names(options));
        manifest.add(
            "payload",
            Some(format!(
                "{:?}, {} B per span, {} per request, {} per trace, {}",
                shape.profile,
                shape.span_bytes,
                shape.spans_per_request,
                shape.spans_per_trace,
                if shape.interleaved { "interleaved" } else { "whole traces" },
            )),
        );
        manifest.add("seed", Some(shape.seed));
        manifest.add("connections", Some(plan.worker_count));
        for (key, value) in &options.note {
            manifest.add(key, Some(value));
        }
        manifest
    }

    /// Names and facts, in order.
    pub(crate) fn entries(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(key, value)| (key.as_str(), value.as_str()))
    }

    /// Adds a fact where it is known; the last of a name replaces the others.
    fn add(&mut self, key: &str, value: Option<impl ToString>) {
        if let Some(value) = value {
            self.0.retain(|(other, _)| other != key);
            self.0.push((key.to_owned(), value.to_string()));
        }
    }
}

/// A JSON object, in order.
impl Serialize for Manifest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.entries())
    }
}

fn header_names(options: &RunOptions) -> Option<String> {
    let headers = &options.target.header;
    let names: Vec<_> = headers.iter().map(|header| header.name.as_str()).collect();
    (!names.is_empty()).then(|| names.join(", "))
}

/// The command line without the values of headers.
fn flags(args: impl Iterator<Item = OsString>) -> String {
    let mut shown = Vec::new();
    let mut is_header = false;
    for arg in args {
        let arg = arg.to_string_lossy();
        let hidden = match arg.strip_prefix("--header=") {
            Some(_) => "--header=...",
            None if is_header => "...",
            None => &arg,
        };
        is_header = arg == "--header";
        shown.push(hidden.to_owned());
    }
    shown.join(" ")
}

/// The commit of this build, when `BUILD_COMMIT` was set while compiling.
const COMMIT: &str = match option_env!("BUILD_COMMIT") {
    Some(commit) => commit,
    None => "unknown",
};

#[cfg(test)]
mod tests {
    use super::{Manifest, flags};

    /// Flags are shown as given, the values of headers are not.
    #[test]
    fn headers_stay_secret() {
        let args = "--rate 5k --header a=secret --header=b=secret --note k=v";
        let shown = flags(args.split(' ').map(Into::into));
        assert_eq!(shown, "--rate 5k --header ... --header=... --note k=v");
    }

    /// Facts keep their order, unknown ones are left out, a later one replaces an earlier.
    #[test]
    fn facts_are_listed_in_order() {
        let mut manifest = Manifest::default();
        manifest.add("b", Some(1));
        manifest.add("c", None::<&str>);
        manifest.add("a", Some("x"));
        manifest.add("b", Some("y"));
        assert!(manifest.entries().eq([("a", "x"), ("b", "y")]));
        assert_eq!(serde_json::to_string(&manifest).unwrap(), r#"{"a":"x","b":"y"}"#);
    }
}
