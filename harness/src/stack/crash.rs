//! Crash cases: a harness with a running stack is killed with `SIGKILL`, and nothing of its run is left.
//!
//! The victim is this test binary started again; its test `doomed_entry` brings a stack up and waits to be killed.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use rustix::process::Signal;
use tempfile::TempDir;
use tokio::sync::mpsc;

use super::docker::Engine;
use super::journal::{Entry, Journal, Owner, Record};
use super::local::{Allocation, Build, Running, Wanted};
use super::notice::Notices;
use super::place::Places;
use super::process::{self, Identity, RUN_MARK};
use super::provider::{Choice, Provider};
use super::select::Extent;
use super::session::Session;
use super::spec::Spec;
use super::sweep::{Swept, sweep};
use super::testing::{eventually, open, reaper, unique};

const FOLDER: &str = "HARNESS_TEST_FOLDER";
const RUN: &str = "HARNESS_TEST_RUN";
const DOCKER: &str = "HARNESS_TEST_DOCKER";
const UP: &str = "stack is up";

/// One component has a grandchild that ignores SIGTERM, one is paused, one is gone and left an orphan behind, one has a child
/// with a session of its own and nothing of its environment.
const STACK: &str = r#"
[service]
component = "app"
base-url = "http://x"
[component.app]
command = ["sh", "-c", "trap '' TERM; sh -c 'trap \"\" TERM; sleep 600; :' & echo ready; wait; sleep 600"]
ready = [{ log = "ready" }]
[component.frozen]
command = ["sleep", "600"]
[component.orphan]
command = ["sh", "-c", "sleep 600 & echo ready; exit 0"]
[component.stranger]
command = ["sh", "-c", "setsid env -i sleep 600 & echo ready; wait"]
ready = [{ log = "ready" }]
"#;

/// Two programs of the host's in containers, one of them paused.
const CONTAINERS: &str = r#"
[service]
component = "app"
base-url = "http://x"
[component.app]
build = ["cp", "/bin/sleep", "asleep"]
command = ["./asleep", "600"]
[component.frozen]
command = ["./asleep", "600"]
needs = ["app"]
"#;

/// Not a test of its own: other tests start this binary as a victim, and it enters here.
#[tokio::test(flavor = "multi_thread")]
async fn doomed_entry() {
    let (Ok(folder), Ok(run)) = (std::env::var(FOLDER), std::env::var(RUN)) else { return };
    let folder = PathBuf::from(folder);
    let file = folder.join(format!("{run}.toml"));
    let choice = if std::env::var_os(DOCKER).is_some() { Choice::Docker } else { Choice::Local };
    std::fs::write(&file, if choice == Choice::Docker { CONTAINERS } else { STACK }).unwrap();
    let (provider, _) = Provider::choose(choice).await.unwrap();
    let places = Places::below(&folder);
    let session = Arc::new(Session::open(&run, &places, &reaper()).unwrap());
    let notices = Notices::new(mpsc::unbounded_channel().0);
    let harness = std::env::current_exe().unwrap();
    let wanted = Wanted { required: BTreeSet::new(), build: Build::Run, harness, places };
    let prepared = provider.prepare(Arc::new(Spec::load(&file).unwrap()), &session, &wanted, &notices).await.unwrap();
    let prepared = Arc::new(prepared);
    let selection = prepared.select(&BTreeSet::new(), Extent::Needed).unwrap();
    let names: Vec<String> = selection.in_order(prepared.spec());
    let allocation = Allocation::create(&session, prepared, selection, "drill").await.unwrap();
    let running = Running::new(allocation, session, &folder, notices);
    for name in names {
        // the orphan's leader may be seen to end first
        let _ = running.start(&name).await;
    }
    running.pause("frozen").await.unwrap();
    std::io::stdout().write_all(format!("\n{UP}\n").as_bytes()).unwrap();
    std::future::pending().await
}

struct Victim {
    run: String,
    child: Child,
    folder: PathBuf,
    /// All that it had started.
    started: Vec<Identity>,
}

impl Victim {
    fn start(folder: &TempDir, name: &str) -> Self {
        let mut victim = Self::spawn(folder, name, &mut Command::new(std::env::current_exe().unwrap()));
        // app: two shells and a sleep; frozen; the orphan's sleep; the stranger and its shell
        eventually("all processes are there", || victim.processes() == 7 && victim.sleeps() == 4);
        victim.started = process::members(&[], (RUN_MARK, &victim.run)).iter().map(|stat| stat.identity).collect();
        let strangers = victim.started.iter().filter(|it| !process::carries(it.pid, RUN_MARK, &victim.run));
        assert_eq!(strangers.count(), 1);
        victim
    }

