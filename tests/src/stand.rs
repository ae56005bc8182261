//! A private copy of a stack and a scenario that a test may break, and the harness as a child process on it. Fed by the
//! files in `fixtures` and `stack`, read by the tests.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use tempfile::TempDir;
use tokio::process::{Child, Command};
use tokio::sync::{Semaphore, SemaphorePermit};
use toml_edit::{Array, DocumentMut, value};

use crate::leftover::{Leftovers, commanded};
use crate::{Drill, binary, eventually, repository};

/// How many drills run at the same time, on two cores.
static PERMITS: Semaphore = Semaphore::const_new(3);
/// No drill of this suite takes longer.
const LONGEST: Duration = Duration::from_secs(150);

/// A stack and a scenario of its own.
#[derive(Debug)]
pub struct Stand {
    folder: TempDir,
    scenario: String,
}

/// A harness that runs on a stand.
#[derive(Debug)]
pub struct Running<'a> {
    stand: &'a Stand,
    child: Child,
    _permit: SemaphorePermit<'static>,
}

/// How a process ended and what it wrote.
#[derive(Clone, Debug)]
pub struct Ended {
    /// The exit code; none when a signal ended it.
    pub code: Option<i32>,
    /// Its results.
    pub stdout: String,
    /// Its messages.
    pub stderr: String,
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
        stand.edit_stack(|stack| stack["seed"]["items"]["count"] = value(100));
        stand
    }

    /// The stack and the scenario in `fixtures/<folder>`; `component` is the program at `program`.
    #[must_use]
    pub fn of_fixture(folder: &str, scenario: &str, component: &str, program: &Path) -> Self {
        let stand = Self::empty(scenario);
        copy(&fixture(folder), stand.root());
        stand.patch(component, program);
        stand
    }

    fn empty(scenario: &str) -> Self {
        let folder = tempfile::Builder::new().prefix("drill-").tempdir().expect("a temporary folder can be made");
        for name in ["state", "tmp"] {
            fs::create_dir(folder.path().join(name)).expect("a folder can be made in it");
        }
        Self { folder, scenario: scenario.to_owned() }
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
            table.remove("build");
            table.insert("command", value(Array::from_iter([program.display().to_string()])));
        });
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
        let output = tokio::time::timeout(LONGEST, output).await.expect("the harness ends");
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
        let permit = PERMITS.acquire().await.expect("the semaphore is never closed");
        let write =
            |name| Stdio::from(File::create(self.root().join(name)).expect("the stand's folder can be written"));
        let file = self.scenario_file();
        let mut command = self.command(&["validate", &file, "--out", "reports"]);
        let child = command.stdout(write("stdout")).stderr(write("stderr")).spawn().expect("the harness starts");
        Running { stand: self, child, _permit: permit }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("harness"));
        command
            .args(arguments)
            .current_dir(self.root())
            .env("HARNESS_STATE", self.root().join("state"))
            .env("TMPDIR", self.root().join("tmp"))
            .env("NO_COLOR", "1")
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

impl Running<'_> {
    /// Waits until the log has an event that contains `text`; the run's folder.
    ///
    /// # Panics
    /// When it does not come.
    pub async fn reached(&mut self, text: &str) -> PathBuf {
        let log = || self.stand.runs().pop().map(|folder| folder.join("events.jsonl"));
        let said = || log().is_some_and(|path| fs::read_to_string(path).unwrap_or_default().contains(text));
        eventually(&format!("the run tells {text}"), Duration::from_secs(90), said).await;
        self.stand.runs().pop().expect("the log lies in a run's folder")
    }

    /// Sends a signal to the harness itself.
    ///
    /// # Panics
    /// When it has ended already.
    pub fn signal(&self, signal: Signal) {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw);
        kill_process(pid.expect("the harness still runs"), signal).expect("it is our own child");
    }

    /// Kills the reaper of this stand's run.
    ///
    /// # Panics
    /// When there is not exactly one.
    pub fn kill_reaper(&self) {
        let journals = self.stand.root().join("state").display().to_string();
        let found = commanded(&["reaper", "--journal", &journals]);
        let [pid] = found[..] else { panic!("one reaper, not {found:?}") };
        kill_process(Pid::from_raw(pid).expect("a pid is positive"), Signal::KILL).expect("it is our grandchild");
    }

    /// Waits until the process has ended.
    ///
    /// # Panics
    /// When it does not end.
    pub async fn wait(&mut self) -> ExitStatus {
        tokio::time::timeout(LONGEST, self.child.wait()).await.expect("the harness ends").expect("it can be waited for")
    }

    /// Waits for the end and reads what came of it.
    ///
    /// # Panics
    /// When it does not end or wrote no report.
    pub async fn end(mut self) -> Drill {
        let status = self.wait().await;
        let root = self.stand.root();
        let ended =
            Ended { code: status.code(), stdout: read(&root.join("stdout")), stderr: read(&root.join("stderr")) };
        let folder = self.stand.runs().pop().unwrap_or_else(|| panic!("no run was made: {ended:#?}"));
        let events = harness::report::log::read(&folder).expect("the event log can be read");
        for file in ["index.html", "junit.xml"] {
            assert!(folder.join(file).is_file(), "{file} was not written: {ended:#?}");
        }
        let json = serde_json::from_str(&read(&folder.join("run.json"))).expect("run.json is JSON");
        Drill { ended, folder, events, json }
    }
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fixtures").join(name)
}

fn read(path: &Path) -> String {
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
