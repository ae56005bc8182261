//! Golden mail for the notification judge: the hop a page was lost at has a reason code each.

use std::time::Duration;

use super::*;
use crate::condition::Condition;
use crate::expect::alert::{Change, Instance};
use crate::expect::look::Coverage;
use crate::expect::{AlertBound, Span};

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
        alerts: None,
        contains: vec![],
        bound: None,
    }
}

fn delivery(receiver: &str, second: i64, tells: Tells) -> Delivery {
    Delivery {
        receiver: receiver.into(),
        kind: "webhook".into(),
        group: "g".into(),
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
        inboxes: std::collections::BTreeMap::from([("pager".to_owned(), open())]),
        ..Mail::default()
    }
}

fn open() -> Knocks {
    let opened = Coverage::new(Duration::from_millis(500), (160..=320).map(|n| Stamp(n * 500_000)).collect());
    Knocks { opened, failed: vec![] }
}

fn sighting(silenced_by: &[&str], receivers: &[&str]) -> Sighting {
    let own = |texts: &[&str]| texts.iter().map(ToString::to_string).collect();
    let silenced_by = own(silenced_by);
    Sighting {
        at: at(107),
        last: at(110),
        labels: labels(),
        silenced_by,
        receivers: own(receivers),
        ..Sighting::default()
    }
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
    let routed = Mail { deliveries: vec![], sightings: vec![sighting(&[], &["mail"])], ..Mail::default() };
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
        refusals: (107..112).map(|s| Refusal { receiver: "pager".into(), received: at(s), answered: 500 }).collect(),
        ..Mail::default()
    };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::HopAmReceiver));
    assert!(outcome.evidence().summary.contains("failed 3 times"), "{outcome:?}");
    assert!(outcome.evidence().summary.contains("5 attempts were answered 500"), "{outcome:?}");
}

#[test]
fn what_held_a_page_back_is_named_s31_s32() {
    let mail = Mail { deliveries: vec![], sightings: vec![sighting(&["42"], &["pager"])], ..Mail::default() };
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
    mail.deliveries[0].truncated = 0;
    mail.deliveries.insert(1, Delivery { truncated: 1, ..delivery("pager", 112, Tells::Firing) });
    assert_eq!(reason(&mail), Some(Reason::NotifyTruncated), "also when it is not the first");
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
    let quiet = Mail { deliveries: vec![], ..good() };
    assert!(judge(&spec(), Mode::Never, WINDOW, &quiet, &fired(), TIME).is_passed());
    let outcome = judge(&spec(), Mode::Never, WINDOW, &Mail::default(), &fired(), TIME);
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::Unreachable, _)), "nobody knocked: {outcome:?}");
}

#[test]
fn a_message_refused_twice_and_taken_then_passes_with_its_retries_s35() {
    let refusals = (105..107).map(|s| Refusal { receiver: "pager".into(), received: at(s), answered: 500 }).collect();
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &Mail { refusals, ..good() }, &fired(), TIME);
    assert!(outcome.is_passed(), "{outcome:?}");
    let retries = outcome.evidence().facts.iter().find(|fact| fact.name == "retries").unwrap();
    assert!(format!("{retries:?}").contains("2 attempts were answered 500"), "{retries:?}");
}

#[test]
fn alerts_of_one_message_count_as_one_message_and_are_counted_by_themselves() {
    let mut mail = good();
    let mut second = delivery("pager", 107, Tells::Firing);
    second.labels.insert("instance".into(), "b".into());
    mail.deliveries.insert(1, second);
    let with = |alerts: &str| Notification { alerts: Some(Condition::parse(alerts).unwrap()), ..spec() };
    let reason = |alerts| judge(&with(alerts), Mode::Eventually, WINDOW, &mail, &fired(), TIME).reason();
    assert_eq!(reason("== 2"), None);
    assert_eq!(reason("== 1"), Some(Reason::NotifyCount));
    mail.deliveries[1].received = at(108);
    let apart = judge(&with("== 2"), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(apart.reason(), Some(Reason::NotifyCount), "told apart they are two messages");
}

#[test]
fn an_end_told_before_the_begin_is_out_of_order() {
    let mut mail = good();
    mail.deliveries.insert(0, delivery("pager", 106, Tells::Resolved));
    assert_eq!(reason(&mail), Some(Reason::NotifyOrder));
    mail.deliveries[0].starts_at = Some(at(60));
    assert_eq!(reason(&mail), None, "the end of an earlier one");
}

#[test]
fn a_text_that_could_not_be_rendered_fails_wherever_it_stands_s21() {
    for broken in ["<error expanding template A: x>", "5 % of <no value>"] {
        let mut mail = good();
        mail.deliveries[0].annotations.insert("description".into(), broken.into());
        assert_eq!(reason(&mail), Some(Reason::AnnotationError));
        let mut mail = good();
        mail.deliveries[1].shown = broken.into();
        assert_eq!(reason(&mail), Some(Reason::AnnotationError), "also in the message that tells the end");
    }
}

#[test]
fn a_late_page_whose_first_send_was_lost_names_the_counter_s40() {
    let mut mail = good();
    mail.deliveries[0].received = at(110);
    mail.dropped = 1;
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &fired(), TIME);
    assert_eq!(outcome.reason(), Some(Reason::NotifyLate));
    assert!(outcome.evidence().summary.contains("1 alerts that it could send to no Alertmanager"), "{outcome:?}");
}

