//! `harness report`: renders a run again from its event log, also one that was killed half-way.

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;

use super::{palette, print};
use crate::report;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The run's folder or id; `latest` is the newest.
    #[arg(default_value = "latest")]
    run: String,
    /// What to write to stdout; without it, all files are written into the run's folder.
    #[arg(long)]
    format: Option<Format>,
    /// Where runs are kept.
    #[arg(long, default_value = "reports", value_name = "DIR")]
    out: PathBuf,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    /// One page.
    Html,
    /// Verdicts and evidence.
    Json,
    /// For CI.
    Junit,
    /// The table.
    Text,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let folder =
        if Path::new(&options.run).is_dir() { PathBuf::from(&options.run) } else { options.out.join(&options.run) };
    let events = report::log::read(&folder).context("there is no such run")?;
    match options.format {
        Some(Format::Html) => print(&report::html::page(&events)),
        Some(Format::Json) => print(&report::json::document(&events)),
        Some(Format::Junit) => print(&report::junit::document(&events)?),
        Some(Format::Text) => print(&report::terminal::table(&events, palette(&std::io::stdout()))),
        None => {
            report::write_all(&folder, &events)?;
            print(&folder.join("index.html").display().to_string());
        }
    }
    Ok(ExitCode::SUCCESS)
}
