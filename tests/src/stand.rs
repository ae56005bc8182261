//! A private copy of a stack and a scenario that a test may break, and the harness as a child process on it. Fed by the
//! files in `fixtures` and `stack`, read by the tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;
use tokio::sync::Semaphore;
use toml_edit::{Array, DocumentMut, value};

use crate::leftover::Leftovers;
use crate::running::{Ended, Running};
use crate::{Drill, binary, repository};

/// How many drills run at the same time, on two cores.
static PERMITS: Semaphore = Semaphore::const_new(3);
/// No drill of this suite takes longer, unless it says so.
const LONGEST: Duration = Duration::from_secs(150);

/// Whether a drill injects its faults.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Faults {
    Injected,
    LeftOut,
}

/// What runs a stand's stack.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Provider {
    /// Processes of this machine.
    Local,
    /// Containers.
    Docker,
}

impl Provider {
    /// As `--stack` names it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Docker => "docker",
        }
    }
}

/// A stack and a scenario of its own.
#[derive(Debug)]
pub struct Stand {
    folder: TempDir,
    scenario: String,
    provider: Provider,
    faults: Faults,
    environment: Vec<(String, String)>,
    held_at: Option<String>,
    pub(crate) longest: Duration,
}

impl Stand {
    /// The reference stack with the short rules and the scenario `fixtures/drill/<scenario>.toml`; the service is the debug
    /// binary beside the test.
    #[must_use]
    pub fn new(scenario: &str) -> Self {
        let stand = Self::empty(scenario);
        let drill = fixture("drill");
        copy(&drill.join(format!("{scenario}.toml")), &stand.root().join(format!("{scenario}.toml")));
        copy(&repository().join("stack"), &stand.root().join("stack"));
        let rules = stand.root().join("stack/prometheus/rules");
        fs::remove_dir_all(&rules).expect("the stack has rules");
        copy(&drill.join("rules.yml"), &rules.join("drill.yml"));
        stand.patch("inventory-service", &binary("inventory-service"));
        stand.edit_stack(|stack| {
            let table = stack["component"]["inventory-service"].as_table_like_mut();
            table.expect("the stack has this component").remove("build");
        });
        stand.edit_stack(|stack| stack["seed"]["items"]["count"] = value(100));
        stand
    }

    /// The stack and the scenario in `fixtures/<folder>`; `component` is the program at `program`.
    #[must_use]
    pub fn of_fixture(folder: &str, scenario: &str, component: &str, program: &Path) -> Self {
        let stand = Self::of_folder(folder, scenario);
        stand.patch(component, program);
        stand
    }

    /// The stack and the scenario in `fixtures/<folder>`, as they are.
    #[must_use]
    pub fn of_folder(folder: &str, scenario: &str) -> Self {
        let stand = Self::empty(scenario);
        copy(&fixture(folder), stand.root());
        stand
    }

    fn empty(scenario: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("drill-").tempdir().expect("a temporary folder can be made");
        for name in ["state", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a folder can be made in it");
        }
        let (provider, environment) = (Provider::Local, Vec::new());
        let faults = Faults::Injected;
        let held_at = None;
        Self { folder, scenario: scenario.to_owned(), provider, faults, environment, held_at, longest: LONGEST }
    }

    /// The same stand with its stack run by `provider`; processes of this machine without it.
    #[must_use]
    pub const fn run_by(mut self, provider: Provider) -> Self {
        self.provider = provider;
        self
    }

    /// The same stand, whose drills are controls: `--control`.
    #[must_use]
    pub const fn without_faults(mut self) -> Self {
        self.faults = Faults::LeftOut;
        self
    }

    /// The harness and everything it starts get this variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The harness blocks at this place of `harness::breakpoint`; [`Running::held`] waits for it.
    #[must_use]
    pub fn hold_at(self, place: &str) -> Self {
        Self { held_at: Some(place.to_owned()), ..self }
    }

