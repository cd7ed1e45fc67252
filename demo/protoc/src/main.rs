//! Prints the path of a protoc for this platform, which `otlp-embedded` needs while it is built.
//!
//! Its build script takes the path from `PROTOC`: that is set before cargo starts, or not at all.

use std::io::{self, Write};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = protoc_bin_vendored::protoc_bin_path()?;
    writeln!(io::stdout(), "{}", path.display())?;
    Ok(())
}
