//! Replays the fuzz corpus on the stable toolchain: what fuzzing has found stays found.

use std::fs;
use std::path::Path;

use super::oracle::check;
use super::properties::rules;
use crate::otlp::{Splitter, walk};

/// Every file of both corpora is judged as prost does, and walked without a panic.
#[test]
fn corpus_is_judged_as_prost_does() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    let mut splitter = Splitter::new();
    for target in ["split", "framing"] {
        let files: Vec<_> = fs::read_dir(corpus.join(target)).unwrap().collect();
        assert!(files.len() >= 10, "{target}: {} files", files.len());
        for file in files {
            let input = fs::read(file.unwrap().path()).unwrap();
            for rules in rules() {
                check(&mut splitter, &input, &rules);
            }
            assert!(walk(&input).is_ok() || splitter.records().is_empty());
        }
    }
}