    fn in_containers(folder: &TempDir, name: &str) -> Self {
        Self::spawn(folder, name, Command::new(std::env::current_exe().unwrap()).env(DOCKER, "1"))
    }

    fn spawn(folder: &TempDir, name: &str, command: &mut Command) -> Self {
        let run = unique(name);
        let mut child = command
            .args(["--exact", "stack::crash::doomed_entry", "--nocapture"])
            .env(FOLDER, folder.path())
            .env(RUN, &run)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == UP));
        Self { run, child, folder: folder.path().to_path_buf(), started: Vec::new() }
    }

    fn processes(&self) -> usize {
        process::members(&[], (RUN_MARK, &self.run)).len()
    }

    fn sleeps(&self) -> usize {
        let name = |pid: u32| std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let members = process::members(&[], (RUN_MARK, &self.run));
        members.iter().filter(|stat| name(stat.identity.pid) == "sleep\n").count()
    }

    fn journal(&self) -> PathBuf {
        Places::below(&self.folder).journals().join(format!("{}.jsonl", self.run))
    }

    fn temporary(&self) -> PathBuf {
        Places::below(&self.folder).temporary.join(format!("harness-{}", self.run))
    }

    fn is_gone(&self) -> bool {
        let ended = self.started.iter().all(|identity| !process::alive(*identity));
        ended && self.processes() == 0 && !self.journal().exists() && !self.temporary().exists()
    }

    fn kill(&mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Its reaper: the child of the victim that works on its journal.
    fn reaper(&self) -> Identity {
        let journal = self.journal();
        let works_on = |pid: u32| process::carries(pid, super::testing::JOURNAL, &journal.to_string_lossy());
        let found: Vec<Identity> =
            process::all().iter().map(|stat| stat.identity).filter(|identity| works_on(identity.pid)).collect();
        assert_eq!(found.len(), 1);
        found[0]
    }
}

fn swept(folder: &TempDir) -> Swept {
    sweep(&Places::below(folder.path()))
}

#[test]
fn nothing_is_left_when_the_harness_is_killed() {
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Victim::start(&folder, "killed");
    assert!(victim.temporary().join("drill/app").is_dir());
    let reaper = victim.reaper();
    victim.kill();
    eventually("the reaper removes everything", || victim.is_gone());
    eventually("the reaper itself ends", || !process::alive(reaper));
    assert_eq!(swept(&folder), Swept::default());
}

#[test]
fn two_runs_at_once_do_not_touch_each_other_c51() {
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Victim::start(&folder, "first");
    let mut other = Victim::start(&folder, "second");
    victim.kill();
    eventually("the first is gone", || victim.is_gone());
    assert_eq!(swept(&folder), Swept { alive: vec![other.run.clone()], ..Swept::default() });
    assert_eq!(other.processes(), 7);
    assert!(other.temporary().is_dir() && other.journal().is_file());
    other.kill();
    eventually("the second is gone", || other.is_gone());
}

#[test]
fn the_sweep_heals_when_the_reaper_was_killed_first_c50_c55() {
    let folder = tempfile::tempdir().unwrap();
    let mut victim = Victim::start(&folder, "reaper-first");
    process::signal(victim.reaper(), Signal::KILL).unwrap();
    victim.kill();
    // not all seven: the kernel itself hangs up on a group that is stopped and has lost its parent
    assert!(victim.processes() >= 6);
    let first = swept(&folder);
    assert!(victim.is_gone());
    assert_eq!(first.left, []);
    assert!(first.removed.len() >= 8, "{first:?}");
    assert_eq!(swept(&folder), Swept::default());
}

#[test]
fn a_live_run_is_not_swept_c55() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path(), &unique("live"));
    assert_eq!(swept(&folder), Swept { alive: vec![session.run().to_owned()], ..Swept::default() });
    assert!(session.folder().is_dir());
    assert_eq!(Arc::into_inner(session).unwrap().close(), []);
}

#[test]
fn an_unclosed_session_is_cleaned_up_by_its_reaper() {
    let folder = tempfile::tempdir().unwrap();
    let session = open(folder.path(), &unique("dropped"));
    let temporary = session.folder().to_path_buf();
    drop(session);
    eventually("its folder is gone", || !temporary.exists());
}

