//! `harness lint`: checks scenarios and what they refer to, and rule files by themselves, without starting anything.

use std::io::stderr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;
use serde_json::Value;

use super::{colour, complain, find, print, print_diagnostics};
use crate::plan::finding::{Finding, Level, findings_of};
use crate::plan::scale::duration;
use crate::plan::scale::source::ConfigError;
use crate::plan::study::{Desk, Overrides};
use crate::scenario::render::{Note, render_note};
use crate::scenario::{Code, Diagnostic, Severity, has_errors};

#[derive(Debug, Args)]
pub(super) struct Options {
    /// Scenarios by name, glob, file or folder, and files of rules, routes or rule tests (`*.yml`); without one, all scenarios.
    files: Vec<String>,
    /// Production seconds per real second, instead of the scenario's own.
    #[arg(long, value_name = "K")]
    time_scale: Option<f64>,
    /// How problems are written.
    #[arg(long, default_value = "text")]
    output: Output,
    /// What else makes the exit code 2.
    #[arg(long, value_name = "WHAT")]
    deny: Option<Deny>,
    /// Shows what is only good to know about rules, too.
    #[arg(long)]
    notes: bool,
    /// Scrape and evaluation interval for rule files that no `prometheus.yml` loads.
    #[arg(long, value_name = "TIME", default_value = "15s", value_parser = interval)]
    interval: Duration,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Output {
    /// For people, to stderr.
    Text,
    /// A JSON array, to stdout.
    Json,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Deny {
    /// Every warning.
    Warnings,
}

/// What was looked at and what came of it.
#[derive(Default)]
struct Seen {
    scenarios: usize,
    rule_files: usize,
    problems: Vec<Diagnostic>,
    findings: Vec<Finding>,
    hidden: usize,
}

pub(super) fn run(options: &Options) -> anyhow::Result<ExitCode> {
    let (rules, scenarios): (Vec<String>, Vec<String>) = options.files.iter().cloned().partition(|it| is_yaml(it));
    let mut seen = Seen::default();
    if rules.is_empty() || !scenarios.is_empty() {
        let files = match find::scenarios(&scenarios) {
            Ok(files) => files,
            Err(error) => {
                complain(&format!("error: {error:#}"));
                return Ok(ExitCode::from(2));
            }
        };
        seen.scenarios(&files, options);
    }
    for file in &rules {
        seen.rules(Path::new(file), options);
    }
    seen.tidy(options);
    seen.show(options)?;
    Ok(if seen.refuses(options) { ExitCode::from(2) } else { ExitCode::SUCCESS })
}

impl Seen {
    fn scenarios(&mut self, files: &[PathBuf], options: &Options) {
        let mut desk = Desk::default();
        let overrides = Overrides { time_scale: options.time_scale };
        for file in files {
            self.scenarios += 1;
            match desk.study(file, overrides) {
                Ok(studied) => self.problems.extend(studied.warnings),
                Err(diagnostics) => self.problems.extend(diagnostics),
            }
        }
        self.findings.extend(desk.findings());
    }

    fn rules(&mut self, file: &Path, options: &Options) {
        self.rule_files += 1;
        match findings_of(file, options.interval) {
            Ok(found) => {
                if found.assumed && options.output == Output::Text {
                    let every = duration::print(options.interval);
                    let file = file.display();
                    complain(&format!(
                        "{file}: no prometheus.yml loads it: scraped and evaluated every {every} (--interval)"
                    ));
                }
                self.findings.extend(found.findings);
            }
            Err(error) => self.problems.push(unreadable(&error)),
        }
    }

    /// Each finding once, under the path people write, notes only if asked for.
    fn tidy(&mut self, options: &Options) {
        let here = std::env::current_dir().unwrap_or_default();
        for finding in &mut self.findings {
            if let Ok(short) = Path::new(&finding.location.file).strip_prefix(&here) {
                finding.location.file = short.display().to_string();
            }
        }
        self.findings.sort();
        self.findings.dedup();
        if !options.notes {
            let all = self.findings.len();
            self.findings.retain(|finding| finding.code.level() > Level::Note);
            self.hidden = all - self.findings.len();
        }
    }

    fn show(&self, options: &Options) -> anyhow::Result<()> {
        if options.output == Output::Json {
            let mut all: Vec<Value> = self.problems.iter().map(serde_json::to_value).collect::<Result<_, _>>()?;
            for finding in &self.findings {
                let mut value = serde_json::to_value(finding)?;
                value["severity"] = finding.code.level().word().into();
                all.push(value);
            }
            print(&serde_json::to_string_pretty(&all)?);
            return Ok(());
        }
        let colour = colour(&stderr());
        print_diagnostics(&self.problems, colour);
        for finding in &self.findings {
            let text = std::fs::read_to_string(&finding.location.file).unwrap_or_default();
            let message = format!("{}: {}", finding.subject, finding.message);
            let (word, code) = (finding.code.level().word(), finding.code.code());
            let note = Note { location: &finding.location, word, code, message: &message, help: &finding.help };
            complain(render_note(&note, &text, colour).trim_end());
        }
        if self.problems.is_empty() && self.findings.is_empty() {
            print(&self.summary());
        }
        Ok(())
    }

    fn summary(&self) -> String {
        let what = match (self.scenarios, self.rule_files) {
            (scenarios, 0) => format!("{scenarios} scenarios and the rules they run on"),
            (0, files) => format!("{files} files"),
            (scenarios, files) => format!("{scenarios} scenarios, the rules they run on and {files} files"),
        };
        let notes = if self.hidden == 0 { String::new() } else { format!(" ({} notes: --notes)", self.hidden) };
        format!("{what} are clean{notes}")
    }

    fn refuses(&self, options: &Options) -> bool {
        let denied = options.deny == Some(Deny::Warnings);
        let warned = self.problems.iter().any(|it| it.severity == Severity::Warning)
            || self.findings.iter().any(|it| it.code.level() == Level::Warning);
        has_errors(&self.problems)
            || self.findings.iter().any(|it| it.code.level() == Level::Error)
            || (denied && warned)
    }
}

fn is_yaml(word: &str) -> bool {
    let path = Path::new(word);
    path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml")
}

fn interval(text: &str) -> Result<Duration, String> {
    let found = duration::parse(text).filter(|interval| !interval.is_zero());
    found.ok_or_else(|| "write a number with a unit, such as `15s` or `1m`".to_owned())
}

fn unreadable(error: &ConfigError) -> Diagnostic {
    Diagnostic::at(Code::Stack, error.location(), format!("failed to {error}"), None)
}
