//! The run is asked to end: once, twice, by a CI runner, with nobody reading; and a check that panics.

use std::process::Stdio;
use std::time::Duration;

use acceptance::{Provider, engine};
use harness::event::{EventKind, Verdict};
use harness::outcome::{Outcome, Reason};
use rustix::process::Signal;

use crate::stage::{assert_gone, audit, doomed, unharmed};

/// Once: everything is undone, the report is written.
async fn interrupted_once(provider: Provider) {
    unharmed(provider).await;
    let stand = doomed(provider);
    let mut running = stand.start().await;
    let folder = running.reached("fault-proved").await;
    let audit = audit(&folder, provider);
    running.signal(Signal::INT);
    let drill = running.end().await;
    assert_eq!(drill.ended.code, Some(130), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Interrupted, "{}", drill.account());
    let told = |wanted: fn(&EventKind) -> bool| drill.events.iter().any(|event| wanted(&event.what));
    assert!(told(|what| matches!(what, EventKind::FaultGone { .. })), "{}", drill.account());
    assert!(told(|what| matches!(what, EventKind::RunFinished { .. })), "{}", drill.account());
    assert_eq!(audit.leaks(stand.root()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_an_interrupt_undoes_everything_and_writes_the_report() {
    interrupted_once(Provider::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c37_an_interrupt_undoes_everything_in_containers_too() {
    if engine::there_is_one("an interrupt with containers") {
        interrupted_once(Provider::Docker).await;
    }
}

/// Twice: out at once, and the reaper does the rest.
async fn interrupted_twice(provider: Provider) {
    unharmed(provider).await;
    let stand = doomed(provider);
    let mut running = stand.start().await;
    let folder = running.reached("fault-proved").await;
    let audit = audit(&folder, provider);
    running.signal(Signal::INT);
    running.reached("interrupt-received").await;
    let asked = harness::clock::instant();
    running.signal(Signal::INT);
    let status = running.wait().await;
    let took = harness::clock::instant().duration_since(asked);
    assert_eq!(status.code(), Some(130));
    assert!(took <= Duration::from_secs(2), "out after {took:?}");
    drop(running);
    assert_gone(&audit, &stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c38_the_second_interrupt_ends_at_once_and_the_reaper_finishes() {
    interrupted_twice(Provider::Local).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c38_the_second_interrupt_ends_at_once_with_containers_too() {
    if engine::there_is_one("two interrupts with containers") {
        interrupted_twice(Provider::Docker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn c39_a_cancelled_ci_job_leaves_nothing() {
    unharmed(Provider::Local).await;
    let stand = doomed(Provider::Local);
    let mut running = stand.start().await;
    let folder = running.reached("load-sampled").await;
    let audit = audit(&folder, Provider::Local);
    running.signal_group(Signal::TERM);
    let ended = tokio::time::timeout(Duration::from_secs(10), running.wait()).await;
    if ended.is_err() {
        running.signal_group(Signal::KILL);
        running.wait().await;
    }
    drop(running);
    assert_gone(&audit, &stand).await;
    let status = ended.expect("the run ends by itself before a CI runner would kill it");
    assert_eq!(status.code(), Some(130));
}

#[tokio::test(flavor = "multi_thread")]
async fn c41_a_closed_output_is_no_reason_to_panic_or_to_leave_anything() {
    unharmed(Provider::Local).await;
    let stand = doomed(Provider::Local);
    let mut running = stand.start_with_output(Stdio::piped()).await;
    running.close_output();
    let folder = running.reached("load-sampled").await;
    let audit = audit(&folder, Provider::Local);
    running.signal(Signal::INT);
    let status = running.wait().await;
    assert_eq!(status.code(), Some(130), "neither a panic nor a broken pipe");
    assert!(folder.join("index.html").is_file(), "the report is written");
    drop(running);
    assert_eq!(audit.leaks(stand.root()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn c42_a_check_that_panics_is_a_bug_and_the_others_are_judged() {
    unharmed(Provider::Local).await;
    let stand = doomed(Provider::Local).with("HARNESS_PANIC_AT", "target-1");
    let drill = stand.drill().await;
    let outcome = drill.outcome("target-1");
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::Bug, _)), "{}", drill.account());
    assert!(outcome.evidence().summary.contains("panicked"), "{}", drill.account());
    drill.assert_held("metric-1");
    assert_eq!(drill.judgement().verdict, Verdict::Bug, "{}", drill.account());
    assert_eq!(drill.ended.code, Some(70), "{}", drill.account());
}
