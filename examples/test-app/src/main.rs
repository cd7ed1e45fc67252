//! A trace every two seconds.
fn main() {}
