//! What is done once per suite, before any scenario: build commands, finding programs, asking their versions.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use tokio::process::Command;

use super::contain::Contained;
use crate::breakpoint;
use crate::clock;
use crate::stack::debian::{self, Debian, DebianError, Fetch};
use crate::stack::docker::Engine;
use crate::stack::notice::{Fact, Notices};
use crate::stack::place::Places;
use crate::stack::process::RUN_MARK;
use crate::stack::select::{Extent, Selection, Unavailable, select, spared};
use crate::stack::session::Session;
use crate::stack::spec::{Component, DebianPackage, Placeholder, Spec, Template};

/// How long a program may take to state its version.
const VERSION_PATIENCE: Duration = Duration::from_secs(5);

/// Why a component that is here does not run.
const UNREQUIRED: &str = "a variant does without it, and no scenario requires it";

/// Where the harness's own commands come from.
pub(super) const EMBEDDED: &str = "this harness";

/// Whether build commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Build {
    /// They are.
    Run,
    /// What was built before is used.
    Skip,
}

/// What a preparation is for.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// Components that some scenario requires; they are fetched where they are not here, also when they are optional.
    pub required: BTreeSet<String>,
    /// Whether build commands are run.
    pub build: Build,
    /// The running harness's own binary.
    pub harness: PathBuf,
    /// Where packages are kept.
    pub places: Places,
}

/// A program that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The program; absolute.
    pub program: PathBuf,
    /// The arguments that go with it, as written.
    pub arguments: Vec<Template>,
    /// Where it comes from: `built here`, `PATH`, `installed`, `Debian package prometheus 2.42.0`.
    pub source: String,
    /// Its version as it states it itself; `unknown` when it does not.
    pub version: String,
    /// Folders with its shared libraries, if they came with it.
    pub libraries: Vec<PathBuf>,
    /// The folder that stands for `/` of its package, if it came from one.
    pub root: Option<PathBuf>,
}

/// Why nothing can be started here.
#[derive(Debug, thiserror::Error)]
pub enum PrepareError {
    /// A build command could not be run.
    #[error("build {component}: run `{command}`: {source}")]
    BuildStart {
        /// The component.
        component: String,
        /// The command.
        command: String,
        /// Why.
        source: io::Error,
    },
    /// A build command failed.
    #[error("build {component}: `{command}` ended with {status}\n{}", .last_lines.join("\n"))]
    Build {
        /// The component.
        component: String,
        /// The command.
        command: String,
        /// Its status in words.
        status: String,
        /// Its last lines.
        last_lines: Vec<String>,
    },
    /// The lock of images is broken.
    #[error(transparent)]
    Lock(#[from] crate::stack::docker::image::lock::LockError),
}

/// What the suite can use.
#[derive(Debug)]
pub struct Prepared {
    pub(super) spec: Arc<Spec>,
    pub(super) harness: PathBuf,
    pub(super) located: BTreeMap<String, Located>,
    pub(super) missing: BTreeMap<String, String>,
    pub(super) engine: Option<Engine>,
    pub(super) contained: BTreeMap<String, Contained>,
}

impl Prepared {
    /// Builds and finds every component's program. A component that cannot be had is no error here but in
    /// [`Prepared::select`], where it is known whether it is wanted.
    ///
    /// # Errors
    /// When a build command fails.
    pub async fn new(
        spec: Arc<Spec>,
        session: &Session,
        wanted: &Wanted,
        notices: &Notices,
    ) -> Result<Self, PrepareError> {
        let fetched = to_be_fetched(&spec, &wanted.required);
        let spared = spared(&spec, &wanted.required);
        let debian = Debian::new(&wanted.places, session, notices.clone());
        let (mut located, mut missing) = (BTreeMap::new(), BTreeMap::new());
        for (name, component) in &spec.components {
            let finder = Finder { spec: &spec, harness: &wanted.harness, run: session.run(), debian: &debian };
            if let (Build::Run, Some(command)) = (wanted.build, &component.build) {
                build(&spec.root, session.run(), name, command, notices).await?;
            }
            if spared.contains(name) {
                missing.insert(name.clone(), UNREQUIRED.to_owned());
                continue;
            }
            let fetch = if fetched.contains(name) { Fetch::Allowed } else { Fetch::Never };
            match finder.locate(component, fetch).await {
                Ok(found) => drop(located.insert(name.clone(), found)),
                Err(reason) => drop(missing.insert(name.clone(), reason)),
            }
        }
        let (harness, contained) = (wanted.harness.clone(), BTreeMap::new());
        Ok(Self { spec, harness, located, missing, engine: None, contained })
    }

