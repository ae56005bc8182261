//! `harness lint`: checks scenarios and what they refer to, without starting anything.

use std::io::stderr;
use std::process::ExitCode;

use clap::Args;

use super::{colour, complain, find, print, print_diagnostics};
use crate::plan::study::{Desk, Overrides};
use crate::scenario::{Diagnostic, has_errors};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Scenarios by name, glob, file or folder; without one, all.
    scenarios: Vec<String>,
    /// Production seconds per real second, instead of the scenario's own.
    #[arg(long, value_name = "K")]
    time_scale: Option<f64>,
    /// How problems are written.
    #[arg(long, default_value = "text")]
    output: Output,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people, to stderr.
    Text,
    /// A JSON array, to stdout.
    Json,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let files = match find::scenarios(&options.scenarios) {
        Ok(files) => files,
        Err(error) => {
            complain(&format!("error: {error:#}"));
            return Ok(ExitCode::from(2));
        }
    };
    let overrides = Overrides { time_scale: options.time_scale };
    let mut desk = Desk::default();
    let mut problems: Vec<Diagnostic> = Vec::new();
    for file in &files {
        match desk.study(file, overrides) {
            Ok(studied) => problems.extend(studied.warnings),
            Err(diagnostics) => problems.extend(diagnostics),
        }
    }
    match options.output {
        Output::Text => print_diagnostics(&problems, colour(&stderr())),
        Output::Json => print(&serde_json::to_string_pretty(&problems)?),
    }
    if options.output == Output::Text && problems.is_empty() {
        print(&format!("{} scenarios are clean", files.len()));
    }
    Ok(if has_errors(&problems) { ExitCode::from(2) } else { ExitCode::SUCCESS })
}
