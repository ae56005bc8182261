//! What is judged depends on what was seen, not on the order in which it was told: polls come late, twice and in any order.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::expect::alert::{Change, Instance, State};
use crate::expect::heartbeat::{self, Heartbeat};
use crate::expect::look::ScaledTime;
use crate::expect::suppression::{self, Cause, Seen, Suppression};
use crate::expect::{Mode, Notification as Notice, Others, Resolved, Window, notification, unexpected};
use crate::inbox::{Kind, MessageAlert};
use crate::outcome::Reason;
use crate::telemetry::alertmanager::AlertDisposition;
use crate::telemetry::prometheus::{Health, Rule, RuleKind};

const TIME: ScaledTime = ScaledTime { scale: 60.0 };
const BASELINE: Window = Window::plain(at(0), at(20));
const WINDOW: Window = Window { start: at(20), effective: at(21), end: at(60), observed_until: at(90) };

/// Half seconds.
const fn at(halves: i64) -> Stamp {
    Stamp(halves * 500_000)
}

/// Something that reaches the record.
#[derive(Clone, Debug)]
enum Told {
    Poll(Stamp, Vec<ReceivedAlert>),
    Knock(Stamp, Result<(), String>),
    Message(Message),
}

fn labels(alert: &str) -> Labels {
    Labels::from([("alertname".to_owned(), alert.to_owned())])
}

fn received(alert: &str, silenced: &[&str], inhibited: &[&str]) -> ReceivedAlert {
    let own = |ids: &[&str]| ids.iter().map(ToString::to_string).collect();
    ReceivedAlert {
        labels: labels(alert),
        annotations: Labels::new(),
        starts_at: Some(at(1)),
        ends_at: None,
        updated_at: Some(at(1)),
        fingerprint: format!("print-of-{alert}"),
        receivers: vec!["pager".to_owned()],
        state: AlertDisposition::Active,
        silenced_by: own(silenced),
        inhibited_by: own(inhibited),
    }
}

fn message(alert: &str, received: Stamp) -> Message {
    let own = MessageAlert { status: Status::Firing, labels: labels(alert), ..MessageAlert::default() };
    Message {
        receiver: "pager".to_owned(),
        kind: Kind::Webhook,
        index: 0,
        received,
        status: Status::Firing,
        group_key: format!("group of {alert}"),
        group_labels: BTreeMap::new(),
        alerts: vec![own],
        truncated: 0,
        title: String::new(),
        text: String::new(),
        raw: String::new(),
        answered: 200,
        defect: None,
    }
}

/// A symptom that is inhibited, then silenced, then told; a heartbeat that stops; an inbox that fails once, at the end.
fn story() -> Vec<Told> {
    let mut told = Vec::new();
    for half in 0..=90 {
        let mut alerts = vec![received("Cause", &[], &[])];
        match half {
            24..=40 => alerts.push(received("Symptom", &[], &["print-of-Cause"])),
            41..=60 => alerts.push(received("Symptom", &["42"], &[])),
            61..=80 => alerts.push(received("Symptom", &[], &[])),
            _ => {}
        }
        told.push(Told::Poll(at(half), alerts));
        let opened = if half == 89 { Err("it refuses connections".to_owned()) } else { Ok(()) };
        told.push(Told::Knock(at(half), opened));
    }
    told.extend((0..=30).step_by(4).map(|half| Told::Message(message("Watchdog", at(half)))));
    told.push(Told::Message(message("Symptom", at(64))));
    told
}

fn firing(alert: &str, from: i64) -> History {
    let changes = vec![Change { evaluated: at(from), state: State::Firing, value: Some(1.0) }];
    let coverage = Coverage::new(Duration::from_millis(500), (0..=95).map(at).collect());
    let instances = vec![Instance { labels: labels(alert), annotations: Labels::new(), changes }];
    History { rules: 1, instances, coverage, errors: Vec::new() }
}

/// Every judge of messages on what the record holds, as bytes.
fn verdicts(told: &[Told]) -> String {
    let mut record = Record::default();
    record.rhythm(Duration::from_millis(500), Duration::from_millis(500));
    for one in told {
        match one {
            Told::Poll(at, alerts) => record.held(alerts, *at),
            Told::Knock(at, opened) => record.knocked("pager", opened.clone(), *at),
            Told::Message(message) => drop(record.message(message)),
        }
    }
    let mail = record.mail();
    let (symptom, cause) = (firing("Symptom", 24), firing("Cause", 1));
    let suppressed = |cause_of: Cause| {
        let spec =
            Suppression { alert: "Symptom".into(), receiver: Some("pager".into()), cause: cause_of, bound: None };
        let seen = Seen { mail: &mail, alert: &symptom, by: &cause, released: Some(at(60)) };
        suppression::judge(&spec, WINDOW, seen, TIME)
    };
    let beats = |missed: Option<u64>| {
        let missed_within = missed.map(Duration::from_secs);
        let every = Duration::from_secs(2);
        let spec = Heartbeat { receiver: "pager".into(), alert: "Watchdog".into(), every, missed_within };
        heartbeat::judge(&spec, WINDOW, Some(BASELINE), &mail, &firing("Watchdog", 0), TIME)
    };
    let notice = Notice {
        receiver: "pager".into(),
        alert: "Symptom".into(),
        labels: Labels::new(),
        within: None,
        resolved: Resolved::Unasked,
        count: None,
        alerts: None,
        contains: Vec::new(),
        bound: None,
    };
    let told = |mode| notification::judge(&notice, mode, WINDOW, &mail, &symptom, TIME);
    let outcomes = vec![
        suppressed(Cause::Inhibition { by: "Cause".into() }),
        suppressed(Cause::Silence),
        suppressed(Cause::MuteTime),
        beats(None),
        beats(Some(15)),
        beats(Some(3)),
        told(Mode::Eventually),
        told(Mode::Never),
    ];
    serde_json::to_string_pretty(&outcomes).unwrap()
}

