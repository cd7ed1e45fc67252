//! Writes the seeds of the corpora: one small request per shape that the split knows, messages and
//! frames as clients send them, settings of every kind, and letters as the pipeline, other programs
//! and an attacker write them.
//!
//! `cargo run --example seeds`, in this folder; what fuzzing has added besides is left alone.

use std::fs;
use std::path::Path;

#[path = "../../../src/otlp/tests/encode.rs"]
mod encode;
mod grpc;
mod letters;
mod requests;
mod settings;

use encode::FieldOrder;
use grpc::messages_and_frames;
use letters::letters;
use requests::requests;
use settings::settings;

fn main() -> std::io::Result<()> {
    for (order, suffix) in [(FieldOrder::Ascending, "up"), (FieldOrder::Descending, "down")] {
        for (name, request) in requests() {
            for target in ["split", "framing"] {
                write(target, &format!("{name}-{suffix}"), &request.encode(order))?;
            }
        }
    }
    for (name, input) in messages_and_frames() {
        write("grpc", name, &input)?;
    }
    for (name, given) in settings() {
        write("config", name, given.join("\0").as_bytes())?;
    }
    for (name, letter) in letters() {
        write("dead_letter_headers", name, &letter)?;
    }
    Ok(())
}

fn write(target: &str, name: &str, seed: &[u8]) -> std::io::Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(name), seed)
}
