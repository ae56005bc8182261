//! `kill -9` at twelve places of a run, with both providers.

use std::io::Write as _;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use acceptance::engine::{self, Bystander};
use acceptance::{Provider, Stand, eventually};
use futures_util::future::join_all;
use harness::breakpoint::PLACES;
use tokio::sync::Semaphore;

use crate::stage::{GONE_WITHIN, assert_unharmed, audit, doomed, gone, no_pass, run_of, unharmed};

/// A process and a folder that are called almost like the run's, and belong to somebody else.
struct Neighbour {
    process: Child,
    folder: std::path::PathBuf,
    containers: Option<Bystander>,
}

impl Neighbour {
    fn of(stand: &Stand, run: &str, provider: Provider) -> Self {
        // beside the stand: what lies in its own temporary folder counts as left
        let folder = stand.root().with_file_name(format!("harness-{run}0"));
        std::fs::create_dir(&folder).expect("a folder can be made beside the stand");
        let mut sleep = Command::new("sleep");
        sleep.arg("600").env("HARNESS_RUN", format!("{run}0")).stdin(Stdio::null());
        let process = sleep.spawn().expect("sleep can be started");
        let containers = (provider == Provider::Docker).then(|| Bystander::of(run));
        Self { process, folder, containers }
    }

    fn is_untouched(&mut self) -> bool {
        let lives = self.process.try_wait().is_ok_and(|status| status.is_none());
        lives && self.folder.is_dir() && self.containers.as_ref().is_none_or(Bystander::is_untouched)
    }
}

impl Drop for Neighbour {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
        drop(std::fs::remove_dir(&self.folder));
    }
}

/// What the log must tell of a run that was killed at a place: evidence reaches up to it.
fn told_before(place: &str) -> &'static str {
    match place {
        "building" => "building echo",
        "allocated" => "scenario-started",
        "created" => "config-rewritten",
        // what a component tells goes through another task, which a held thread may hold up
        "component-started" => "config-rewritten",
        "stack-ready" => "stack-ready",
        "load-sampled" => "load-sampled",
        "fault-announced" => "fault-injecting",
        "fault-proved" => "fault-proved",
        "fault-reverting" => "fault-reverting",
        "collecting" => "load-finished",
        "tearing-down" => "expectation-judged",
        "reporting" => "scenario-finished",
        other => panic!("no such place: {other}"),
    }
}

/// Kills a run at a place; how long it took until nothing was left.
async fn killed_at(place: &str, provider: Provider) -> Result<Duration, String> {
    let stand = doomed(provider).hold_at(place);
    let mut running = stand.start().await;
    let folder = running.held().await;
    let run = run_of(&folder);
    let audit = audit(&folder, provider);
    let mut neighbour = Neighbour::of(&stand, &run, provider);
    if place != "reporting" && audit.leaks(stand.root()).is_empty() {
        return Err("nothing was there to be removed".to_owned());
    }
    running.kill().await;
    let took = gone(&audit, stand.root()).await?;
    if !neighbour.is_untouched() {
        return Err("a bystander was touched".to_owned());
    }
    let swept = stand.harness(&["sweep"]).await;
    if swept.code != Some(0) || !swept.stdout.contains("nothing to remove") {
        return Err(format!("the sweep found something: {swept:#?}"));
    }
    let log = std::fs::read_to_string(folder.join("events.jsonl")).unwrap_or_default();
    if !log.contains(told_before(place)) {
        return Err(format!("the log does not tell {}: {log}", told_before(place)));
    }
    no_pass(&stand, &folder).await?;
    Ok(took)
}

