//! Golden stories of alerts that are held back: by another alert, by a silence, by a mute time.

use std::collections::BTreeMap;

use super::*;
use crate::expect::alert::{Change, Instance};
use crate::expect::look::Coverage;
use crate::expect::mail::Knocks;
use crate::expect::{Labels, Span};

const TIME: ScaledTime = ScaledTime { scale: 60.0 };
/// The reason lasts from 101 s to 115 s.
const WINDOW: Window = Window { start: at(100), effective: at(101), end: at(115), observed_until: at(130) };

const fn at(seconds: i64) -> Stamp {
    Stamp(seconds * 1_000_000)
}

fn labels(alert: &str) -> Labels {
    Labels::from([("alertname".into(), alert.into()), ("job".into(), "inventory".into())])
}

fn history(alert: &str, changes: &[(i64, State)]) -> History {
    let changes = changes.iter().map(|(s, state)| Change { evaluated: at(*s), state: *state, value: None }).collect();
    History {
        rules: 1,
        instances: vec![Instance { labels: labels(alert), annotations: Labels::new(), changes }],
        coverage: Coverage::new(Duration::from_secs(1), (90..=140).map(at).collect()),
        errors: vec![],
    }
}

fn sighting(alert: &str, from: i64, to: i64) -> Sighting {
    Sighting {
        at: at(from),
        last: at(to),
        labels: labels(alert),
        fingerprint: format!("print-of-{alert}"),
        receivers: vec!["pager".into()],
        ..Sighting::default()
    }
}

fn silenced(from: i64, to: i64) -> Sighting {
    Sighting { silenced_by: vec!["42".into()], ..sighting("Symptom", from, to) }
}

fn inhibited(from: i64, to: i64) -> Sighting {
    Sighting { inhibited_by: vec!["print-of-Cause".into()], ..sighting("Symptom", from, to) }
}

fn delivery(receiver: &str, received: Stamp, tells: Tells) -> Delivery {
    Delivery {
        receiver: receiver.into(),
        kind: "webhook".into(),
        group: "g".into(),
        received,
        tells,
        labels: labels("Symptom"),
        annotations: Labels::new(),
        starts_at: None,
        truncated: 0,
        shown: String::new(),
    }
}

fn told(received: Stamp) -> Delivery {
    delivery("pager", received, Tells::Firing)
}

fn mail(sightings: Vec<Sighting>, deliveries: Vec<Delivery>) -> Mail {
    let halves = || (180..=280).map(|n| Stamp(n * 500_000)).collect();
    let knocks = Knocks { opened: Coverage::new(Duration::from_millis(500), halves()), failed: vec![] };
    Mail {
        deliveries,
        sightings,
        polls: Coverage::new(Duration::from_millis(500), halves()),
        inboxes: BTreeMap::from([("pager".to_owned(), knocks)]),
        ..Mail::default()
    }
}

fn spec(cause: Cause) -> Suppression {
    let delivery = Span { floor: Duration::ZERO, ceiling: Duration::from_secs(3) };
    let bound = Some(AlertBound { delivery, ..AlertBound::default() });
    Suppression { alert: "Symptom".into(), receiver: Some("pager".into()), cause, bound }
}

fn by_cause() -> Cause {
    Cause::Inhibition { by: "Cause".into() }
}

/// Fires at 105 s and goes on to 125 s.
fn lasting() -> History {
    history("Symptom", &[(103, State::Pending), (105, State::Firing), (125, State::Inactive)])
}

/// Fires at 105 s and is over at 112 s.
fn passing() -> History {
    history("Symptom", &[(105, State::Firing), (112, State::Inactive)])
}

/// The alert that inhibits, from 102 s to 114 s.
fn cause() -> History {
    history("Cause", &[(102, State::Firing), (114, State::Inactive)])
}

fn judged(cause: Cause, mail: &Mail, alert: &History, by: &History) -> Outcome {
    judge(&spec(cause), WINDOW, Seen { mail, alert, by, released: Some(at(115)) }, TIME)
}

fn silence(mail: &Mail, alert: &History) -> Outcome {
    judged(Cause::Silence, mail, alert, alert)
}

fn inhibition(mail: &Mail, alert: &History) -> Outcome {
    judged(by_cause(), mail, alert, &cause())
}

fn held_then_told(received: Stamp) -> Mail {
    mail(vec![silenced(105, 115), sighting("Symptom", 116, 125)], vec![told(received)])
}

fn while_cause(deliveries: Vec<Delivery>) -> Mail {
    let after = sighting("Symptom", 115, 125);
    mail(vec![sighting("Cause", 102, 114), inhibited(105, 114), after], deliveries)
}

#[test]
fn a_silenced_alert_that_is_told_afterwards_passes() {
    let outcome = silence(&held_then_told(at(117)), &lasting());
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("told 2m after that"), "{outcome:?}");
}

#[test]
fn a_silenced_alert_that_is_over_in_time_need_never_be_told() {
    let outcome = silence(&mail(vec![silenced(105, 112)], vec![]), &passing());
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("over before"), "{outcome:?}");
}

