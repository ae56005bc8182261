//! Golden beats for the dead man's switch: each a drawn timeline with a verdict known beforehand.

use std::collections::BTreeMap;

use super::*;
use crate::expect::Labels;
use crate::expect::alert::{Change, Instance};
use crate::expect::look::Coverage;
use crate::expect::mail::Knocks;

const TIME: ScaledTime = ScaledTime { scale: 60.0 };
/// Ten seconds of baseline, a fault from 100 s to 112 s, proved at 101 s, watched until 120 s.
const BASELINE: Window = Window::plain(at(90), at(100));
const WINDOW: Window = Window { start: at(100), effective: at(101), end: at(112), observed_until: at(120) };

const fn at(seconds: i64) -> Stamp {
    Stamp(seconds * 1_000_000)
}

fn half(seconds: i64) -> Stamp {
    Stamp(at(seconds).0 + 500_000)
}

fn spec(missed_within: Option<u64>) -> Heartbeat {
    Heartbeat {
        receiver: "heartbeat".into(),
        alert: "Watchdog".into(),
        every: Duration::from_secs(2),
        missed_within: missed_within.map(Duration::from_secs),
    }
}

fn labels() -> Labels {
    Labels::from([("alertname".into(), "Watchdog".into())])
}

fn beat(received: Stamp) -> Delivery {
    Delivery {
        receiver: "heartbeat".into(),
        kind: "webhook".into(),
        group: "g".into(),
        received,
        tells: Tells::Firing,
        labels: labels(),
        annotations: Labels::new(),
        starts_at: None,
        truncated: 0,
        shown: String::new(),
    }
}

/// An inbox that is knocked at every half second and always opens.
fn open() -> Knocks {
    let opened = Coverage::new(Duration::from_millis(500), (160..=250).map(|n| Stamp(n * 500_000)).collect());
    Knocks { opened, failed: Vec::new() }
}

fn mail(beats: &[Stamp]) -> Mail {
    Mail {
        deliveries: beats.iter().copied().map(beat).collect(),
        polls: Coverage::new(Duration::from_millis(500), (160..=250).map(|n| Stamp(n * 500_000)).collect()),
        inboxes: BTreeMap::from([("heartbeat".to_owned(), open())]),
        ..Mail::default()
    }
}

fn history() -> History {
    let change = Change { evaluated: at(80), state: State::Firing, value: Some(1.0) };
    History {
        rules: 1,
        instances: vec![Instance { labels: labels(), annotations: Labels::new(), changes: vec![change] }],
        coverage: Coverage::new(Duration::from_secs(1), (80..=130).map(at).collect()),
        errors: vec![],
    }
}

/// A beat every two seconds from 90 s on, to this second.
fn until(last: i64) -> Vec<Stamp> {
    (90..=last).step_by(2).map(at).collect()
}

fn judged(spec: &Heartbeat, window: Window, mail: &Mail) -> Outcome {
    judge(spec, window, Some(BASELINE), mail, &history(), TIME)
}

fn reason(missed_within: Option<u64>, beats: &[Stamp]) -> Option<Reason> {
    judged(&spec(missed_within), WINDOW, &mail(beats)).reason()
}

#[test]
fn beats_that_go_on_pass() {
    assert_eq!(reason(None, &until(120)), None);
}

#[test]
fn a_beat_that_comes_exactly_when_it_is_due_is_not_missed_and_one_evaluation_later_it_is() {
    let with = |late: Stamp| [until(104), vec![late], (108..=120).step_by(2).map(at).collect()].concat();
    assert_eq!(reason(None, &with(at(106))), None);
    assert_eq!(reason(None, &with(Stamp(at(106).0 + 1))), Some(Reason::HeartbeatMissing));
    assert_eq!(reason(None, &with(at(107))), Some(Reason::HeartbeatMissing), "one evaluation late");
    assert_eq!(reason(None, &with(at(105))), Some(Reason::HeartbeatMissing), "and 105 s to 108 s is too long as well");
}

#[test]
fn beats_that_stop_for_good_fail_an_expectation_that_they_go_on() {
    let outcome = judged(&spec(None), WINDOW, &mail(&until(104)));
    assert_eq!(outcome.reason(), Some(Reason::HeartbeatMissing));
    assert!(outcome.evidence().summary.contains("more than 2m"), "{outcome:?}");
}

#[test]
fn a_switch_that_never_beat_fails_in_the_baseline_already() {
    assert_eq!(judged(&spec(None), BASELINE, &mail(&[])).reason(), Some(Reason::HeartbeatMissing));
    assert_eq!(reason(Some(8), &[]), Some(Reason::HeartbeatMissing), "what never beat cannot be missed");
}

#[test]
fn a_beat_missed_in_the_baseline_fails_although_it_is_missed_in_the_fault_as_well() {
    let beats = [vec![at(90), at(92)], (96..=102).step_by(2).map(at).collect()].concat();
    assert_eq!(reason(Some(8), &beats), Some(Reason::HeartbeatMissing));
}

#[test]
fn beats_that_stop_are_missed_in_time() {
    let outcome = judged(&spec(Some(8)), WINDOW, &mail(&until(104)));
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("has not come back"), "{outcome:?}");
}

#[test]
fn beats_that_come_back_after_the_fault_are_missed_all_the_same_and_the_return_is_told() {
    let beats = [until(104), vec![at(114), at(116)]].concat();
    let outcome = judged(&spec(Some(8)), WINDOW, &mail(&beats));
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("beats again 2m after its end"), "{outcome:?}");
}

