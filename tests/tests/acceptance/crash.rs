//! The harness itself is killed or interrupted: whatever it had started must go, and what it had seen must stay readable.

use std::path::Path;
use std::time::Duration;

use acceptance::{Leftovers, Stand, eventually};
use harness::event::Verdict;
use harness::verdict;
use rustix::process::Signal;

/// The promise: nothing is left this long after a `kill -9`.
const GONE_WITHIN: Duration = Duration::from_secs(30);

fn run_of(folder: &Path) -> String {
    folder.file_name().expect("a run's folder has a name").to_string_lossy().into_owned()
}

/// The part that was recorded is rendered, and is no pass.
async fn assert_rendered_and_no_pass(stand: &Stand, folder: &Path) {
    let path = folder.display().to_string();
    let rendered = stand.harness(&["report", &path]).await;
    assert_eq!(rendered.code, Some(0), "{rendered:#?}");
    let page = std::fs::read_to_string(folder.join("index.html")).expect("the page was written");
    assert!(page.contains("crash"), "the page names the scenario");
    let table = stand.harness(&["report", &path, "--format", "text"]).await;
    assert!(table.stdout.contains("crash"), "{table:#?}");
    let events = harness::report::log::read(folder).expect("a torn log can be read");
    let (judged, code) = verdict::of_run(&events);
    assert!(judged.iter().all(|(_, judgement)| judgement.verdict != Verdict::Pass), "{judged:?}");
    assert_ne!(code, 0, "a run that was killed is no success");
}

#[tokio::test]
async fn a_killed_harness_is_cleaned_up_after_by_its_reaper_and_its_record_is_rendered() {
    let stand = Stand::new("crash");
    let mut running = stand.start().await;
    let folder = running.reached("fault-injecting").await;
    running.signal(Signal::KILL);
    running.wait().await;
    let run = run_of(&folder);
    eventually("nothing is left", GONE_WITHIN, || Leftovers::of(stand.root(), &run).is_empty()).await;
    assert_rendered_and_no_pass(&stand, &folder).await;
}

#[tokio::test]
async fn without_its_reaper_a_killed_harness_is_cleaned_up_after_by_sweep() {
    let stand = Stand::new("crash");
    let mut running = stand.start().await;
    let folder = running.reached("fault-injecting").await;
    running.kill_reaper();
    running.signal(Signal::KILL);
    running.wait().await;
    let run = run_of(&folder);
    let left = Leftovers::of(stand.root(), &run);
    assert!(!left.processes.is_empty() && !left.files.is_empty(), "nobody has cleaned up yet: {left:#?}");
    let swept = stand.harness(&["sweep"]).await;
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert!(swept.stdout.contains("removed process"), "{swept:#?}");
    let left = Leftovers::of(stand.root(), &run);
    assert!(left.is_empty(), "the sweep left {left:#?}");
    let again = stand.harness(&["sweep"]).await;
    assert!(again.stdout.contains("nothing to remove"), "twice is the same as once: {again:#?}");
    assert_rendered_and_no_pass(&stand, &folder).await;
}

#[tokio::test]
async fn without_its_reaper_a_killed_harness_is_cleaned_up_after_by_the_next_run() {
    let stand = Stand::new("crash");
    let mut running = stand.start().await;
    let folder = running.reached("stack-ready").await;
    running.kill_reaper();
    running.signal(Signal::KILL);
    running.wait().await;
    drop(running);
    let run = run_of(&folder);
    assert!(!Leftovers::of(stand.root(), &run).processes.is_empty(), "nobody has cleaned up yet");
    // the next run is over soon: no rule is loaded
    let stand = stand.edit("stack/prometheus/prometheus.yml", "- rules/*.yml", "- rules/*.yaml");
    let next = stand.drill().await;
    assert_ne!(next.run(), run, "runs have ids of their own");
    assert!(next.account().contains("an earlier run had left"), "{}", next.account());
    let left = Leftovers::of(stand.root(), &run);
    assert!(left.is_empty(), "the next run left {left:#?}");
}

#[tokio::test]
async fn an_interrupt_undoes_everything_writes_the_report_and_exits_130() {
    let stand = Stand::new("burst");
    let mut running = stand.start().await;
    let folder = running.reached("fault-proved").await;
    running.signal(Signal::INT);
    let drill = running.end().await;
    assert_eq!(drill.ended.code, Some(130), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Interrupted, "{}", drill.account());
    let log = std::fs::read_to_string(folder.join("events.jsonl")).expect("the log can be read");
    for told in ["interrupt-received", "fault-gone", "scenario-finished", "run-finished"] {
        assert!(log.contains(told), "the log tells {told}\n{}", drill.account());
    }
    let left = Leftovers::of(stand.root(), &run_of(&folder));
    assert!(left.is_empty(), "left behind: {left:#?}");
}