#[test]
fn a_page_that_was_held_back_counts_from_when_it_no_longer_was() {
    let bound = super::super::AlertBound {
        delivery: super::super::Span { floor: Duration::ZERO, ceiling: Duration::from_secs(2) },
        ..super::super::AlertBound::default()
    };
    let spec = Notification { within: None, bound: Some(bound), ..spec() };
    let mut mail = good();
    mail.deliveries[0].received = at(116);
    let judged = |mail: &Mail| judge(&spec, Mode::Eventually, WINDOW, mail, &fired(), TIME).reason();
    assert_eq!(judged(&mail), Some(Reason::Timing), "it fired at 106 s");
    mail.sightings.push(Sighting { last: at(114), ..sighting(&["42"], &["pager"]) });
    assert_eq!(judged(&mail), None, "silenced until 114 s");
    mail.deliveries[0].received = at(117);
    assert_eq!(judged(&mail), Some(Reason::Timing), "one evaluation too late");
}

#[test]
fn a_restart_of_prometheus_in_the_window_decides_nothing_about_pages_t28_s25() {
    let restarted = Coverage { restarts: vec![at(110)], ..fired().coverage };
    let history = History { coverage: restarted, ..fired() };
    for mail in [good(), Mail::default()] {
        for mode in [Mode::Eventually, Mode::Never] {
            let outcome = judge(&spec(), mode, WINDOW, &mail, &history, TIME);
            assert!(matches!(outcome, Outcome::Inconclusive(Reason::PromRestart, _)), "{outcome:?}");
        }
    }
    let earlier = Coverage { restarts: vec![at(90)], ..fired().coverage };
    let history = History { coverage: earlier, ..fired() };
    assert!(judge(&spec(), Mode::Eventually, WINDOW, &good(), &history, TIME).is_passed());
}

#[test]
fn a_rule_in_error_decides_nothing_about_a_missing_page_t24() {
    let history = History { errors: vec![(at(110), "many-to-many".into())], instances: vec![], ..fired() };
    for mode in [Mode::Eventually, Mode::Never] {
        let outcome = judge(&spec(), mode, WINDOW, &Mail::default(), &history, TIME);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::RuleError, _)), "{outcome:?}");
    }
}

fn bound() -> AlertBound {
    let span = |floor, ceiling| Span { floor: Duration::from_secs(floor), ceiling: Duration::from_secs(ceiling) };
    AlertBound {
        delivery: span(0, 9),
        delivery_new: span(3, 4),
        delivery_known: span(0, 9),
        group_by: vec!["alertname".into()],
        ..AlertBound::default()
    }
}

#[test]
fn what_is_known_of_a_group_narrows_when_its_page_may_come_t33_t34() {
    let spec = Notification { bound: Some(bound()), ..spec() };
    let came = |second| Sighting { at: at(second), ..sighting(&[], &["pager"]) };
    let judged = |page: i64, sightings: Vec<Sighting>| {
        let mail = Mail {
            deliveries: vec![delivery("pager", page, Tells::Firing), delivery("pager", 125, Tells::Resolved)],
            sightings,
            ..Mail::default()
        };
        judge(&spec, Mode::Eventually, WINDOW, &mail, &fired(), TIME).reason()
    };
    assert_eq!(judged(109, vec![came(106)]), None, "a new group waits for group_wait");
    assert_eq!(judged(107, vec![came(106)]), Some(Reason::Timing), "a new group cannot send so early");
    assert_eq!(judged(107, vec![came(90), came(106)]), None, "a group that exists sends at its next tick");
    assert_eq!(judged(107, vec![came(106 - 1000), came(106)]), None, "after 15 min nobody knows");
    let other = |labels: Labels| Sighting { labels, ..came(90) };
    let apart = Labels::from([("alertname".into(), "B".into())]);
    assert_eq!(judged(107, vec![other(apart), came(106)]), Some(Reason::Timing), "another group");
}

#[test]
fn labels_that_are_added_on_the_way_hide_no_alert_and_those_that_are_lost_do_t41() {
    let spec = Notification { labels: Labels::from([("severity".into(), "critical".into())]), ..spec() };
    let judged = |mail: &Mail| judge(&spec, Mode::Eventually, WINDOW, mail, &fired(), TIME).reason();
    let mut relabelled = good();
    for delivery in &mut relabelled.deliveries {
        delivery.labels.insert("cluster".into(), "reference".into());
    }
    assert_eq!(judged(&relabelled), None);
    relabelled.deliveries[0].labels.remove("severity");
    assert_eq!(judged(&relabelled), Some(Reason::WrongLabels));
}

#[test]
fn an_alert_that_is_over_before_group_wait_is_told_to_nobody_and_that_is_no_pass_t35() {
    let mut short = fired();
    short.instances[0].changes[2].evaluated = at(107);
    let mail = Mail { deliveries: vec![], ..good() };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &mail, &short, TIME);
    assert_eq!(outcome.reason(), Some(Reason::HopAmReceiver), "fired is not told: {outcome:?}");
}
