//! What comes over the wire as a whole: `oracle` is shared with the fuzz target, whose corpus is
//! replayed.

use crate::corpus;

mod oracle;

/// Every file of the corpus is read alike however it is cut: what fuzzing has found stays found.
#[test]
fn corpus_is_read_however_it_is_cut() {
    corpus::replay("grpc", oracle::check);
}
