//! Invariants that text can check: which part may use what, and the shape of files.

mod rules;
pub(crate) mod source;
