//! Replays the fuzz corpora of the split.

use super::oracle::check;
use super::properties::rules;
use crate::{
    corpus,
    otlp::{Splitter, walk},
};

/// Every file of both corpora is judged as prost does, and walked without a panic.
#[test]
fn corpus_is_judged_as_prost_does() {
    let mut splitter = Splitter::new();
    for target in ["split", "framing"] {
        corpus::replay(target, |input| {
            for rules in rules() {
                check(&mut splitter, input, &rules);
            }
            assert!(walk(input).is_ok() || splitter.records().is_empty());
        });
    }
}