async fn at_all_places(provider: Provider) {
    let permits = Semaphore::new(4);
    let cases = PLACES.map(async |place| {
        let _permit = permits.acquire().await.expect("the semaphore is never closed");
        (place, killed_at(place, provider).await)
    });
    let ended = join_all(cases).await;
    let shown: Vec<String> = ended.iter().map(|(place, ended)| format!("{place:18} {ended:?}")).collect();
    let mut err = std::io::stderr().lock();
    drop(writeln!(err, "killed with {}, and when nothing was left:\n{}", provider.name(), shown.join("\n")));
    drop(err);
    let clean = ended.iter().filter(|(_, ended)| ended.is_ok()).count();
    assert_eq!(clean, PLACES.len(), "{} with {}:\n{}", clean, provider.name(), shown.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_processes_after_a_kill_at_any_of_twelve_places() {
    unharmed(Provider::Local).await;
    at_all_places(Provider::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_left_of_containers_after_a_kill_at_any_of_twelve_places() {
    if engine::there_is_one("kill at twelve places in containers") {
        unharmed(Provider::Docker).await;
        at_all_places(Provider::Docker).await;
    }
}

/// A killed run and its living twin, at the same time, by the same provider and in the same state folder.
async fn two_at_once(provider: Provider) {
    unharmed(provider).await;
    let doomed_stand = doomed(provider).hold_at("fault-proved");
    let state = doomed_stand.root().join("state").display().to_string();
    let twin = doomed(provider).with("HARNESS_STATE", &state);
    let mut dying = doomed_stand.start().await;
    let (folder, mut living) = tokio::join!(dying.held(), twin.start());
    let other = living.reached("stack-ready").await;
    let (mine, theirs) = (audit(&folder, provider), audit(&other, provider));
    let shared: Vec<&String> =
        mine.engine().subnets.iter().filter(|subnet| theirs.engine().subnets.contains(subnet)).collect();
    assert!(shared.is_empty(), "subnets of both: {shared:?}");
    dying.kill().await;
    let swept = doomed_stand.harness(&["sweep"]).await;
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert!(swept.stdout.contains(&format!("left alone: run {}", run_of(&other))), "c55: {swept:#?}");
    // the journals' folder is shared: what is looked for is the dead run's own, its reaper too
    let run = run_of(&folder);
    let marked = || harness::stack::process::members(&[], (harness::stack::process::RUN_MARK, &run));
    eventually("no process of the dead run is left", GONE_WITHIN, || marked().is_empty()).await;
    let drill = living.end().await;
    assert_unharmed(&drill);
    let again = doomed_stand.harness(&["sweep"]).await;
    assert!(again.stdout.contains("nothing to remove"), "twice is the same as once, c55: {again:#?}");
    gone(&mine, doomed_stand.root()).await.expect("nothing is left of the killed run");
    gone(&theirs, twin.root()).await.expect("nothing is left of the other run");
}

#[tokio::test(flavor = "multi_thread")]
async fn c51_of_two_runs_at_once_the_other_passes_when_one_is_killed() {
    two_at_once(Provider::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c51_of_two_runs_in_containers_at_once_the_other_passes_when_one_is_killed() {
    if engine::there_is_one("two runs in containers") {
        two_at_once(Provider::Docker).await;
    }
}

/// The reaper dies first, then the harness: the next start heals and says so.
async fn without_a_reaper(provider: Provider) {
    unharmed(provider).await;
    let stand = doomed(provider).hold_at("fault-proved");
    let mut running = stand.start().await;
    let folder = running.held().await;
    let audit = audit(&folder, provider);
    running.kill_reaper();
    running.kill().await;
    assert!(!audit.leaks(stand.root()).is_empty(), "nobody has cleaned up yet");
    let swept = stand.harness(&["sweep"]).await;
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert!(swept.stdout.contains("removed"), "{swept:#?}");
    assert_eq!(audit.leaks(stand.root()), Vec::<String>::new());
    let again = stand.harness(&["sweep"]).await;
    assert!(again.stdout.contains("nothing to remove"), "twice is the same as once, c55: {again:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c50_the_sweep_heals_when_the_reaper_of_containers_was_killed_first() {
    if engine::there_is_one("a killed reaper of containers") {
        without_a_reaper(Provider::Docker).await;
    }
}
