//! `harness sweep`: removes what dead runs left behind.

use std::process::ExitCode;

use clap::Args;

use super::{complain, print};
use crate::stack::place::Places;
use crate::stack::sweep;

#[derive(Debug, Args)]
pub(super) struct Options {}

pub(super) fn run(_: &Options) -> anyhow::Result<ExitCode> {
    let swept = sweep::sweep(&Places::from_environment());
    for removed in &swept.removed {
        print(&format!("removed {removed}"));
    }
    for alive in &swept.alive {
        print(&format!("left alone: run {alive} is alive"));
    }
    for left in &swept.left {
        complain(&format!("error: failed to remove {}: {}", left.resource, left.message));
    }
    if swept.removed.is_empty() && swept.left.is_empty() {
        print("nothing to remove");
    }
    Ok(if swept.left.is_empty() { ExitCode::SUCCESS } else { ExitCode::from(5) })
}