/// A journal whose owner is dead, with these entries.
fn abandoned(folder: &Path, run: &str, entries: &[Entry]) -> PathBuf {
    let journals = Places::below(folder).journals();
    let journal = Journal::create(&journals, run).unwrap();
    entries.iter().for_each(|entry| journal.record(entry).unwrap());
    let path = journal.path().to_path_buf();
    drop(journal);
    let living = serde_json::to_string(&Entry::Owner(Owner::this(run))).unwrap();
    let own = process::own();
    let dead = living.replace(&format!("\"start\":{}", own.start), &format!("\"start\":{}", own.start - 1));
    std::fs::write(&path, std::fs::read_to_string(&path).unwrap().replace(&living, &dead)).unwrap();
    path
}

#[test]
fn a_process_that_got_a_recorded_pid_later_is_not_swept_c49() {
    let folder = tempfile::tempdir().unwrap();
    let mut bystander = Command::new("sleep").arg("600").spawn().unwrap();
    let identity = process::stat(bystander.id()).unwrap().identity;
    let recorded = Identity { start: identity.start - 1, ..identity };
    let journal = abandoned(folder.path(), &unique("reused"), &[Entry::Group(recorded)]);
    assert_eq!(swept(&folder).removed, [format!("journal {}", journal.display())]);
    assert!(process::alive(identity));
    bystander.kill().unwrap();
    bystander.wait().unwrap();
}

#[test]
fn a_folder_that_is_not_the_runs_own_is_never_removed() {
    let folder = tempfile::tempdir().unwrap();
    let precious = folder.path().join("precious");
    std::fs::create_dir(&precious).unwrap();
    let journal = abandoned(folder.path(), &unique("precious"), &[Entry::Folder(precious.clone())]);
    let swept = swept(&folder);
    assert!(precious.is_dir() && journal.is_file());
    assert_eq!((swept.removed.len(), swept.left.len()), (0, 1));
}

#[test]
fn a_journal_without_a_readable_first_line_is_removed_without_touching_anything() {
    let folder = tempfile::tempdir().unwrap();
    let journals = Places::below(folder.path()).journals();
    std::fs::create_dir_all(&journals).unwrap();
    let path = journals.join("cut.jsonl");
    std::fs::write(&path, "{\"owner\":{\"ru").unwrap();
    assert_eq!(Record::read(&path).unwrap().owner, None);
    assert_eq!(swept(&folder).removed.len(), 1);
    assert!(!path.exists());
}

/// How many containers and networks of a run the engine has.
async fn in_engine(engine: &Engine, run: &str) -> (usize, usize) {
    (engine.containers(run).await.unwrap().len(), engine.networks(run).await.unwrap().len())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine and Debian's mirror: cargo test -p harness --lib in_containers -- --ignored"]
async fn nothing_is_left_in_containers_when_the_harness_is_killed_and_a_bystander_is_untouched() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::connect().await.unwrap();
    let mut victim = Victim::in_containers(&folder, "killed-in-containers");
    let bystander = format!("harness-{}-drill-bystander", victim.run);
    engine.create_network(&bystander, "somebody-elses").await.unwrap();
    assert_eq!(in_engine(&engine, &victim.run).await, (2, 1));
    victim.kill();
    tokio::task::block_in_place(|| eventually("the reaper removes everything", || victim.is_gone()));
    assert_eq!(in_engine(&engine, &victim.run).await, (0, 0));
    assert_eq!(in_engine(&engine, "somebody-elses").await, (0, 1));
    engine.remove_network(&bystander).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a container engine and Debian's mirror: cargo test -p harness --lib in_containers -- --ignored"]
async fn the_sweep_heals_in_containers_when_the_reaper_was_killed_first_c50_c55() {
    let folder = tempfile::tempdir().unwrap();
    let engine = Engine::connect().await.unwrap();
    let mut victim = Victim::in_containers(&folder, "reaper-first-in-containers");
    process::signal(victim.reaper(), Signal::KILL).unwrap();
    victim.kill();
    assert_eq!(in_engine(&engine, &victim.run).await, (2, 1));
    let places = Places::below(folder.path());
    let first = tokio::task::spawn_blocking(move || (sweep(&places), sweep(&places))).await.unwrap();
    assert_eq!(first.0.left, []);
    assert_eq!(first.1, Swept::default());
    assert!(victim.is_gone());
    assert_eq!(in_engine(&engine, &victim.run).await, (0, 0));
}
