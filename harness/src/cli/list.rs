//! `harness list`: the scenarios, their tags and what they are about.

use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::Style;

use super::{colour, find, print, print_diagnostics};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Scenarios by name, glob, file or folder; without one, all.
    scenarios: Vec<String>,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let mut table = Builder::new();
    table.push_record(["scenario", "tags", "summary"]);
    let mut broken = Vec::new();
    for file in find::scenarios(&options.scenarios)? {
        match crate::scenario::load(&file) {
            Ok(loaded) => {
                let scenario = &loaded.scenario;
                let tags: Vec<&str> = scenario.tags.iter().map(|tag| tag.get().as_str()).collect();
                table.push_record([scenario.name.get().clone(), tags.join(", "), scenario.summary.clone()]);
            }
            Err(diagnostics) => broken.extend(diagnostics),
        }
    }
    print(&table.build().with(Style::blank()).to_string());
    print_diagnostics(&broken, colour(&std::io::stderr()));
    Ok(if broken.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(2) })
}
