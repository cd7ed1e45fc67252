//! Replays the corpora without the fuzzing engine, so that an interpreter such as Miri can run it.
//!
//! `cargo run --example replay -- [files per target]`, in this folder; without a number, all files.

use std::fs;
use std::path::{Path, PathBuf};

use otel_event_pipeline_fuzz::{
    check_dead_letter, check_grpc, check_settings, compare_split_with_prost, otlp::walk,
};

/// Judges one file, and panics where it is judged wrongly.
type Check = fn(&[u8]);

/// Every corpus, and what its files are replayed through.
const TARGETS: [(&str, Check); 5] = [
    ("split", replay_request),
    ("framing", replay_request),
    ("grpc", check_grpc),
    ("config", check_settings),
    ("dead_letter_headers", check_dead_letter),
];

fn main() -> std::io::Result<()> {
    let limit = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(usize::MAX);
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus");
    let mut replayed = 0;
    for (target, check) in TARGETS {
        let before = replayed;
        let mut files = fs::read_dir(corpus.join(target))?
            .map(|entry| Ok(entry?.path()))
            .collect::<std::io::Result<Vec<PathBuf>>>()?;
        // Small ones first: an interpreter is slow.
        files
            .sort_by_cached_key(|file| (fs::metadata(file).map_or(0, |it| it.len()), file.clone()));
        for file in files.iter().take(limit) {
            check(&fs::read(file)?);
            replayed += 1;
        }
        assert!(replayed > before, "the corpus of {target} is empty");
    }
    println!("{replayed} files replayed");
    Ok(())
}

fn replay_request(input: &[u8]) {
    compare_split_with_prost(input);
    // Refusing is as good as walking: neither may be undefined.
    walk(input).ok();
}