/// The story in another order, with some of its polls told twice.
fn retold() -> impl Strategy<Value = Vec<Told>> {
    let story = story();
    let count = story.len();
    (Just(story), proptest::collection::vec(0..count, 0..40)).prop_flat_map(|(story, twice)| {
        let again = twice.into_iter().filter_map({
            let story = story.clone();
            move |index| match &story[index] {
                Told::Message(_) => None,
                poll => Some(poll.clone()),
            }
        });
        let all: Vec<Told> = story.iter().cloned().chain(again).collect();
        Just(all).prop_shuffle()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn polls_that_come_late_twice_and_in_any_order_change_no_byte_of_a_verdict(told in retold()) {
        prop_assert_eq!(verdicts(&told), verdicts(&story()));
    }
}

#[test]
fn the_story_is_judged_as_it_was_told() {
    let verdicts = verdicts(&story());
    for word in ["was inhibited by Cause", "was silenced", "HEARTBEAT_MISSING", "missed a beat", "HEARTBEAT_NOT_MISSED"]
    {
        assert!(verdicts.contains(word), "{word} is missing in {verdicts}");
    }
}

/// A group with one alerting rule that was evaluated at `evaluated`, each second.
fn evaluated(file: &str, alert: &str, evaluated: Stamp) -> Group {
    let rule = Rule {
        name: alert.to_owned(),
        kind: RuleKind::Alerting,
        health: Health::Ok,
        last_error: String::new(),
        last_evaluation: Some(evaluated),
        evaluation_time: Duration::ZERO,
        hold: Duration::ZERO,
        keep_firing: Duration::ZERO,
        labels: Labels::new(),
        annotations: Labels::new(),
        query: String::new(),
        alerts: Vec::new(),
    };
    Group {
        name: "g".to_owned(),
        file: file.to_owned(),
        interval: Duration::from_secs(1),
        last_evaluation: Some(evaluated),
        evaluation_time: Duration::ZERO,
        rules: vec![rule],
    }
}

#[test]
fn the_history_and_the_proof_of_an_alert_are_those_of_its_own_evaluator() {
    let counts = |file: &str, iterations: f64| OwnCounters {
        iterations: BTreeMap::from([(format!("{file};g"), iterations)]),
        iterations_missed: BTreeMap::from([(format!("{file};g"), 0.0)]),
        ..OwnCounters::default()
    };
    let mut record = Record::default();
    // both were seen at the begin and at the end only
    for second in [0, 20] {
        let now = at(2 * second);
        record.rules(&[evaluated("a.yml", "Up", now)], now);
        record.log_rules(&[evaluated("b.yml", "Logs", now)], now);
    }
    let gap = |record: &Record, alert: &str| record.history(alert).coverage.gap(at(2), at(38)).is_some();
    assert_eq!((record.history("Up").rules, record.history("Logs").rules, record.history("Other").rules), (1, 1, 0));
    assert_eq!(record.histories().keys().collect::<Vec<_>>(), ["Logs", "Up"]);
    assert!(gap(&record, "Up") && gap(&record, "Logs"), "nobody knows what was in between");
    // what Prometheus counts proves nothing of the ruler, even if it named its groups alike
    record.counted(counts("b.yml", 0.0), at(0));
    record.counted(counts("b.yml", 20.0), at(40));
    assert!(gap(&record, "Logs"));
    record.logs_counted(counts("b.yml", 0.0), at(0));
    record.logs_counted(counts("b.yml", 20.0), at(40));
    assert!(!gap(&record, "Logs") && gap(&record, "Up"));
}

#[test]
fn a_rule_that_has_been_in_error_since_before_a_window_decides_nothing_in_it_t24() {
    let mut record = Record::default();
    for second in 0..40 {
        let mut group = evaluated("a.yml", "Up", at(2 * second));
        if second >= 5 {
            group.rules[0].health = Health::Error;
            group.rules[0].last_error = "many-to-many".to_owned();
        }
        record.rules(&[group], at(2 * second));
    }
    let history = record.history("Up");
    assert_eq!(history.errors.len(), 35);
    let others = Others { known: BTreeSet::new() };
    let reason = |window| unexpected::judge_others(&others, window, &[], &record.histories(), TIME).reason();
    assert_eq!(reason(Window::plain(at(40), at(60))), Some(Reason::RuleError));
    assert_eq!(reason(Window::plain(at(0), at(8))), None, "before the error");
}

#[test]
fn an_evaluation_that_failed_where_no_poll_looked_leaves_the_hole_open_t24_t26() {
    let counts = |iterations: f64, failures: f64| OwnCounters {
        iterations: BTreeMap::from([("a.yml;g".to_owned(), iterations)]),
        iterations_missed: BTreeMap::from([("a.yml;g".to_owned(), 0.0)]),
        evaluation_failures: BTreeMap::from([("a.yml;g".to_owned(), failures)]),
        ..OwnCounters::default()
    };
    let gap = |failures: f64| {
        let mut record = Record::default();
        for second in [0, 20] {
            record.rules(&[evaluated("a.yml", "Up", at(2 * second))], at(2 * second));
        }
        record.counted(counts(0.0, 3.0), at(0));
        record.counted(counts(20.0, failures), at(40));
        record.history("Up").coverage.gap(at(2), at(38)).is_some()
    };
    assert!(!gap(3.0));
    assert!(gap(4.0), "one of them failed, and nobody knows which");
}
