//! `stack.toml`: what runs, however it runs. Read from the user's file with positions; read by every provider.
//!
//! [`Spec::load`] refuses what does not hold water before anything is started: each problem with file, line, column and,
//! where a name was mistyped, what was probably meant.

mod call;
mod check;
mod model;
mod program;
mod template;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use serde::Deserialize;

pub use self::call::{Call, Method, Switch};
pub use self::model::{
    AccessKeys, Attach, Component, Endpoint, LatencySignal, Limits, Link, LogSignal, Logs, ReadyCondition,
    RequestSignal, Role, Seed, Service, Signals, TargetSignal, UsageTarget, Variant,
};
pub use self::program::{DebianPackage, Image};
pub use self::template::{Placeholder, Template};
use crate::source::Location;
use crate::trust::{self, Access, Credentials, Trust, TrustError};

/// A stack as described by its file.
#[derive(Clone, Debug)]
pub struct Spec {
    /// The file, as given.
    pub file: PathBuf,
    /// The file's folder; configs are relative to it.
    pub folder: PathBuf,
    /// Where build commands run and relative programs are found; absolute.
    pub root: PathBuf,
    /// The subject of the drill.
    pub service: Service,
    /// How its signals are called.
    pub signals: Signals,
    /// Data put in before the baseline.
    pub seed: BTreeMap<String, Seed>,
    /// What runs.
    pub components: BTreeMap<String, Component>,
    /// What talks to what.
    pub links: Vec<Link>,
    /// Where the harness's own exporter stands.
    pub usage: Option<UsageTarget>,
    /// Endpoints that exist already.
    pub attach: Option<Attach>,
    text: String,
}

/// One thing that is wrong with a stack file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Where.
    pub at: Location,
    /// What.
    pub message: String,
    /// What to try.
    pub help: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.at, self.message)?;
        self.help.as_ref().map_or(Ok(()), |help| write!(f, "; {help}"))
    }
}

/// Why a stack file was refused.
#[derive(Debug, thiserror::Error)]
pub enum SpecError {
    /// It could not be read.
    #[error("read {file}: {source}")]
    Read {
        /// The file.
        file: String,
        /// Why.
        source: std::io::Error,
    },
    /// It does not hold water.
    #[error("understand the stack file:\n{}", list(.0))]
    Invalid(Vec<Problem>),
}

fn list(problems: &[Problem]) -> String {
    problems.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n")
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct File {
    /// The root folder, relative to the file's; the default is the parent of a folder called `stack`, else the file's own.
    root: Option<String>,
    service: Service,
    #[serde(default)]
    signals: Signals,
    #[serde(default)]
    seed: BTreeMap<String, Seed>,
    component: BTreeMap<String, Component>,
    #[serde(default)]
    link: Vec<Link>,
    usage: Option<UsageTarget>,
    attach: Option<Attach>,
}

impl Spec {
    /// Reads and checks a stack file.
    ///
    /// # Errors
    /// When it cannot be read, or with every problem that was found.
    pub fn load(path: &Path) -> Result<Self, SpecError> {
        let read = |source| SpecError::Read { file: path.display().to_string(), source };
        let text = std::fs::read_to_string(path).map_err(read)?;
        let absolute = std::path::absolute(path).map_err(read)?;
        let folder = absolute.parent().map_or_else(|| PathBuf::from("/"), Path::to_path_buf);
        Self::parse(path, folder, text)
    }

    fn parse(path: &Path, folder: PathBuf, text: String) -> Result<Self, SpecError> {
        let name = path.display().to_string();
        let file: File =
            toml::from_str(&text).map_err(|error| SpecError::Invalid(vec![syntax(&name, &text, &error)]))?;
        let root = match &file.root {
            Some(root) => folder.join(root),
            None if folder.ends_with("stack") => folder.parent().map_or_else(|| folder.clone(), Path::to_path_buf),
            None => folder.clone(),
        };
        let spec = Self {
            file: path.to_path_buf(),
            folder,
            root,
            service: file.service,
            signals: file.signals,
            seed: file.seed,
            components: file.component,
            links: file.link,
            usage: file.usage,
            attach: file.attach,
            text,
        };
        let problems = check::problems(&spec);
        if problems.is_empty() { Ok(spec) } else { Err(SpecError::Invalid(problems)) }
    }

    /// The position of a byte offset in the file, for problems that others find.
    #[must_use]
    pub fn location(&self, offset: usize) -> Location {
        Location::of(&self.file.display().to_string(), &self.text, offset)
    }

    /// The component with this role, if there is one.
    #[must_use]
    pub fn with_role(&self, role: Role) -> Option<(&str, &Component)> {
        self.components.iter().find(|(_, component)| component.role == Some(role)).map(|(name, c)| (name.as_str(), c))
    }

    /// How the harness is let in by a component; the files are read now.
    ///
    /// # Errors
    /// When a file cannot be read or does not say what it must.
    pub fn access(&self, component: &str) -> Result<Access, TrustError> {
        let Some(keys) = self.components.get(component).and_then(|component| component.access.as_ref()) else {
            return Ok(Access::default());
        };
        let keys = keys.get_ref();
        let file = |name: &String| self.folder.join(name);
        let credentials = match (&keys.user, &keys.password_file, &keys.bearer_file) {
            (Some(user), Some(password), _) => {
                Credentials::Basic { user: user.clone(), password: trust::secret(&file(password))? }
            }
            (_, _, Some(token)) => Credentials::Bearer(trust::secret(&file(token))?),
            _ => Credentials::None,
        };
        let trust = keys.ca.as_ref().map(|ca| Trust::of_file(&file(ca))).transpose()?;
        Ok(Access { trust, credentials })
    }

    /// The name and number of a component's port, which may be given by either.
    #[must_use]
    pub fn port(&self, component: &str, port: &str) -> Option<(&str, u16)> {
        let ports = &self.components.get(component)?.ports;
        ports
            .get_key_value(port)
            .or_else(|| ports.iter().find(|(_, number)| number.to_string() == port))
            .map(|(name, number)| (name.as_str(), *number))
    }
}

fn syntax(file: &str, text: &str, error: &toml::de::Error) -> Problem {
    let span = error.span().unwrap_or(0..0);
    let message = error.message().to_owned();
    Problem { at: Location::of(file, text, span.start), help: meant_by(&message), message }
}

/// Serde's messages carry the offender and the known names in backticks.
fn meant_by(message: &str) -> Option<String> {
    if !message.starts_with("unknown") {
        return None;
    }
    let mut quoted = message.split('`').skip(1).step_by(2);
    let offender = quoted.next()?;
    let known: Vec<&str> = quoted.collect();
    did_you_mean(offender, &known)
}

fn did_you_mean<'a>(offender: &str, known: &[&'a str]) -> Option<String> {
    let close: Vec<&'a str> = similar::get_close_matches(offender, known, 1, 0.6);
    close.first().map(|name| format!("did you mean `{name}`?"))
}

#[cfg(test)]
mod tests;
