//! `harness doctor`: what this machine has, what each missing thing costs, and how to get it.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;

use super::print;
use crate::stack::doctor::{Grade, examine};
use crate::stack::place::Places;
use crate::stack::spec::Spec;

#[derive(Debug, Args)]
pub(super) struct Options {}

pub(super) fn run(_: &Options) -> anyhow::Result<ExitCode> {
    let spec = Spec::load(Path::new("stack/stack.toml")).ok();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(examine(&Places::from_environment(), spec.as_ref()));
    for finding in &findings {
        let grade = match finding.grade {
            Grade::Good => "ok     ",
            Grade::Missing => "missing",
            Grade::Fatal => "FATAL  ",
        };
        print(&format!("{grade}  {}: {}", finding.subject, finding.found));
        for (name, advice) in [("costs", &finding.costs), ("remedy", &finding.remedy)] {
            if !advice.is_empty() {
                print(&format!("           {name}: {advice}"));
            }
        }
    }
    let fatal = findings.iter().any(|finding| finding.grade == Grade::Fatal);
    Ok(if fatal { ExitCode::from(4) } else { ExitCode::SUCCESS })
}