    pub(crate) fn held_file(&self) -> PathBuf {
        self.root().join("held")
    }

    /// The stand's folder.
    #[must_use]
    pub fn root(&self) -> &Path {
        self.folder.path()
    }

    /// The name of the scenario file.
    #[must_use]
    pub fn scenario_file(&self) -> String {
        format!("{}.toml", self.scenario)
    }

    fn patch(&self, component: &str, program: &Path) {
        self.edit_stack(|stack| {
            let table = stack["component"][component].as_table_like_mut().expect("the stack has this component");
            table.insert("command", value(Array::from_iter([program.display().to_string()])));
        });
    }

    /// Runs another program instead of a component's own.
    #[must_use]
    pub fn replace(self, component: &str, program: &Path, arguments: &[&str]) -> Self {
        self.patch(component, program);
        self.edit_stack(|stack| {
            let command = stack["component"][component]["command"].as_array_mut().expect("it was just written");
            command.extend(arguments.iter().copied());
        });
        self
    }

    fn edit_stack(&self, edit: impl FnOnce(&mut DocumentMut)) {
        let path = self.root().join("stack/stack.toml");
        let mut stack: DocumentMut = read(&path).parse().expect("the stack file is TOML");
        edit(&mut stack);
        fs::write(&path, stack.to_string()).expect("the copy can be written");
    }

    /// Replaces `from` by `to` in a file of the stand; `from` stands there exactly once.
    ///
    /// # Panics
    /// When it does not, so that no test breaks something that is not there.
    #[must_use]
    pub fn edit(self, file: &str, from: &str, to: &str) -> Self {
        let path = self.root().join(file);
        let text = read(&path);
        assert_eq!(text.matches(from).count(), 1, "`{from}` must stand exactly once in {file}");
        fs::write(&path, text.replace(from, to)).expect("the copy can be written");
        self
    }

    /// Puts the fixture `drill/<name>` in the place of a file of the stand.
    #[must_use]
    pub fn with_fixture(self, name: &str, file: &str) -> Self {
        copy(&fixture("drill").join(name), &self.root().join(file));
        self
    }

    /// Writes a file of the stand anew.
    #[must_use]
    pub fn with_text(self, file: &str, text: &str) -> Self {
        fs::write(self.root().join(file), text).expect("the copy can be written");
        self
    }

    /// As [`Stand::edit`], in the rules.
    #[must_use]
    pub fn edit_rules(self, from: &str, to: &str) -> Self {
        self.edit("stack/prometheus/rules/drill.yml", from, to)
    }

    /// As [`Stand::edit`], in the Alertmanager configuration.
    #[must_use]
    pub fn edit_routes(self, from: &str, to: &str) -> Self {
        self.edit("stack/alertmanager/alertmanager.yml", from, to)
    }

    /// As [`Stand::edit`], in the scenario.
    #[must_use]
    pub fn edit_scenario(self, from: &str, to: &str) -> Self {
        let file = self.scenario_file();
        self.edit(&file, from, to)
    }

    /// Lets a drill take so long.
    #[must_use]
    pub fn patient(self, longest: Duration) -> Self {
        Self { longest, ..self }
    }

    /// Adds a file, for example another rule file.
    #[must_use]
    pub fn add_file(self, file: &str, text: &str) -> Self {
        let path = self.root().join(file);
        assert!(!path.exists(), "{file} is there already");
        fs::write(&path, text).expect("the stand's folder can be written");
        self
    }

    /// Appends to the scenario.
    #[must_use]
    pub fn add_to_scenario(self, text: &str) -> Self {
        let path = self.root().join(self.scenario_file());
        fs::write(&path, format!("{}\n{text}", read(&path))).expect("the copy can be written");
        self
    }

