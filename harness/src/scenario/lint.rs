//! What is wrong with a scenario although its form is right: names that do not exist, bounds that cross, windows that are
//! empty, queries that do not parse. Fed by [`super::load`] and the [`Surroundings`], read by `cli` and `plan`.
//!
//! Nothing is started, and nothing is asked over the network.

mod expectation;
mod fault;
mod load;
mod message;
mod query;
mod signal;
mod window;

use std::collections::BTreeMap;
use std::path::Path;

use super::diagnostic::{Code, Diagnostic, Finding, Label, Severity, locate_all};
use super::model::Scenario;
use super::surroundings::Surroundings;
use super::{Loaded, Spanned, suggest, text};
use crate::source::Location;

/// Everything that is wrong, in the order of the file. Errors make a run impossible; warnings are worth a look.
#[must_use]
pub fn lint(loaded: &Loaded, surroundings: &Surroundings) -> Vec<Diagnostic> {
    let mut linter = Linter { loaded, scenario: &loaded.scenario, surroundings, findings: Vec::new() };
    linter.scenario();
    linter.loads();
    linter.faults();
    linter.expectations();
    locate_all(linter.findings, &loaded.file, &loaded.text)
}

/// What is wrong between scenarios that are to run together: two with the same name would share a folder.
#[must_use]
pub fn lint_suite(suite: &[Loaded]) -> Vec<Diagnostic> {
    let mut first: BTreeMap<&str, &Loaded> = BTreeMap::new();
    let mut diagnostics = Vec::new();
    for loaded in suite {
        let name = &loaded.scenario.name;
        let Some(earlier) = first.get(name.get().as_str()) else {
            first.insert(name.get(), loaded);
            continue;
        };
        let message = format!("another scenario is called `{name}`, too");
        let mut diagnostic =
            Finding::error(Code::DuplicateName, name.span(), message).locate(&loaded.file, &loaded.text);
        let span = earlier.scenario.name.span();
        diagnostic.labels.push(Label {
            location: Location::of(&earlier.file, &earlier.text, span.start),
            end: Location::of(&earlier.file, &earlier.text, span.end),
            message: "first here".to_owned(),
            span,
        });
        diagnostics.push(diagnostic);
    }
    diagnostics
}

/// For scenarios that are shipped: every warning is an error (`no-intent` above all).
#[must_use]
pub fn deny_warnings(mut diagnostics: Vec<Diagnostic>) -> Vec<Diagnostic> {
    diagnostics.iter_mut().for_each(|diagnostic| diagnostic.severity = Severity::Error);
    diagnostics
}

struct Linter<'a> {
    loaded: &'a Loaded,
    scenario: &'a Scenario,
    surroundings: &'a Surroundings,
    findings: Vec<Finding>,
}

impl Linter<'_> {
    fn report(&mut self, finding: Finding) {
        self.findings.push(finding);
    }

    fn error<T>(&mut self, code: Code, at: &Spanned<T>, message: impl Into<String>) {
        self.report(Finding::error(code, at.span(), message));
    }

    fn scenario(&mut self) {
        if self.scenario.expect.is_empty() {
            let name = &self.scenario.name;
            let message = format!("VACUOUS: `{name}` has no expectations, so that nothing can fail");
            let help = "add an [[expect]] table; a run that checked nothing is never a pass";
            self.report(Finding::error(Code::Vacuous, name.span(), message).help(help));
        }
        self.stack_file();
        self.known_names(&self.scenario.stack.requires, Code::UnknownComponent, "component");
        let alerts = &self.scenario.alerts;
        for name in alerts.allowed.iter().chain(&alerts.always) {
            self.alert(name);
        }
        self.unique(alerts.allowed.iter().chain(&alerts.always), "alert");
    }

    fn stack_file(&mut self) {
        let Some(file) = &self.scenario.stack.file else { return };
        if let Err(message) = text::check_stack_path(file) {
            return self.error(Code::InvalidPath, file, message);
        }
        let Some(root) = &self.surroundings.root else { return };
        let folder = Path::new(&self.loaded.file).parent().unwrap_or(Path::new(""));
        match (folder.join(file.get()).canonicalize(), root.canonicalize()) {
            (Ok(path), Ok(root)) if !path.starts_with(&root) => {
                let message = format!("`stack.file` leads out of the project's folder {}", root.display());
                self.error(Code::InvalidPath, file, message);
            }
            (Err(error), _) => self.error(Code::InvalidPath, file, format!("failed to find `{file}`: {error}")),
            _ => {}
        }
    }

    fn known_names(&mut self, names: &[Spanned<String>], code: Code, what: &str) {
        let Some(components) = &self.surroundings.components else { return };
        for name in names.iter().filter(|name| !components.contains_key(name.get())) {
            let help = suggest::help(name, &format!("{what}s"), components.keys().map(String::as_str));
            let message = format!("there is no {what} `{name}` in the stack");
            self.findings.push(Finding::error(code, name.span(), message).help(help));
        }
    }

    fn component(&mut self, name: &Spanned<String>) {
        match name.strip_prefix("receiver:") {
            Some(receiver) => self.receiver_called(name, receiver),
            None => self.known_names(std::slice::from_ref(name), Code::UnknownComponent, "component"),
        }
    }

    fn receiver(&mut self, name: &Spanned<String>) {
        self.receiver_called(name, name);
    }

    fn receiver_called(&mut self, at: &Spanned<String>, name: &str) {
        let Some(receivers) = &self.surroundings.receivers else { return };
        if !receivers.contains(name) {
            let help = suggest::help(name, "receivers", receivers.iter().map(String::as_str));
            let message = format!("Alertmanager has no receiver `{name}`");
            self.report(Finding::error(Code::UnknownReceiver, at.span(), message).help(help));
        }
    }

    fn alert(&mut self, name: &Spanned<String>) {
        let Some(alerts) = &self.surroundings.alerts else { return };
        if !alerts.contains_key(name.get()) {
            let help = suggest::help(name, "alerts", alerts.keys().map(String::as_str));
            let message = format!("the alert `{name}` stands in no rule file");
            self.report(Finding::error(Code::UnknownAlert, name.span(), message).help(help));
        }
    }

    /// Reports every name that was there before, with both places.
    fn unique<'n>(&mut self, names: impl Iterator<Item = &'n Spanned<String>>, what: &str) {
        let mut first: BTreeMap<&str, &Spanned<String>> = BTreeMap::new();
        for name in names {
            if let Some(earlier) = first.get(name.get().as_str()) {
                let message = format!("the {what} `{name}` stands twice");
                let finding = Finding::error(Code::DuplicateName, name.span(), message);
                self.report(finding.label(earlier.span(), "first here"));
            } else {
                first.insert(name.get(), name);
            }
        }
    }
}
