//! Tests of the split: `rules` one by one, `properties` over generated requests, `limits` of size
//! and memory, `corpus` replay. `oracle` and `encode` are shared with the fuzz targets.

mod corpus;
mod encode;
mod limits;
mod malformed;
mod model;
mod oracle;
mod properties;
mod rules;
