//! Golden mail for the notification judge: the hop a page was lost at has a reason code each.

use std::time::Duration;

use super::*;
use crate::condition::Condition;
use crate::expect::alert::{Change, Instance};
use crate::expect::look::Coverage;

const TIME: ScaledTime = ScaledTime { scale: 60.0 };
const WINDOW: Window = Window { start: at(100), effective: at(101), end: at(120), observed_until: at(140) };

const fn at(seconds: i64) -> Stamp {
    Stamp(seconds * 1_000_000)
}

fn labels() -> Labels {
    Labels::from([("alertname".into(), "A".into()), ("severity".into(), "critical".into())])
}

fn spec() -> Notification {
    Notification {
        receiver: "pager".into(),
        alert: "A".into(),
        labels: Labels::new(),
        within: Some(Duration::from_secs(8)),
        resolved: Resolved::Required,
        count: Some(Condition::parse("== 1").unwrap()),
        contains: vec![],
        bound: None,
    }
}

fn delivery(receiver: &str, second: i64, tells: Tells) -> Delivery {
    Delivery {
        receiver: receiver.into(),
        kind: "webhook".into(),
        received: at(second),
        tells,
        labels: labels(),
        annotations: Labels::from([("summary".into(), "It burns".into())]),
        starts_at: Some(at(106)),
        truncated: 0,
        shown: "[FIRING:1] A".into(),
    }
}

fn fired() -> History {
    let change = |seconds, state| Change { evaluated: at(seconds), state, value: None };
    let changes = vec![change(102, State::Pending), change(106, State::Firing), change(123, State::Inactive)];
    History {
        rules: 1,
        instances: vec![Instance { labels: labels(), annotations: Labels::new(), changes }],
        coverage: Coverage::new(Duration::from_secs(1), (80..=160).map(at).collect()),
        errors: vec![],
    }
}

fn good() -> Mail {
    Mail {
        deliveries: vec![delivery("pager", 107, Tells::Firing), delivery("pager", 125, Tells::Resolved)],
        sightings: vec![sighting(&[], &["pager"])],
        failures: vec![],
    }
}

fn sighting(held_by: &[&str], receivers: &[&str]) -> Sighting {
    let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    Sighting { at: at(107), labels: labels(), held_by: own(held_by), receivers: own(receivers) }
}

fn reason(mail: &Mail) -> Option<Reason> {
    judge(&spec(), Mode::Eventually, WINDOW, mail, &fired(), TIME).reason()
}

#[test]
fn a_page_that_came_in_time_and_was_taken_back_passes() {
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &good(), &fired(), TIME);
    assert!(outcome.is_passed(), "{outcome:?}");
}

#[test]
fn a_page_one_tick_late_fails() {
    let mut mail = good();
    mail.deliveries[0].received = at(109);
    assert_eq!(reason(&mail), None, "8 s after the proof is within 8 s");
    mail.deliveries[0].received = at(110);
    assert_eq!(reason(&mail), Some(Reason::NotifyLate));
}

#[test]
fn the_other_receiver_is_named_s30() {
    let mail = Mail { deliveries: vec![delivery("chat", 107, Tells::Firing)], ..good() };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::WrongReceiver));
    assert!(outcome.evidence().summary.contains("chat"), "{outcome:?}");
    let routed = Mail { deliveries: vec![], sightings: vec![sighting(&[], &["mail"])], failures: vec![] };
    assert_eq!(reason(&routed), Some(Reason::WrongReceiver), "also when the other receiver got nothing either");
}

#[test]
fn a_page_that_left_prometheus_and_never_arrived_is_a_hop_s29() {
    assert_eq!(reason(&Mail::default()), Some(Reason::HopPromAm));
}

#[test]
fn a_page_that_alertmanager_could_not_deliver_is_a_hop_with_its_count_s34() {
    let mail = Mail {
        deliveries: vec![],
        sightings: vec![sighting(&[], &["pager"])],
        failures: vec![("webhook".into(), "other".into(), 3)],
    };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::HopAmReceiver));
    assert!(outcome.evidence().summary.contains("failed 3 times"), "{outcome:?}");
}

#[test]
fn what_held_a_page_back_is_named_s31_s32() {
    let mail = Mail { deliveries: vec![], sightings: vec![sighting(&["silence 42"], &["pager"])], failures: vec![] };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::Suppressed));
    assert!(outcome.evidence().summary.contains("silence 42"), "{outcome:?}");
}

#[test]
fn a_page_for_an_alert_that_never_fired_blames_the_alert() {
    let silent = History { instances: vec![], ..fired() };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &Mail::default(), &silent, TIME);
    assert_eq!(outcome.reason(), Some(Reason::NeverFired));
    let unseen = History { coverage: Coverage::default(), ..silent };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &Mail::default(), &unseen, TIME);
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)));
}

#[test]
fn a_missing_resolved_message_fails_s37() {
    let mut mail = good();
    mail.deliveries.truncate(1);
    assert_eq!(reason(&mail), Some(Reason::ResolvedMissing));
}

#[test]
fn a_resolved_message_while_prometheus_still_fires_does_not_count_t37() {
    let mut mail = good();
    mail.deliveries[1].received = at(115);
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::ResolvedMissing), "{outcome:?}");
}

#[test]
fn too_many_pages_and_truncated_ones_fail_s41_s39() {
    let mut mail = good();
    mail.deliveries.insert(1, delivery("pager", 112, Tells::Firing));
    assert_eq!(reason(&mail), Some(Reason::NotifyCount));
    let mut mail = good();
    mail.deliveries[0].truncated = 2;
    assert_eq!(reason(&mail), Some(Reason::NotifyTruncated));
}

#[test]
fn a_text_the_page_must_contain_is_looked_for_in_what_the_on_call_sees() {
    let with = |text: &str| Notification { contains: vec![text.into()], ..spec() };
    let outcome = |text| judge(&with(text), Mode::Eventually, WINDOW, &good(), &fired(), TIME).reason();
    assert_eq!(outcome("It burns"), None);
    assert_eq!(outcome("[FIRING:1]"), None);
    assert_eq!(outcome("runbook"), Some(Reason::NotifyContent));
}

#[test]
fn a_page_that_must_not_come_and_does_fails() {
    let outcome = judge(&spec(), Mode::Never, WINDOW, &good(), &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::NotSuppressed));
    assert!(judge(&spec(), Mode::Never, WINDOW, &Mail::default(), &fired(), TIME).is_passed());
}