#[test]
fn a_promise_is_kept_to_the_evaluation_and_one_later_it_is_broken() {
    // proved at 101 s, last beat at 106 s, so that the next is missed at 108 s
    assert_eq!(reason(Some(7), &until(106)), None);
    assert_eq!(reason(Some(6), &until(106)), Some(Reason::HeartbeatNotMissed));
    let late = judged(&spec(Some(6)), WINDOW, &mail(&until(106)));
    assert!(late.evidence().summary.contains("missed after 7m"), "{late:?}");
}

#[test]
fn beats_that_go_on_are_never_missed() {
    let outcome = judged(&spec(Some(8)), WINDOW, &mail(&until(120)));
    assert_eq!(outcome.reason(), Some(Reason::HeartbeatNotMissed));
    assert!(outcome.evidence().summary.contains("no beat was ever missed"), "{outcome:?}");
}

#[test]
fn silence_proves_nothing_where_the_inbox_was_shut() {
    let mut shut = mail(&until(104));
    shut.inboxes.get_mut("heartbeat").unwrap().failed.push((half(105), "it is set to Refuse(503)".into()));
    for promise in [None, Some(8)] {
        let outcome = judged(&spec(promise), WINDOW, &shut);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::Unreachable, _)), "{outcome:?}");
        assert!(outcome.evidence().summary.contains("Refuse(503)"), "{outcome:?}");
    }
    let mut later = mail(&until(104));
    later.inboxes.get_mut("heartbeat").unwrap().failed.push((half(107), "shut".into()));
    assert!(judged(&spec(Some(8)), WINDOW, &later).is_passed(), "by then the beat had been missed");
}

#[test]
fn silence_proves_nothing_where_nobody_knocked() {
    let unknown = Mail { inboxes: BTreeMap::new(), ..mail(&until(104)) };
    assert_eq!(judged(&spec(Some(8)), WINDOW, &unknown).reason(), Some(Reason::Unreachable));
    let mut gap = mail(&until(104));
    gap.inboxes.get_mut("heartbeat").unwrap().opened.at.retain(|at| *at < self::at(104) || *at > self::at(106));
    assert_eq!(judged(&spec(Some(8)), WINDOW, &gap).reason(), Some(Reason::Unreachable));
}

#[test]
fn a_window_shorter_than_a_beat_decides_nothing() {
    let window = Window::plain(half(104), at(105));
    assert_eq!(judged(&spec(None), window, &mail(&until(104))).reason(), Some(Reason::NoCoverage));
}

#[test]
fn a_run_that_ends_too_early_decides_nothing() {
    let short = Window { observed_until: at(105), end: at(105), ..WINDOW };
    assert_eq!(judged(&spec(Some(8)), short, &mail(&until(104))).reason(), Some(Reason::NoCoverage));
    let outcome = judge(&spec(Some(8)), WINDOW, None, &mail(&until(104)), &history(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::NoCoverage), "no baseline");
}

#[test]
fn a_resolved_message_is_no_beat_and_is_told_apart_from_an_end_t37() {
    let mut died = mail(&until(104));
    died.deliveries.push(Delivery { tells: Tells::Resolved, ..beat(at(106)) });
    let outcome = judged(&spec(Some(8)), WINDOW, &died);
    assert!(outcome.is_passed(), "{outcome:?}");
    let told = outcome.evidence().facts.iter().find(|fact| fact.name.contains("resolved"));
    assert!(told.is_some_and(|fact| format!("{fact:?}").contains("nobody kept the alert alive")), "{outcome:?}");
    let mut ended = history();
    ended.instances[0].changes.push(Change { evaluated: at(105), state: State::Inactive, value: None });
    let outcome = judge(&spec(Some(8)), WINDOW, Some(BASELINE), &died, &ended, TIME);
    assert!(
        !outcome.evidence().facts.iter().any(|fact| fact.name.contains("resolved")),
        "Prometheus ended it: {outcome:?}"
    );
}

#[test]
fn whoever_was_silent_meanwhile_is_named() {
    let mut deaf = mail(&until(104));
    deaf.polls.at.retain(|at| *at < self::at(102) || *at > self::at(112));
    let outcome = judged(&spec(None), WINDOW, &deaf);
    assert!(outcome.evidence().summary.contains("Alertmanager did not answer"), "{outcome:?}");
    let mut blind = history();
    blind.coverage.at.retain(|at| *at < self::at(102) || *at > self::at(112));
    let outcome = judge(&spec(None), WINDOW, Some(BASELINE), &mail(&until(104)), &blind, TIME);
    assert!(outcome.evidence().summary.contains("Prometheus did not evaluate"), "{outcome:?}");
}

#[test]
fn beats_of_another_alert_or_receiver_do_not_count() {
    let mut other = mail(&until(120));
    other.deliveries.iter_mut().for_each(|it| it.receiver = "pager".into());
    assert_eq!(judged(&spec(None), WINDOW, &other).reason(), Some(Reason::HeartbeatMissing));
    let mut other = mail(&until(120));
    other.deliveries.iter_mut().for_each(|it| drop(it.labels.insert("alertname".into(), "Other".into())));
    assert_eq!(judged(&spec(None), WINDOW, &other).reason(), Some(Reason::HeartbeatMissing));
}

#[test]
fn a_switch_without_a_rule_is_a_rule_that_is_not_loaded() {
    let none = History { rules: 0, ..history() };
    let outcome = judge(&spec(None), WINDOW, Some(BASELINE), &mail(&until(120)), &none, TIME);
    assert_eq!(outcome.reason(), Some(Reason::RuleNotLoaded));
}
