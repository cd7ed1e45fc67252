//! Where the programs are that a run starts.

use std::{
    env,
    path::{Path, PathBuf},
};

use testbed::parts;

/// Paths of everything but Kafka, which testbed finds by itself.
#[derive(Clone, Debug)]
pub(crate) struct Programs {
    pub(crate) pipeline: PathBuf,
    pub(crate) loadgen: PathBuf,
    pub(crate) floor: PathBuf,
    pub(crate) collector: PathBuf,
}

impl Programs {
    /// Those of the workspace lie beside this one; the Collector is built if it is not there yet.
    pub(crate) fn find() -> Result<Self, String> {
        let own = env::current_exe().map_err(|error| error.to_string())?;
        let beside = |name: &str| {
            let path = own.with_file_name(name);
            let advice = "cargo build --release --locked --workspace --bins";
            if path.exists() { Ok(path) } else { Err(format!("no {name}: {advice}")) }
        };
        Ok(Self {
            pipeline: beside("otel-event-pipeline")?,
            loadgen: beside("loadgen")?,
            floor: beside("floor")?,
            collector: parts::folder("collector").join("collector"),
        })
    }

    /// The version that the Collector's folder is named by.
    pub(crate) fn collector_version(&self) -> String {
        let folder = self.collector.parent().and_then(Path::file_name).unwrap_or_default();
        let name = folder.to_string_lossy();
        name.trim_start_matches("collector-").to_owned()
    }
}