    /// Makes the service lie, by its own `INVENTORY_SABOTAGE`.
    #[must_use]
    pub fn sabotage(self, name: &str) -> Self {
        self.edit_stack(|stack| {
            stack["component"]["inventory-service"]["env"]["INVENTORY_SABOTAGE"] = value(name);
        });
        self
    }

    /// `file:line:column` of the first `text` in the scenario.
    ///
    /// # Panics
    /// When it is not there.
    #[must_use]
    pub fn place_of(&self, text: &str) -> String {
        let scenario = read(&self.root().join(self.scenario_file()));
        let offset = scenario.find(text).unwrap_or_else(|| panic!("`{text}` stands in the scenario"));
        let before = &scenario[..offset];
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|it| *it != '\n').count() + 1;
        format!("{}:{line}:{column}", self.scenario_file())
    }

    /// Runs the harness with these arguments to its end.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn harness(&self, arguments: &[&str]) -> Ended {
        let output = self.command(arguments).output();
        let output = tokio::time::timeout(self.longest, output).await.expect("the harness ends");
        let output = output.expect("the harness starts");
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ended { code: output.status.code(), stdout: text(&output.stdout), stderr: text(&output.stderr) }
    }

    /// Drills the scenario, and asserts that nothing is left of it.
    ///
    /// # Panics
    /// When the harness does not end, writes no report or leaves something behind.
    pub async fn drill(&self) -> Drill {
        let drill = self.start().await.end().await;
        let left = Leftovers::of(self.root(), &drill.run());
        assert!(left.is_empty(), "left behind: {left:#?}");
        drill
    }

    /// Starts a drill.
    pub async fn start(&self) -> Running<'_> {
        self.start_with_output(self.written("stdout")).await
    }

    fn written(&self, name: &str) -> Stdio {
        Stdio::from(File::create(self.root().join(name)).expect("the stand's folder can be written"))
    }

    /// What the harness has said so far.
    #[must_use]
    pub fn said(&self) -> String {
        read(&self.root().join("stderr"))
    }

    /// Starts a drill whose results go elsewhere.
    pub async fn start_with_output(&self, output: Stdio) -> Running<'_> {
        let permit = PERMITS.acquire().await.expect("the semaphore is never closed");
        let file = self.scenario_file();
        let mut command = self.command(&["validate", &file, "--out", "reports", "--stack", self.provider.name()]);
        command.args((self.faults == Faults::LeftOut).then_some("--control")).process_group(0);
        if let Some(place) = &self.held_at {
            command.env("HARNESS_BREAK_AT", place).env("HARNESS_BREAK_FILE", self.held_file());
        }
        let child = command.stdout(output).stderr(self.written("stderr")).spawn().expect("the harness starts");
        Running { stand: self, child, permit: Some(permit) }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("harness"));
        command
            .args(arguments)
            .current_dir(self.root())
            .env("HARNESS_STATE", self.root().join("state"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .kill_on_drop(true);
        command
    }

    /// The folders of all runs so far.
    #[must_use]
    pub fn runs(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.root().join("reports")).into_iter().flatten().flatten();
        let mut runs: Vec<PathBuf> =
            entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())).map(|it| it.path()).collect();
        runs.sort();
        runs
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

pub(crate) fn read(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{} can be read: {error}", path.display()))
}

/// Copies a file or a folder; what is no part of a running stack is left out.
fn copy(from: &Path, to: &Path) {
    let left_out = ["logstore", "kubernetes", "images"];
    if from.is_dir() {
        fs::create_dir_all(to).expect("a folder can be made in the stand");
        for entry in fs::read_dir(from).expect("a fixture can be read").flatten() {
            if !left_out.iter().any(|name| entry.file_name() == *name) {
                copy(&entry.path(), &to.join(entry.file_name()));
            }
        }
        return;
    }
    fs::create_dir_all(to.parent().expect("a file lies in a folder")).expect("a folder can be made in the stand");
    fs::copy(from, to).unwrap_or_else(|error| panic!("{} can be copied: {error}", from.display()));
}
