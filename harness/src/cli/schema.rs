//! `harness schema`: the JSON schema of scenarios, for editors.

use std::process::ExitCode;

use super::print;

pub(super) fn run() -> anyhow::Result<ExitCode> {
    print(&serde_json::to_string_pretty(crate::scenario::schema())?);
    Ok(ExitCode::SUCCESS)
}
