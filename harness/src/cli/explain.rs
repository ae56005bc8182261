//! `harness explain`: the plan of a scenario on a time axis, with the computed bounds.

use std::io::stderr;
use std::process::ExitCode;

use clap::Args;

use super::{colour, complain, find, print, print_diagnostics};
use crate::plan::explain;
use crate::plan::study::{Desk, Overrides};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The scenario, by name or file.
    scenario: String,
    /// Production seconds per real second, instead of the scenario's own.
    #[arg(long, value_name = "K")]
    time_scale: Option<f64>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let files = match find::scenarios(std::slice::from_ref(&options.scenario)) {
        Ok(files) => files,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    for file in files {
        match Desk::default().study(&file, Overrides { time_scale: options.time_scale }) {
            Ok(studied) => print(&explain::text(&studied)),
            Err(diagnostics) => {
                print_diagnostics(&diagnostics, colour(&stderr()));
                return Ok(ExitCode::from(2));
            }
        }
    }
    Ok(ExitCode::SUCCESS)
}