    /// The container engine the stack runs in, if it does.
    #[must_use]
    pub fn engine(&self) -> Option<&Engine> {
        self.engine.as_ref()
    }

    /// The stack's description.
    #[must_use]
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// A component's program.
    #[must_use]
    pub fn located(&self, component: &str) -> Option<&Located> {
        self.located.get(component)
    }

    /// A tool that comes with a component's program, such as `promtool`: beside it, else on `PATH`.
    #[must_use]
    pub fn tool(&self, component: &str, name: &str) -> Option<PathBuf> {
        let beside = self.located(component).map(|located| located.program.with_file_name(name));
        beside.filter(|path| is_program(path)).or_else(|| on_path(name))
    }

    /// Components that cannot run here, with the reason.
    #[must_use]
    pub fn missing(&self) -> &BTreeMap<String, String> {
        &self.missing
    }

    /// Chooses what runs for a scenario that requires some components. As processes, what can be done without runs where it
    /// is required, so that a scenario is the same one whatever others have fetched.
    ///
    /// # Errors
    /// The first component that has to run and cannot, with the reason.
    pub fn select(&self, required: &BTreeSet<String>, extent: Extent) -> Result<Selection, Unavailable> {
        let mut missing = self.missing.clone();
        if self.engine.is_none() {
            for name in spared(&self.spec, required) {
                missing.entry(name).or_insert_with(|| UNREQUIRED.to_owned());
            }
        }
        select(&self.spec, &missing, required, extent)
    }
}

/// Packages are fetched for what has to run; for what can be left out, only when it is required.
fn to_be_fetched(spec: &Spec, required: &BTreeSet<String>) -> BTreeSet<String> {
    let spared = spared(spec, required);
    let wanted = |name: &String, component: &Component| {
        required.contains(name) || !(component.optional || spared.contains(name))
    };
    let wanted = spec.components.iter().filter(|(name, component)| wanted(name, component));
    wanted.map(|(name, _)| name.clone()).collect()
}

pub(super) async fn build(
    root: &Path,
    run: &str,
    component: &str,
    command: &[String],
    notices: &Notices,
) -> Result<(), PrepareError> {
    let Some((program, arguments)) = command.split_first() else { return Ok(()) };
    let shown = command.join(" ");
    notices.tell(Fact::Building { component: component.to_owned(), command: shown.clone() });
    let begun = clock::instant();
    let building = Command::new(program)
        .args(arguments)
        .current_dir(root)
        .env(RUN_MARK, run)
        // the program is looked for below the root
        .env_remove("CARGO_TARGET_DIR")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn();
    breakpoint::reached("building");
    let output = async { building?.wait_with_output().await }.await.map_err(|source| PrepareError::BuildStart {
        component: component.to_owned(),
        command: shown.clone(),
        source,
    })?;
    if !output.status.success() {
        return Err(PrepareError::Build {
            component: component.to_owned(),
            command: shown,
            status: output.status.to_string(),
            last_lines: last_lines(&[output.stdout, output.stderr].concat()),
        });
    }
    notices.tell(Fact::Built { component: component.to_owned(), took: clock::instant().duration_since(begun) });
    Ok(())
}

fn last_lines(bytes: &[u8]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(30)..].iter().map(|line| (*line).to_owned()).collect()
}

struct Finder<'a> {
    spec: &'a Spec,
    harness: &'a Path,
    run: &'a str,
    debian: &'a Debian<'a>,
}

