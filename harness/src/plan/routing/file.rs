//! The file of cases: TOML, so that an editor checks it and every mistake has a place. Part of `routing`.

use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Labels;
use crate::scenario::diagnostic::{Code, Diagnostic, Finding, locate_all};
use crate::scenario::spanned::Spanned;

/// A file of cases, read.
#[derive(Clone, Debug)]
pub struct Cases {
    /// The file as given.
    pub file: String,
    /// Its text.
    pub text: String,
    /// The `alertmanager.yml` it is about, relative to the file's folder.
    pub config: PathBuf,
    /// The cases in order.
    pub cases: Vec<Case>,
}

/// An alert, and who must be told of it.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Case {
    /// One line for people. Default: the alert's name.
    pub name: Option<String>,
    /// Its labels.
    pub alert: Spanned<Labels>,
    /// Label sets of alerts that fire at the same time, and may inhibit it.
    #[serde(default)]
    pub firing: Vec<Labels>,
    /// The time at which it is routed, UTC; without one no time interval mutes.
    pub at: Option<Spanned<Time>>,
    /// Who must be told; nobody else may be.
    pub receivers: Spanned<Vec<Spanned<String>>>,
}

impl Case {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> String {
        let alert = || self.alert.get().get("alertname").cloned();
        self.name.clone().or_else(alert).unwrap_or_else(|| "an alert without a name".to_owned())
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct Written {
    #[serde(default = "usual")]
    config: PathBuf,
    #[serde(default)]
    case: Vec<Case>,
}

fn usual() -> PathBuf {
    PathBuf::from("alertmanager.yml")
}

/// A time of day on a day, UTC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Time(pub jiff::civil::DateTime);

impl fmt::Display for Time {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} UTC", self.0.strftime("%A %Y-%m-%d %H:%M"))
    }
}

impl<'de> Deserialize<'de> for Time {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let written = text.strip_suffix('Z').unwrap_or(&text);
        written.parse().map(Self).map_err(|_| {
            serde::de::Error::custom(format!("`{text}` is no time: write \"2026-11-21T10:00\", which is read as UTC"))
        })
    }
}

/// Reads a file of cases.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub fn load(path: &Path) -> Result<Cases, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path)
        .map_err(|error| vec![Diagnostic::of_file(Code::Unreadable, &file, format!("failed to read it: {error}"))])?;
    parse(path, text)
}

/// Reads a text of cases as if it stood in `path`.
///
/// # Errors
/// Everything that is wrong with it, each with its place.
pub(super) fn parse(path: &Path, text: String) -> Result<Cases, Vec<Diagnostic>> {
    let file = path.display().to_string();
    let written: Written = toml::from_str(&text).map_err(|error| {
        let code = if error.message().starts_with("unknown field") { Code::UnknownKey } else { Code::Syntax };
        let finding = Finding::error(code, error.span().unwrap_or(0..0), error.message());
        vec![finding.locate(&file, &text)]
    })?;
    let mut findings = Vec::new();
    if written.case.is_empty() {
        let message = "VACUOUS: the file has no [[case]], so that nothing can fail";
        findings.push(Finding::error(Code::Vacuous, 0..0, message));
    }
    for case in written.case.iter().filter(|case| case.alert.get().is_empty()) {
        findings.push(Finding::error(Code::OutOfRange, case.alert.span(), "an alert has at least one label"));
    }
    if !findings.is_empty() {
        return Err(locate_all(findings, &file, &text));
    }
    let folder = path.parent().unwrap_or(Path::new(""));
    Ok(Cases { file, text, config: folder.join(written.config), cases: written.case })
}

impl Cases {
    /// A finding of this file with its place.
    #[must_use]
    pub fn locate(&self, finding: Finding) -> Diagnostic {
        finding.locate(&self.file, &self.text)
    }
}
