//! `harness routes check`: holds a batch of synthetic alerts against a routing tree, without starting anything.

use std::io::stderr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};

use super::{colour, print, print_diagnostics};
use crate::plan::routing::{self, Checked};
use crate::scenario::Diagnostic;

#[derive(Debug, Subcommand)]
pub(super) enum Options {
    /// Checks that alerts reach the receivers they must reach, inhibition and mute times included.
    Check(Check),
}

#[derive(Debug, Args)]
pub(super) struct Check {
    /// The file of cases (TOML): `[[case]]` with `alert = { … }` and `receivers = [ … ]`.
    file: PathBuf,
    /// The Alertmanager configuration, instead of the one the file names.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How results are written.
    #[arg(long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Output {
    /// For people: what does not hold to stderr, a count to stdout.
    Text,
    /// Every case and its way as JSON, to stdout.
    Json,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let Options::Check(options) = options;
    match check(options) {
        Ok((checked, complaints)) => {
            let failed = complaints.len();
            match options.output {
                Output::Json => print(&serde_json::to_string_pretty(&checked)?),
                Output::Text => {
                    print_diagnostics(&complaints, colour(&stderr()));
                    let held = checked.len() - failed;
                    print(&format!("{held} of {} alerts reach the receivers they must reach", checked.len()));
                }
            }
            Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
        }
        Err(diagnostics) => {
            match options.output {
                Output::Json => print(&serde_json::to_string_pretty(&diagnostics)?),
                Output::Text => print_diagnostics(&diagnostics, colour(&stderr())),
            }
            Ok(ExitCode::from(2))
        }
    }
}

fn check(options: &Check) -> Result<(Vec<Checked>, Vec<Diagnostic>), Vec<Diagnostic>> {
    let cases = routing::load(&options.file)?;
    let path = options.config.as_ref().unwrap_or(&cases.config);
    let config = routing::config(path).map_err(|diagnostic| vec![diagnostic])?;
    let checked = routing::check(&cases, &config)?;
    let complaints = checked.iter().filter_map(|case| case.complaint(&cases)).collect();
    Ok((checked, complaints))
}
