//! Replays the fuzz corpora on the stable toolchain: what fuzzing has found stays found.

use std::{fs, path::Path};

/// Judges every file of a target's corpus.
pub(crate) fn replay(target: &str, mut check: impl FnMut(&[u8])) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus").join(target);
    let files: Vec<_> = fs::read_dir(corpus).expect("the corpus is there").collect();
    assert!(files.len() >= 10, "{target}: {} files", files.len());
    for file in files {
        let path = file.expect("the folder is read").path();
        check(&fs::read(path).expect("it is a file"));
    }
}
