//! Replays the corpora without the fuzzing engine, so that an interpreter such as Miri can run it.
//!
//! `cargo run --example replay -- [files per target]`, in this folder; without a number, all files.

use std::fs;
use std::path::{Path, PathBuf};

use otel_event_pipeline_fuzz::{compare_split_with_prost, otlp::walk};

fn main() -> std::io::Result<()> {
    let limit = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut replayed = 0;
    for target in ["split", "framing"] {
        let mut files = fs::read_dir(corpus.join(target))?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<PathBuf>>>()?;
        // Small ones first: an interpreter is slow.
        files
            .sort_by_cached_key(|file| (fs::metadata(file).map_or(0, |it| it.len()), file.clone()));
        for file in files.iter().take(limit) {
            let input = fs::read(file)?;
            compare_split_with_prost(&input);
            // Refusing is as good as walking: neither may be undefined.
            walk(&input).ok();
            replayed += 1;
        }
    }
    assert!(replayed > 0, "the corpora are empty");
    println!("{replayed} files replayed");
    Ok(())
}
