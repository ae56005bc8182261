//! The `logstore` binary: arguments in, the library called.

use std::io::Write;
use std::process::ExitCode;

use clap::Parser;
use logstore::{Error, Options, Server};

/// An embedded, Loki-compatible log store for the minutes of a drill.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    #[command(flatten)]
    options: Options,
}

#[tokio::main]
async fn main() -> ExitCode {
    match run(Arguments::parse().options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "logstore: failed to {error}");
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> Result<(), Error> {
    let terminated = logstore::terminated()?;
    let server = Server::start(options).await?;
    let mut out = std::io::stdout();
    let _ = writeln!(out, "listening on http://{}", server.address).and_then(|()| out.flush());
    terminated.await;
    server.stop().await
}
