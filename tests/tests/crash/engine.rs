//! A container engine that hangs, or does what it was asked without saying so; a port that is taken.

use std::path::Path;
use std::time::Duration;

use acceptance::audit::Audit;
use acceptance::engine::Belongings;
use acceptance::proxy::{Mood, Proxy};
use acceptance::{Provider, Running, Stand, engine};
use harness::event::Verdict;
use rustix::process::Signal;

use crate::stage::{assert_gone, audit, doomed, unharmed};

#[tokio::test(flavor = "multi_thread")]
async fn c47_an_engine_that_hangs_from_the_start_is_refused_within_ten_seconds() {
    if !engine::there_is_one("an engine that hangs") {
        return;
    }
    let stand = doomed(Provider::Docker);
    let proxy = Proxy::open(stand.root(), Mood::Hangs);
    let host = proxy.host();
    let stand = stand.with("DOCKER_HOST", &host);
    let begun = harness::clock::instant();
    let ended = stand.harness(&["validate", &stand.scenario_file(), "--stack", "docker", "--out", "reports"]).await;
    let took = harness::clock::instant().duration_since(begun);
    assert_eq!(ended.code, Some(4), "{ended:#?}");
    assert!(ended.stderr.contains("no answer within") && ended.stderr.contains("--stack local"), "{ended:#?}");
    assert!(took < Duration::from_secs(10), "refused after {took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn c47_an_engine_that_hangs_half_way_is_given_up_and_what_may_remain_is_named() {
    if !engine::there_is_one("an engine that hangs half-way") {
        return;
    }
    unharmed(Provider::Docker).await;
    let stand = doomed(Provider::Docker);
    let proxy = Proxy::open(stand.root(), Mood::Answers);
    let host = proxy.host();
    let stand = stand.with("DOCKER_HOST", &host);
    let mut running = stand.start().await;
    let folder = running.reached("stack-ready").await;
    let audit = audit(&folder, Provider::Docker);
    proxy.set(Mood::Hangs);
    running.signal(Signal::INT);
    let asked = harness::clock::instant();
    let status = running.wait().await;
    let took = harness::clock::instant().duration_since(asked);
    assert_eq!(status.code(), Some(130), "{}", stand.said());
    assert!(took < Duration::from_secs(75), "every call is bounded, yet it took {took:?}");
    drop(running);
    let log = std::fs::read_to_string(folder.join("events.jsonl")).expect("the log can be read");
    assert!(log.contains("left-behind") && log.contains("did not answer"), "{log}");
    assert!(!audit.leaks(stand.root()).is_empty(), "nobody could remove anything");
    proxy.set(Mood::Answers);
    let swept = stand.harness(&["sweep"]).await;
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert_gone(&audit, &stand).await;
}

/// A stand whose harness waits for an engine that has created its first container and does not say so.
async fn creating_in_silence(stand: &Stand) -> (Running<'_>, Audit) {
    let mut running = stand.start().await;
    let folder = running.reached("config-rewritten").await;
    let run = crate::stage::run_of(&folder);
    let created = || engine::of_run(&run).containers.len() == 1;
    acceptance::eventually("the engine has created a container", Duration::from_secs(20), created).await;
    (running, audit(&folder, Provider::Docker))
}

#[tokio::test(flavor = "multi_thread")]
async fn c53_a_container_whose_creation_was_given_up_is_removed_nevertheless() {
    if !engine::there_is_one("a container created in silence") {
        return;
    }
    unharmed(Provider::Docker).await;
    let stand = doomed(Provider::Docker);
    let proxy = Proxy::open(stand.root(), Mood::CreatesInSilence);
    let stand = stand.with("DOCKER_HOST", &proxy.host());
    let (mut running, audit) = creating_in_silence(&stand).await;
    let status = running.wait().await;
    assert_eq!(status.code(), Some(4), "{}", stand.said());
    assert!(stand.said().contains("did not answer"), "{}", stand.said());
    drop(running);
    assert_eq!(audit.leaks(stand.root()), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn c53_a_container_whose_creation_was_cut_off_by_a_kill_is_removed_nevertheless() {
    if !engine::there_is_one("a creation cut off by a kill") {
        return;
    }
    unharmed(Provider::Docker).await;
    let stand = doomed(Provider::Docker);
    let proxy = Proxy::open(stand.root(), Mood::CreatesInSilence);
    let stand = stand.with("DOCKER_HOST", &proxy.host());
    let (mut running, audit) = creating_in_silence(&stand).await;
    running.kill().await;
    assert_gone(&audit, &stand).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn c46_an_engine_that_restarts_half_way_decides_nothing_and_leaves_nothing_after_a_sweep() {
    if !engine::Private::can_be("an engine that restarts half-way") {
        return;
    }
    let mut private = engine::Private::start().await;
    let stand = Stand::of_folder("alone", "alone").run_by(Provider::Docker).with("DOCKER_HOST", &private.host());
    let mut running = stand.start().await;
    let folder = running.reached("load-sampled").await;
    let run = crate::stage::run_of(&folder);
    let before = engine::of_run_at(&private.socket(), &run);
    assert_eq!((before.containers.len(), before.networks.len()), (1, 1), "{before:?}");
    private.restart().await;
    let drill = running.end().await;
    assert_eq!(drill.ended.code, Some(3), "{}", drill.account());
    assert_eq!(drill.judgement().verdict, Verdict::Inconclusive, "{}", drill.account());
    let swept = stand.harness(&["sweep"]).await;
    assert_eq!(swept.code, Some(0), "{swept:#?}");
    assert_eq!(engine::of_run_at(&private.socket(), &run), Belongings::default());
    for bridge in before.bridges() {
        assert!(!Path::new("/sys/class/net").join(&bridge).exists(), "{bridge}");
    }
}
