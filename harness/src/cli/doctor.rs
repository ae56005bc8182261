//! `harness doctor`: what this machine has, what each missing thing costs, and how to get it.

use std::path::Path;
use std::process::ExitCode;

use clap::Args;
use tabled::builder::Builder;
use tabled::settings::{Style, Width};

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
    let mut table = Builder::new();
    table.push_record(["", "what", "found", "costs and remedy"]);
    for finding in &findings {
        let grade = match finding.grade {
            Grade::Good => "ok",
            Grade::Missing => "missing",
            Grade::Fatal => "FATAL",
        };
        let advice = [finding.costs.as_str(), finding.remedy.as_str()].join("\n");
        table.push_record([grade, &finding.subject, &finding.found, advice.trim()]);
    }
    print(&table.build().with(Style::blank()).with(Width::wrap(110).keep_words(true)).to_string());
    let fatal = findings.iter().any(|finding| finding.grade == Grade::Fatal);
    Ok(if fatal { ExitCode::from(4) } else { ExitCode::SUCCESS })
}
