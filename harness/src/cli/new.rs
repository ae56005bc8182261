//! `harness new`: writes a scenario to start from.

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;

use super::print;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Its kebab-case name; the file is `scenarios/<name>.toml`.
    name: String,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let path = Path::new("scenarios").join(format!("{}.toml", options.name));
    if path.exists() {
        bail!("{} exists already", path.display());
    }
    std::fs::create_dir_all("scenarios").context("make the folder scenarios")?;
    std::fs::write(&path, crate::scenario::template(&options.name))
        .with_context(|| format!("write {}", path.display()))?;
    print(&path.display().to_string());
    Ok(ExitCode::SUCCESS)
}
