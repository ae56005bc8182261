//! Components as real child processes: order, readiness, secrets, ends.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::mpsc;

use super::*;
use crate::stack::journal::Record;
use crate::stack::notice::{Fact, Notice, Notices};
use crate::stack::place::Places;
use crate::stack::process;
use crate::stack::select::Extent;
use crate::stack::session::Session;
use crate::stack::spec::Spec;
use crate::stack::testing::{open, unique};

struct Bench {
    folder: TempDir,
    session: Arc<Session>,
    facts: mpsc::UnboundedReceiver<Notice>,
    running: Running,
}

impl Bench {
    async fn new(name: &str, components: &str) -> Self {
        Self::with_files(name, components, &[]).await
    }

    async fn with_files(name: &str, components: &str, files: &[(&str, &str)]) -> Self {
        let folder = tempfile::tempdir().unwrap();
        for (name, text) in files {
            std::fs::write(folder.path().join(name), text).unwrap();
        }
        let file = folder.path().join("stack.toml");
        let head = "[service]\ncomponent = \"app\"\nbase-url = \"http://{app:http}\"\n";
        std::fs::write(&file, format!("{head}{components}")).unwrap();
        let spec = Arc::new(Spec::load(&file).unwrap());
        let session = open(folder.path(), &unique(name));
        let (sender, facts) = mpsc::unbounded_channel();
        let notices = Notices::new(sender);
        let wanted = Wanted {
            required: BTreeSet::new(),
            build: Build::Run,
            harness: std::env::current_exe().unwrap(),
            places: Places::below(folder.path()),
        };
        let prepared = Arc::new(Prepared::new(spec, &session, &wanted, &notices).await.unwrap());
        let selection = prepared.select(&BTreeSet::new(), Extent::Needed).unwrap();
        let allocation = Allocation::new(&session, prepared, selection, "drill").unwrap();
        let running = Running::new(allocation, Arc::clone(&session), folder.path(), notices.of_scenario("drill"));
        Self { folder, session, facts, running }
    }

    fn told(&mut self) -> Vec<Fact> {
        std::iter::from_fn(|| self.facts.try_recv().ok()).map(|notice| notice.what).collect()
    }

    async fn end(self) {
        assert_eq!(self.running.stop_all(Duration::from_secs(2)).await, []);
        let mark = self.session.run().to_owned();
        drop(self.running);
        let session = Arc::into_inner(self.session).unwrap();
        let (folder, journal) =
            (session.folder().to_path_buf(), self.folder.path().join(format!("state/runs/{mark}.jsonl")));
        assert!(folder.exists() && journal.exists());
        assert_eq!(tokio::task::spawn_blocking(|| session.close()).await.unwrap(), []);
        assert!(!folder.exists() && !journal.exists());
        assert!(process::members(&[], (process::RUN_MARK, &mark)).is_empty());
    }
}

/// A component that says `ready` and waits.
fn patient(name: &str, more: &str) -> String {
    format!(
        "[component.{name}]\ncommand = [\"sh\", \"-c\", \"echo ready; exec sleep 600\"]\n\
         ready = [{{ log = \"^ready$\" }}]\nports = {{ http = 80 }}\n{more}\n"
    )
}

#[tokio::test]
async fn components_start_after_what_they_need_and_stop_before_it() {
    let parts = [patient("app", "needs = [\"db\"]"), patient("db", ""), patient("other", "")].concat();
    let mut bench = Bench::new("order", &parts).await;
    bench.running.start_all().await.unwrap();
    let told = bench.told();
    let position = |wanted: &str, started: bool| {
        told.iter().position(|fact| match fact {
            Fact::Started { component, .. } => started && component == wanted,
            Fact::Ready { component, .. } => !started && component == wanted,
            _ => false,
        })
    };
    assert!(position("db", false).unwrap() < position("app", true).unwrap(), "{told:?}");
    assert!(position("other", true).unwrap() < position("db", false).unwrap(), "{told:?}");
    assert_eq!(bench.running.state("app"), State::Runs);
    bench.end().await;
}

