//! Load generator.
mod arrivals;
mod bitmap;
mod checksum;
mod files;
mod ids;
mod ledger;
mod payload;
mod verify;
mod wire;
fn main() {}
