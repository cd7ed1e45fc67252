//! The dead letters as a whole: `oracle` is shared with the fuzz target, whose corpus is replayed.

use crate::corpus;

mod oracle;

/// Every file of the corpus is read and shown as promised: what fuzzing has found stays found.
#[test]
fn corpus_keeps_the_promises() {
    corpus::replay("dead_letter_headers", oracle::check);
}