#[tokio::test]
async fn a_component_that_ends_before_it_is_ready_fails_at_once_in_its_own_words() {
    let parts = "[component.app]\ncommand = [\"sh\", \"-c\", \"echo one; echo bad config on line 3 >&2; exit 7\"]\n\
                 ports = { http = 80 }\nready = [{ http = \"http://{self:http}/\" }]\n";
    let mut bench = Bench::new("own-words", parts).await;
    let begun = crate::clock::instant();
    let error = bench.running.start_all().await.unwrap_err();
    assert!(crate::clock::instant().duration_since(begun) < Duration::from_secs(5));
    assert_eq!(error.component(), Some("app"));
    assert_eq!(error.last_lines(), ["one", "bad config on line 3"]);
    assert!(error.to_string().contains("exit status: 7"), "{error}");
    assert!(!bench.told().iter().any(|fact| matches!(fact, Fact::Exited { .. })), "the error says it");
    bench.end().await;
}

#[tokio::test]
async fn a_component_that_is_not_ready_in_time_fails_with_the_last_answer_and_the_last_lines() {
    let parts = "[component.app]\ncommand = [\"sh\", \"-c\", \"echo waiting for a table; exec sleep 600\"]\n\
                 ports = { http = 80 }\nready = [{ http = \"http://{self:http}/ready\" }]\nready-within = \"300ms\"\n";
    let bench = Bench::new("not-ready", parts).await;
    let error = bench.running.start_all().await.unwrap_err().to_string();
    for expected in ["not ready within 300ms", "/ready to answer 200", "refused", "waiting for a table"] {
        assert!(error.to_lowercase().contains(expected), "{expected}: {error}");
    }
    bench.end().await;
}

#[tokio::test]
async fn a_secret_reaches_the_component_and_no_message() {
    let parts = "[component.app]\ncommand = [\"sh\", \"-c\", \"echo password $PASSWORD; exit 1\"]\n\
                 ports = { http = 80 }\nenv = { PASSWORD = \"{secret:db}\" }\n";
    let bench = Bench::new("secret", parts).await;
    let error = bench.running.start_all().await;
    // without conditions it is ready at once, unless its end was seen first
    let secret = bench.running.allocation().secret("db").unwrap().clone();
    bench.running.process_end("app").await;
    assert_eq!(
        std::fs::read_to_string(bench.folder.path().join("app.log")).unwrap().trim(),
        format!("password {}", secret.reveal())
    );
    assert_eq!(bench.running.last_lines_of("app"), ["password [redacted]"]);
    assert!(!format!("{error:?}{secret:?}").contains(secret.reveal()));
    bench.end().await;
}

#[tokio::test]
async fn an_unasked_end_is_told_with_the_last_lines() {
    let parts = "[component.app]\nready = [{ log = \"ready\" }]\nports = { http = 80 }\n\
                 command = [\"sh\", \"-c\", \"echo ready; read x < {data}/pipe; echo out of memory >&2; exit 3\"]\n\
                 init = [\"mkfifo\", \"{data}/pipe\"]\n";
    let mut bench = Bench::new("unasked", parts).await;
    bench.running.start_all().await.unwrap();
    let pipe = bench.running.allocation().data("app").unwrap().join("pipe");
    tokio::task::spawn_blocking(move || std::fs::write(pipe, "\n")).await.unwrap().unwrap();
    bench.running.process_end("app").await;
    let exited = loop {
        if let Fact::Exited { component, status, last_lines } = bench.facts.recv().await.unwrap().what {
            break (component, status, last_lines);
        }
    };
    assert_eq!(exited.0, "app");
    assert_eq!(exited.1, "exit status: 3");
    assert_eq!(exited.2, ["ready", "out of memory"]);
    bench.end().await;
}

