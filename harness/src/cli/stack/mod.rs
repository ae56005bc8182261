//! `harness stack`: keeps a stack running for people, and shows what it is made of.

mod images;
mod logs;
mod up;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use clap::Subcommand;

use super::{complain, print};
use crate::stack::compose::compose;
use crate::stack::docker::image::lock::Lock;
use crate::stack::spec::Spec;

#[derive(Debug, Subcommand)]
pub(super) enum Options {
    /// Starts the stack in the background and prints where everything listens.
    Up(up::Up),
    /// Stops it and removes everything.
    Down,
    /// Says whether it runs, and where.
    Status,
    /// Prints what its components have written.
    Logs(logs::Options),
    /// Lists the images of a stack in containers: what would be used, from where, of which version.
    Images(images::Options),
    /// Prints the stack as a Compose file.
    Compose {
        /// The stack file.
        #[arg(long, default_value = "stack/stack.toml")]
        file: PathBuf,
    },
    /// Holds the stack in the foreground; `up` starts this.
    #[command(hide = true)]
    Hold(up::Up),
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    match options {
        Options::Up(options) => up::start(options),
        Options::Down => up::stop(),
        Options::Status => up::status(),
        Options::Logs(options) => logs::run(options),
        Options::Images(options) => images::run(options),
        Options::Compose { file } => write_compose(file),
        Options::Hold(options) => up::keep(options),
    }
}

fn write_compose(file: &Path) -> anyhow::Result<ExitCode> {
    let Some(spec) = load(file) else { return Ok(ExitCode::from(2)) };
    let text = compose(&spec, &Lock::beside(&spec.file)?)?;
    print(text.trim_end());
    Ok(ExitCode::SUCCESS)
}

/// The stack file; none, and a message, when it does not hold water.
fn load(file: &Path) -> Option<Spec> {
    Spec::load(file).map_err(|error| complain(&format!("error: failed to {error}"))).ok()
}
