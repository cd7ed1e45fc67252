//! crate

pub mod limits;
pub mod otlp;
