//! The dead letters as a whole: `oracle` is shared with the fuzz target, whose corpus is replayed.

use std::{fs, path::Path};

mod oracle;

/// Every file of the corpus is read and shown as promised: what fuzzing has found stays found.
#[test]
fn corpus_keeps_the_promises() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/dead_letter_headers");
    let files: Vec<_> = fs::read_dir(corpus).unwrap().collect();
    assert!(files.len() >= 10, "{} files", files.len());
    for file in files {
        oracle::check(&fs::read(file.unwrap().path()).unwrap());
    }
}
