//! The `logstore` binary: arguments in, the library called.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use logstore::Options;

/// An embedded, Loki-compatible log store for the minutes of a drill.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    match logstore::main(Arguments::parse().options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "logstore: failed to {error}");
            ExitCode::FAILURE
        }
    }
}
