//! `harness doctor`: what this machine has, what each missing thing costs, and how to get it.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::{complain, print};
use crate::scenario::render::Colour;
use crate::stack::doctor::{Finding, Grade, examine};
use crate::stack::place::Places;
use crate::stack::spec::Spec;

/// Where findings begin.
const INDENT: usize = 38;
/// Where lines end.
const WIDTH: usize = 110;

#[derive(Debug, Args)]
pub(super) struct Options {
    /// The stack file whose components are looked at.
    #[arg(long, default_value = "stack/stack.toml")]
    file: PathBuf,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let spec = match Spec::load(&options.file) {
        Ok(spec) => Some(spec),
        Err(error) => {
            complain(&format!("note: components are not looked at: failed to {error}"));
            None
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let findings = runtime.block_on(examine(&Places::from_environment(), spec.as_ref()));
    let colour = super::colour(&std::io::stdout());
    findings.iter().for_each(|finding| print(&shown(finding, colour)));
    let count = |grade: Grade| findings.iter().filter(|finding| finding.grade == grade).count();
    let (missing, fatal) = (count(Grade::Missing), count(Grade::Fatal));
    let end = match (missing, fatal) {
        (0, 0) => "nothing is missing".to_owned(),
        (missing, 0) => format!("drills can run; {missing} things are missing"),
        (_, fatal) => format!("no drill can run here: {fatal} of these are fatal"),
    };
    print(&format!("\n{end}"));
    Ok(if fatal > 0 { ExitCode::from(4) } else { ExitCode::SUCCESS })
}

/// One line, and two more where something is missing.
fn shown(finding: &Finding, colour: Colour) -> String {
    let (word, code) = match finding.grade {
        Grade::Good => ("ok", "32"),
        Grade::Missing => ("missing", "33"),
        Grade::Fatal => ("FATAL", "1;31"),
    };
    let painted = match colour {
        Colour::On => format!("\u{1b}[{code}m{word:7}\u{1b}[0m"),
        Colour::Off => format!("{word:7}"),
    };
    let mut text = format!("{painted}  {:28} {}", finding.subject, hanging(&finding.found));
    for (name, advice) in [("costs", &finding.costs), ("remedy", &finding.remedy)] {
        if !advice.is_empty() {
            text.push_str(&format!("\n{:INDENT$}{}", "", hanging(&format!("{name}: {advice}"))));
        }
    }
    text
}

/// Text broken between words so that a line with its indent has at most [`WIDTH`] characters.
fn hanging(text: &str) -> String {
    let mut lines = vec![String::new()];
    for word in text.split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if !line.is_empty() && INDENT + line.chars().count() + 1 + word.chars().count() > WIDTH {
            lines.push(word.to_owned());
        } else {
            line.push_str(if line.is_empty() { "" } else { " " });
            line.push_str(word);
        }
    }
    lines.join(&format!("\n{:INDENT$}", ""))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_says_what_it_costs_and_how_to_get_it() {
        let finding = Finding {
            subject: "network delay".to_owned(),
            grade: Grade::Missing,
            found: "unknown qdisc".to_owned(),
            costs: "a proxy".to_owned(),
            remedy: "another kernel".to_owned(),
        };
        let text = shown(&finding, Colour::Off);
        let lines: Vec<&str> = text.lines().map(str::trim).collect();
        assert_eq!(lines[0], "missing  network delay                unknown qdisc");
        assert_eq!(lines[1..], ["costs: a proxy", "remedy: another kernel"]);
        let long = Finding { costs: "word ".repeat(60).trim_end().to_owned(), ..finding.clone() };
        assert!(shown(&long, Colour::Off).lines().all(|line| line.chars().count() <= WIDTH));
        assert!(shown(&finding, Colour::On).starts_with("\u{1b}[33mmissing\u{1b}[0m"));
    }
}