#[tokio::test]
async fn a_killed_component_ends_with_its_grandchildren_and_starts_again_on_the_same_port() {
    let parts = "[component.app]\nready = [{ log = \"ready\" }]\nports = { http = 80 }\n\
                 command = [\"sh\", \"-c\", \"sleep 600 & echo ready; wait\"]\n";
    let mut bench = Bench::new("kill", parts).await;
    bench.running.start_all().await.unwrap();
    let (address, first) =
        (bench.running.allocation().address("app", "80").unwrap(), bench.running.identity("app").unwrap());
    let part = format!("{}/drill/app", bench.session.run());
    assert_eq!(process::members(&[], (process::PART_MARK, &part)).len(), 2);
    assert!(bench.running.kill("app").await.unwrap().contains("SIGKILL"));
    assert!(process::members(&[], (process::PART_MARK, &part)).is_empty());
    assert!(matches!(bench.running.state("app"), State::Ended(_)));
    assert!(bench.running.kill("app").await.is_err());
    bench.running.start("app").await.unwrap();
    assert_eq!(bench.running.allocation().address("app", "http").unwrap(), address);
    assert_ne!(bench.running.identity("app").unwrap(), first);
    assert!(matches!(bench.running.start("app").await, Err(StartError::RunsAlready(_))));
    assert!(!bench.told().iter().any(|fact| matches!(fact, Fact::Exited { .. })));
    bench.end().await;
}

#[tokio::test]
async fn a_paused_component_is_paused_until_resumed_and_can_be_stopped_paused() {
    let bench = Bench::new("pause", &patient("app", "")).await;
    bench.running.start_all().await.unwrap();
    bench.running.pause("app").await.unwrap();
    assert!(bench.becomes(&State::Paused).await);
    bench.running.resume("app").await.unwrap();
    assert!(bench.becomes(&State::Runs).await);
    bench.running.pause("app").await.unwrap();
    assert!(bench.becomes(&State::Paused).await);
    bench.end().await;
}

impl Bench {
    async fn becomes(&self, state: &State) -> bool {
        let changed = async {
            while self.running.state("app") != *state {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), changed).await.is_ok()
    }
}

#[tokio::test]
async fn a_group_is_in_the_journal_while_it_runs_and_not_after() {
    let bench = Bench::new("journal", &patient("app", "")).await;
    let journal = bench.folder.path().join(format!("state/runs/{}.jsonl", bench.session.run()));
    let groups = || Record::read(&journal).unwrap().groups;
    assert_eq!(groups(), []);
    bench.running.start_all().await.unwrap();
    assert_eq!(groups(), [bench.running.identity("app").unwrap()]);
    bench.running.terminate("app", Duration::from_secs(2)).await.unwrap();
    assert_eq!(groups(), []);
    bench.end().await;
}

#[tokio::test]
async fn nothing_of_the_users_environment_reaches_a_component() {
    let parts = "[component.app]\ncommand = [\"env\"]\nports = { http = 80 }\nenv = { LISTEN = \"{listen:http}\" }\n";
    let bench = Bench::new("environment", parts).await;
    let _ = bench.running.start_all().await;
    bench.running.process_end("app").await;
    let text = std::fs::read_to_string(bench.folder.path().join("app.log")).unwrap();
    let names: BTreeSet<&str> = text.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name).collect();
    let expected = ["HARNESS_PART", "HARNESS_RUN", "HOME", "LANG", "LISTEN", "PATH", "TMPDIR", "TZ"];
    assert_eq!(names, BTreeSet::from(expected));
    assert!(text.contains(&format!("LISTEN={}", bench.running.allocation().address("app", "http").unwrap())));
    bench.end().await;
}

#[tokio::test]
async fn the_first_command_that_can_be_had_is_used_and_builds_run_before() {
    let parts = "[component.app]\nbuild = [\"cp\", \"/bin/sh\", \"built\"]\ncommand = [\"./built\", \"-c\", \"exit 0\"]\nports = { http = 80 }\n\
                 [component.store]\ncommand = [\"no-such-program-anywhere\"]\nalternatives = [[\"{harness}\", \"logstore\"]]\n";
    let mut bench = Bench::new("alternatives", parts).await;
    let prepared = bench.running.allocation().prepared();
    assert_eq!(prepared.located("app").unwrap().source, "built here");
    assert!(prepared.located("app").unwrap().program.is_file());
    let store = prepared.located("store").unwrap();
    assert_eq!((store.source.as_str(), store.arguments[0].to_string()), ("this harness", "logstore".to_owned()));
    assert!(matches!(bench.told().as_slice(), [Fact::Building { .. }, Fact::Built { .. }]));
    bench.end().await;
}