#[test]
fn a_page_in_the_middle_of_a_silence_fails() {
    let both = mail(vec![silenced(105, 115)], vec![told(at(110)), told(at(117))]);
    assert_eq!(silence(&both, &lasting()).reason(), Some(Reason::NotSuppressed));
    let resolved = mail(vec![silenced(105, 112)], vec![delivery("pager", at(110), Tells::Resolved)]);
    assert!(silence(&resolved, &passing()).is_passed(), "an end wakes nobody");
    let chat = mail(vec![silenced(105, 112)], vec![delivery("chat", at(110), Tells::Firing)]);
    assert!(silence(&chat, &passing()).is_passed(), "the expectation is about the pager");
}

#[test]
fn what_was_on_its_way_when_the_silence_came_is_no_leak_and_a_moment_later_it_is() {
    let leak =
        |received: Stamp| silence(&mail(vec![silenced(105, 115)], vec![told(received), told(at(117))]), &lasting());
    assert!(leak(at(105) + ON_ITS_WAY).is_passed());
    assert_eq!(leak(Stamp((at(105) + ON_ITS_WAY).0 + 1)).reason(), Some(Reason::NotSuppressed));
    assert_eq!(leak(at(115)).reason(), Some(Reason::NotSuppressed), "the last moment Alertmanager held it");
}

#[test]
fn a_silence_that_matches_nothing_fails() {
    let active = mail(vec![sighting("Symptom", 105, 125)], vec![told(at(106))]);
    let outcome = silence(&active, &lasting());
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed));
    assert!(outcome.evidence().summary.contains("active all the time"), "{outcome:?}");
}

#[test]
fn the_wrong_reason_is_named() {
    let outcome = silence(&while_cause(vec![]), &passing());
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed));
    assert!(outcome.evidence().summary.contains("inhibition by alert print-of-Cause"), "{outcome:?}");
    let outcome = inhibition(&mail(vec![sighting("Cause", 102, 114), silenced(105, 112)], vec![]), &passing());
    assert!(outcome.evidence().summary.contains("silence 42"), "{outcome:?}");
}

#[test]
fn an_alert_that_goes_on_and_is_never_told_is_still_held_back() {
    let never = mail(vec![silenced(105, 115), sighting("Symptom", 116, 125)], vec![]);
    assert_eq!(silence(&never, &lasting()).reason(), Some(Reason::Suppressed));
    // released at 115 s, told at the latest at 118 s: an alert that is over by then may pass untold
    let over = |second| history("Symptom", &[(105, State::Firing), (second, State::Inactive)]);
    assert!(silence(&never, &over(118)).is_passed());
    assert_eq!(
        silence(&never, &over(119)).reason(),
        Some(Reason::Suppressed),
        "one evaluation later somebody is owed a page"
    );
}

#[test]
fn an_alert_that_was_told_before_the_silence_shows_nothing() {
    let early = mail(vec![silenced(101, 115)], vec![told(at(95))]);
    let history = history("Symptom", &[(94, State::Firing), (125, State::Inactive)]);
    assert_eq!(silence(&early, &history).reason(), Some(Reason::NoCoverage));
}

#[test]
fn an_alert_that_never_fires_is_not_held_back() {
    let quiet = history("Symptom", &[]);
    assert_eq!(silence(&mail(vec![], vec![]), &quiet).reason(), Some(Reason::NeverFired));
    let unseen = History { coverage: Coverage::default(), ..quiet };
    assert_eq!(silence(&mail(vec![], vec![]), &unseen).reason(), Some(Reason::NoCoverage));
    let late = history("Symptom", &[(116, State::Firing)]);
    assert_eq!(
        silence(&mail(vec![], vec![]), &late).reason(),
        Some(Reason::NeverFired),
        "after the silence is too late"
    );
    let last = history("Symptom", &[(115, State::Firing)]);
    assert_eq!(
        silence(&mail(vec![], vec![]), &last).reason(),
        Some(Reason::HopPromAm),
        "at its last evaluation it fired"
    );
}

#[test]
fn nobody_asked_alertmanager_decides_nothing() {
    let unasked = Mail { polls: Coverage::default(), ..held_then_told(at(117)) };
    assert_eq!(silence(&unasked, &lasting()).reason(), Some(Reason::NoCoverage));
}

#[test]
fn a_shut_inbox_decides_nothing() {
    let mut shut = held_then_told(at(117));
    shut.inboxes.get_mut("pager").unwrap().failed.push((at(110), "refuses".into()));
    assert_eq!(silence(&shut, &lasting()).reason(), Some(Reason::Unreachable));
}

#[test]
fn a_restarted_prometheus_decides_nothing() {
    let mut restarted = lasting();
    restarted.coverage.restarts = vec![at(110)];
    assert_eq!(silence(&held_then_told(at(117)), &restarted).reason(), Some(Reason::PromRestart));
}