impl Finder<'_> {
    /// The first of: a command whose program is here, the component's own command from its Debian package, a command of
    /// the harness itself.
    async fn locate(&self, component: &Component, fetch: Fetch) -> Result<Located, String> {
        let own = Some(&component.command).filter(|command| !command.is_empty());
        let commands = || own.into_iter().chain(&component.alternatives);
        let embedded = |command: &&Vec<Template>| command.first().is_some_and(is_embedded);
        let mut reasons = Vec::new();
        for command in commands().filter(|command| !embedded(command)) {
            match self.program(command) {
                Ok(found) => return Ok(self.with_version(component, command, found).await),
                Err(reason) => reasons.push(reason),
            }
        }
        if let (Some(command), Some(package)) = (own, &component.debian) {
            if let Some(installed) = debian::installed(package) {
                return Ok(self.with_version(component, command, Found::here(installed, "installed")).await);
            }
            match self.unpacked(package, fetch).await {
                Ok(found) => return Ok(self.with_version(component, command, found).await),
                Err(reason) => reasons.push(reason),
            }
        }
        if let Some(command) = commands().find(embedded) {
            let found = Found::here(self.harness.to_path_buf(), EMBEDDED);
            return Ok(self.with_version(component, command, found).await);
        }
        if reasons.is_empty() {
            reasons.push("it has no `command`, only an image; it needs a container engine".to_owned());
        }
        Err(reasons.join(", and "))
    }

    fn program(&self, command: &[Template]) -> Result<Found, String> {
        let name = command.first().map(ToString::to_string).unwrap_or_default();
        if name.contains('/') {
            let program = self.spec.root.join(&name);
            return if is_program(&program) {
                Ok(Found::here(program, "built here"))
            } else {
                Err(format!("there is no program {}", program.display()))
            };
        }
        on_path(&name).map(|program| Found::here(program, "PATH")).ok_or_else(|| format!("`{name}` is not on PATH"))
    }

    async fn unpacked(&self, package: &DebianPackage, fetch: Fetch) -> Result<Found, String> {
        let found = self.debian.locate(package, fetch).await.map_err(|error| match error {
            DebianError::NotFetched { .. } => error.to_string(),
            _ => format!("the harness failed to {error}"),
        })?;
        let source = format!("Debian package {}", found.name);
        Ok(Found { program: found.binary, source, libraries: found.libraries, root: Some(found.root) })
    }

    async fn with_version(&self, component: &Component, command: &[Template], found: Found) -> Located {
        let own = found.source == EMBEDDED;
        let asked = component
            .version
            .clone()
            .or_else(|| (component.role.is_some() || component.debian.is_some()).then(|| vec!["--version".to_owned()]));
        let version = match asked {
            _ if own => Some(env!("CARGO_PKG_VERSION").to_owned()),
            Some(arguments) => self.version(&found, &arguments).await,
            None => None,
        };
        Located {
            program: found.program,
            arguments: arguments(component, command),
            source: found.source,
            version: version.unwrap_or_else(|| "unknown".to_owned()),
            libraries: found.libraries,
            root: found.root,
        }
    }

    async fn version(&self, found: &Found, arguments: &[String]) -> Option<String> {
        let mut command = Command::new(&found.program);
        command.args(arguments).current_dir("/").env(RUN_MARK, self.run).stdin(Stdio::null()).kill_on_drop(true);
        if !found.libraries.is_empty() {
            command.env("LD_LIBRARY_PATH", std::env::join_paths(&found.libraries).ok()?);
        }
        let output = tokio::time::timeout(VERSION_PATIENCE, command.output()).await.ok()?.ok()?;
        version_in(&String::from_utf8_lossy(&[output.stdout, output.stderr].concat()))
    }
}

pub(super) fn arguments(component: &Component, command: &[Template]) -> Vec<Template> {
    command.iter().skip(1).chain(&component.args).cloned().collect()
}

/// Whether a command runs the harness itself.
pub(super) fn is_embedded(program: &Template) -> bool {
    program.placeholders().eq([&Placeholder::Harness])
}

/// A program and where it comes from.
#[derive(Clone, Debug)]
struct Found {
    program: PathBuf,
    source: String,
    libraries: Vec<PathBuf>,
    root: Option<PathBuf>,
}

impl Found {
    /// A program that needs nothing else to come with it.
    fn here(program: PathBuf, source: &str) -> Self {
        Self { program, source: source.to_owned(), libraries: Vec::new(), root: None }
    }
}

/// The first thing in the text that looks like a version.
fn version_in(text: &str) -> Option<String> {
    let words = text.split(|c: char| c.is_whitespace() || matches!(c, ',' | '(' | ')'));
    let version = |word: &str| {
        let word = word.trim_start_matches(['v', '=']);
        let looks = word.starts_with(|c: char| c.is_ascii_digit()) && word.contains('.');
        looks.then(|| word.trim_end_matches('.').to_owned())
    };
    words.filter_map(version).next()
}

pub(in crate::stack) fn on_path(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    find_in(&path, name)
}

fn find_in(path: &OsStr, name: &str) -> Option<PathBuf> {
    std::env::split_paths(path)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|p| is_program(p))
}

pub(super) fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_found_in_what_programs_say() {
        for (text, version) in [
            ("prometheus, version 2.42.0+ds (branch: debian/sid, revision: 2.42.0+ds-5+b5)", Some("2.42.0+ds")),
            ("alertmanager, version 0.25.0 (branch: x)\n build user: y", Some("0.25.0")),
            ("Redis server v=7.0.15 sha=00000000:0 malloc=jemalloc-5.3.0", Some("7.0.15")),
            ("postgres (PostgreSQL) 15.14 (Debian 15.14-0+deb12u1)", Some("15.14")),
            ("usage: something", None),
        ] {
            assert_eq!(version_in(text).as_deref(), version, "{text}");
        }
    }
}