#[tokio::test]
async fn a_failing_build_is_shown_in_its_own_words() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.toml");
    let text = "[service]\ncomponent = \"app\"\nbase-url = \"http://x\"\n\
                [component.app]\nbuild = [\"sh\", \"-c\", \"echo no such crate >&2; exit 101\"]\ncommand = [\"./app\"]\n";
    std::fs::write(&file, text).unwrap();
    let session = open(folder.path(), &unique("build"));
    let wanted = Wanted {
        required: BTreeSet::new(),
        build: Build::Run,
        harness: Path::new("/bin/sh").to_path_buf(),
        places: Places::below(folder.path()),
    };
    let notices = Notices::new(mpsc::unbounded_channel().0);
    let error = Prepared::new(Arc::new(Spec::load(&file).unwrap()), &session, &wanted, &notices).await.unwrap_err();
    assert!(error.to_string().contains("no such crate"), "{error}");
    assert_eq!(Arc::into_inner(session).unwrap().close(), []);
}

#[tokio::test]
async fn a_program_that_is_nowhere_is_named_with_where_it_was_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("stack.toml");
    let text = "[service]\ncomponent = \"app\"\nbase-url = \"http://x\"\n[component.app]\ncommand = [\"no-such-program-anywhere\"]\n";
    std::fs::write(&file, text).unwrap();
    let session = open(folder.path(), &unique("nowhere"));
    let wanted = Wanted {
        required: BTreeSet::new(),
        build: Build::Run,
        harness: Path::new("/bin/sh").to_path_buf(),
        places: Places::below(folder.path()),
    };
    let notices = Notices::new(mpsc::unbounded_channel().0);
    let prepared = Prepared::new(Arc::new(Spec::load(&file).unwrap()), &session, &wanted, &notices).await.unwrap();
    let error = prepared.select(&BTreeSet::new(), Extent::Needed).unwrap_err();
    assert_eq!(error.to_string(), "run component `app` here: `no-such-program-anywhere` is not on PATH");
    assert_eq!(Arc::into_inner(session).unwrap().close(), []);
}

#[tokio::test]
#[ignore = "fetches from Debian's mirror: cargo test -p harness --lib debian_package -- --ignored"]
async fn a_program_that_is_not_here_comes_from_its_debian_package_once() {
    let parts = "[component.app]\nrole = \"alertmanager\"\nconfig = \"alertmanager.yml\"\nports = { http = 9093 }\n\
                 command = [\"no-alertmanager-on-path\", \"--config.file={config}\", \"--storage.path={data}\", \
                 \"--web.listen-address={listen:http}\", \"--cluster.listen-address=\"]\n\
                 debian = { package = \"prometheus-alertmanager\" }\nready = [{ http = \"http://{self:http}/-/ready\" }]\n";
    let files = [("alertmanager.yml", "route: { receiver: nobody }\nreceivers: [{ name: nobody }]\n")];
    let mut bench = Bench::with_files("debian", parts, &files).await;
    let located = bench.running.allocation().prepared().located("app").unwrap().clone();
    assert!(located.source.starts_with("Debian package prometheus-alertmanager 0."), "{located:?}");
    assert!(located.version.starts_with("0."), "{located:?}");
    let told = bench.told();
    let fetched = |fact: &Fact| matches!(fact, Fact::Fetching { bytes: Some(bytes), .. } if *bytes > 1_000_000);
    assert!(told.iter().any(fetched), "{told:?}");
    bench.running.start_all().await.unwrap();
    let again = Wanted {
        required: BTreeSet::new(),
        build: Build::Skip,
        harness: std::env::current_exe().unwrap(),
        places: Places::below(bench.folder.path()),
    };
    let (sender, mut facts) = mpsc::unbounded_channel();
    let spec = Arc::new(bench.running.allocation().prepared().spec().clone());
    let prepared = Prepared::new(spec, &bench.session, &again, &Notices::new(sender)).await.unwrap();
    assert_eq!(prepared.located("app"), Some(&located));
    assert!(facts.try_recv().is_err(), "nothing was fetched again");
    bench.end().await;
}