#[test]
fn a_symptom_that_ends_with_its_cause_is_inhibited_and_nobody_hears_of_it() {
    let outcome = inhibition(&while_cause(vec![]), &passing());
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("inhibited by Cause"), "{outcome:?}");
}

#[test]
fn a_symptom_that_outlives_its_cause_is_told_of() {
    assert!(inhibition(&while_cause(vec![told(at(116))]), &lasting()).is_passed());
    assert_eq!(inhibition(&while_cause(vec![]), &lasting()).reason(), Some(Reason::Suppressed));
}

#[test]
fn a_symptom_that_was_told_while_its_cause_fired_fails() {
    let outcome = inhibition(&while_cause(vec![told(at(108))]), &passing());
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed));
    assert!(outcome.evidence().summary.contains("8m"), "{outcome:?}");
}

#[test]
fn a_symptom_that_was_told_before_its_cause_fired_is_no_leak() {
    let outcome = inhibition(&while_cause(vec![told(at(104))]), &passing());
    assert!(outcome.is_passed(), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("before that"), "{outcome:?}");
}

#[test]
fn an_inhibition_by_somebody_else_is_not_the_expected_one() {
    let other = Sighting { inhibited_by: vec!["print-of-Other".into()], ..sighting("Symptom", 105, 112) };
    let outcome = inhibition(&mail(vec![sighting("Cause", 102, 114), other], vec![]), &passing());
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed));
}

#[test]
fn a_cause_that_never_fires_is_named() {
    let mail = while_cause(vec![]);
    let outcome = judged(by_cause(), &mail, &passing(), &history("Cause", &[]));
    assert_eq!(outcome.reason(), Some(Reason::NeverFired));
    assert!(outcome.evidence().summary.starts_with("Cause did not fire"), "{outcome:?}");
    let unloaded = History { rules: 0, ..cause() };
    assert_eq!(judged(by_cause(), &mail, &passing(), &unloaded).reason(), Some(Reason::RuleNotLoaded));
}

#[test]
fn without_a_receiver_nobody_may_be_told() {
    let nobody = Suppression { receiver: None, ..spec(by_cause()) };
    let chat = while_cause(vec![delivery("chat", at(108), Tells::Firing)]);
    let judged = |spec: &Suppression| {
        judge(spec, WINDOW, Seen { mail: &chat, alert: &passing(), by: &cause(), released: None }, TIME).reason()
    };
    assert_eq!(judged(&nobody), Some(Reason::NotSuppressed));
    assert_eq!(judged(&spec(by_cause())), None, "the pager was not told");
}

#[test]
fn a_mute_time_holds_an_active_alert_back_until_it_ends() {
    let active = |deliveries| mail(vec![sighting("Symptom", 105, 125)], deliveries);
    let muted = |deliveries| judged(Cause::MuteTime, &active(deliveries), &lasting(), &lasting());
    assert!(muted(vec![told(at(117))]).is_passed());
    assert_eq!(muted(vec![told(at(110)), told(at(117))]).reason(), Some(Reason::NotSuppressed));
    assert_eq!(muted(vec![]).reason(), Some(Reason::Suppressed), "owed a page afterwards");
    let silenced = mail(vec![silenced(105, 125)], vec![]);
    let outcome = judged(Cause::MuteTime, &silenced, &lasting(), &lasting());
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed), "a silence is no mute time: {outcome:?}");
}

#[test]
fn a_mute_time_on_another_route_is_a_wrong_receiver() {
    let elsewhere = Sighting { receivers: vec!["mail".into()], ..sighting("Symptom", 105, 125) };
    let outcome = judged(Cause::MuteTime, &mail(vec![elsewhere], vec![]), &lasting(), &lasting());
    assert_eq!(outcome.reason(), Some(Reason::WrongReceiver));
}

#[test]
fn what_a_mute_time_let_through_when_it_began_to_end_is_no_leak() {
    let active = |received| mail(vec![sighting("Symptom", 105, 125)], vec![told(received)]);
    let muted = |mail: &Mail, released| {
        let seen = Seen { mail, alert: &lasting(), by: &lasting(), released: Some(released) };
        judge(&spec(Cause::MuteTime), WINDOW, seen, TIME).reason()
    };
    assert_eq!(muted(&active(Stamp(at(114).0 + 1)), at(114)), None, "released at 114 s, proved gone at 115 s");
    assert_eq!(muted(&active(at(114)), at(114)), Some(Reason::NotSuppressed));
}

#[test]
fn what_is_told_between_two_silences_is_no_leak() {
    let twice =
        vec![silenced(105, 107), sighting("Symptom", 108, 110), silenced(111, 115), sighting("Symptom", 116, 125)];
    assert!(silence(&mail(twice.clone(), vec![told(at(109)), told(at(117))]), &lasting()).is_passed());
    let leak = silence(&mail(twice, vec![told(at(113)), told(at(117))]), &lasting());
    assert_eq!(leak.reason(), Some(Reason::NotSuppressed));
}
