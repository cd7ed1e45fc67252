//! What the same work costs when nothing of ours is done: bare tonic, bare librdkafka, and both.
//!
//! `receive` drops requests, `publish` cuts them at even lengths and awaits Kafka, `produce` and
//! `consume` have no gRPC at all, `forward` carries record values to a backend. `sink` is the
//! backend of every forwarder that is measured: it counts spans by their length prefixes, because
//! a decoding sink would be slower than what it measures. A program runs until it is killed.

mod consume;
mod count;
mod produce;
mod raw;
mod serve;
mod spans;

use std::{net::SocketAddr, process::ExitCode};

use clap::Parser;

use count::Count;
use produce::Publisher;
use serve::Handler;

/// Floor programs of the comparison.
#[derive(Parser)]
enum Floor {
    /// Bare tonic that drops what it receives
    Receive {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Bare tonic that counts the spans it receives
    Sink {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// Bare tonic before bare librdkafka
    Publish {
        #[arg(long)]
        listen: SocketAddr,
        #[command(flatten)]
        options: produce::Options,
    },
    /// Bare librdkafka with records of one size
    Produce {
        #[command(flatten)]
        options: produce::Options,
    },
    /// Bare librdkafka that reads a topic
    Consume {
        #[command(flatten)]
        options: consume::Options,
    },
    /// Bare librdkafka before bare tonic
    Forward {
        #[arg(long)]
        backend: String,
        #[command(flatten)]
        options: consume::Options,
    },
}

fn main() -> ExitCode {
    match run(Floor::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            count::say(&format!("floor: {error}"));
            ExitCode::FAILURE
        }
    }
}

fn run(floor: Floor) -> Result<(), String> {
    let count = Count::default();
    let text = |error: &dyn std::error::Error| error.to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| text(&error))?;
    let serve = |address, handler| {
        runtime.block_on(serve::serve(address, handler)).map_err(|error| text(&error))
    };
    match floor {
        Floor::Receive { listen } => serve(listen, Handler::Drop),
        Floor::Sink { listen } => {
            count::tell(&count);
            serve(listen, Handler::Count(count))
        }
        Floor::Publish { listen, options } => {
            let publisher = Publisher::new(options).map_err(|error| text(&error))?;
            serve(listen, Handler::Publish(publisher))
        }
        Floor::Produce { options } => {
            count::tell(&count);
            Err(produce::produce(options, &count).to_string())
        }
        Floor::Consume { options } => {
            count::tell(&count);
            consume::consume(&options, &count).map_err(|error| text(&error))
        }
        Floor::Forward { backend, options } => {
            runtime.block_on(consume::forward(options, &backend))
        }
    }
}
