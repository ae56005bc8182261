//! Recorded timelines of four drills, replayed: the polls that would have seen them, straight, three times over, and shuffled,
//! duplicated and delayed. Whatever the order, the verdicts are the same, byte for byte. Metrics, logs, targets, series,
//! dashboards and agreements are polled by nobody: they are asked once, when all is over.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::record::Record;
use crate::clock::Stamp;
use crate::event::AlertState;
use crate::expect::heartbeat::{self, Heartbeat};
use crate::expect::look::ScaledTime;
use crate::expect::suppression::{self, Cause, Seen, Suppression};
use crate::expect::{
    Alert, AlertBound, Always, Labels, Mode, Notification as Notice, Others, Resolved, Span, WantedState, Window,
    alert, notification, unexpected,
};
use crate::inbox::{Kind, Message, MessageAlert, Status};
use crate::outcome::{Outcome, Reason};
use crate::telemetry::alertmanager::{AlertDisposition, ReceivedAlert};
use crate::telemetry::prometheus::{ActiveAlert, AlertPhase, Group, Health, Rule, RuleKind};

/// From an evaluation's timestamp to its begin.
const DELAY: Duration = Duration::from_micros(1_443);
const TIME: ScaledTime = ScaledTime { scale: 60.0 };

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Timeline {
    scenario: String,
    interval_ms: u64,
    injecting: Stamp,
    proved: Stamp,
    gone: Stamp,
    alerts: Vec<Watched>,
    changes: Vec<Change>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Watched {
    name: String,
    group: String,
    first: Stamp,
    last: Stamp,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Change {
    alert: String,
    labels: Labels,
    state: AlertState,
    evaluated: Stamp,
    value: Option<f64>,
}

/// An answer of the rules API, and when it was asked for.
type Poll = (Vec<Group>, Stamp);

fn timelines() -> Vec<Timeline> {
    serde_json::from_str(include_str!("golden/timelines.json")).expect("the recorded timelines are JSON")
}

impl Timeline {
    fn interval(&self) -> Duration {
        Duration::from_millis(self.interval_ms)
    }

    /// The evaluations of an alert's group: on the grid of its own changes.
    fn evaluations(&self, watched: &Watched) -> Vec<Stamp> {
        let on_grid =
            self.changes.iter().find(|change| change.alert == watched.name).expect("it has changed").evaluated;
        let interval = i64::try_from(self.interval().as_micros()).expect("it is short");
        let first = watched.first.0 - (watched.first.0 - on_grid.0).rem_euclid(interval);
        let steps = (watched.last.0 - first) / interval;
        (0..=steps).map(|step| Stamp(first + step * interval)).collect()
    }

    fn rule(&self, watched: &Watched, evaluated: Stamp) -> Rule {
        let mut active: BTreeMap<&Labels, ActiveAlert> = BTreeMap::new();
        let own = self.changes.iter().filter(|it| it.alert == watched.name && it.evaluated <= evaluated);
        for change in own {
            let state = match change.state {
                AlertState::Inactive => {
                    active.remove(&change.labels);
                    continue;
                }
                AlertState::Pending => AlertPhase::Pending,
                AlertState::Firing => AlertPhase::Firing,
            };
            let since = active.get(&change.labels).and_then(|alert| alert.active_at).unwrap_or(change.evaluated);
            let alert = ActiveAlert {
                labels: change.labels.clone(),
                annotations: Labels::new(),
                state,
                active_at: Some(since),
                value: change.value,
                keep_firing_since: None,
            };
            active.insert(&change.labels, alert);
        }
        Rule {
            name: watched.name.clone(),
            kind: RuleKind::Alerting,
            health: Health::Ok,
            last_error: String::new(),
            last_evaluation: Some(evaluated + DELAY),
            evaluation_time: Duration::from_micros(300),
            hold: Duration::ZERO,
            keep_firing: Duration::ZERO,
            labels: Labels::new(),
            annotations: Labels::new(),
            query: String::new(),
            alerts: active.into_values().collect(),
        }
    }

    /// A poll for each evaluation.
    fn polls(&self) -> Vec<Poll> {
        let mut polls = Vec::new();
        for watched in &self.alerts {
            for evaluated in self.evaluations(watched) {
                let group = Group {
                    name: watched.group.clone(),
                    file: "rules.yml".to_owned(),
                    interval: self.interval(),
                    last_evaluation: Some(evaluated + DELAY),
                    evaluation_time: Duration::from_micros(900),
                    rules: vec![self.rule(watched, evaluated)],
                };
                polls.push((vec![group], evaluated + Duration::from_millis(40)));
            }
        }
        polls.sort_by_key(|(_, at)| *at);
        polls
    }

    /// Every verdict that can be asked of the alerts: each must fire, each must not, none but these may.
    fn outcomes(&self, polls: impl IntoIterator<Item = Poll>) -> Vec<(&str, Mode, Outcome)> {
        let mut record = Record::default();
        for (groups, at) in polls {
            record.rules(&groups, at);
        }
        let echo = Duration::from_secs(4);
        let window =
            Window { start: self.injecting, effective: self.proved, end: self.gone, observed_until: self.gone + echo };
        let mut outcomes = Vec::new();
        for watched in &self.alerts {
            let promise = |seconds| Some(Duration::from_secs(seconds));
            let spec = Alert {
                name: watched.name.clone(),
                labels: Labels::new(),
                annotations: Labels::new(),
                fires_after: promise(1),
                fires_within: promise(12),
                resolves_within: promise(5),
                state: WantedState::Firing,
                bound: None,
            };
            let history = record.history(&watched.name);
            for mode in [Mode::Eventually, Mode::Never] {
                outcomes.push((watched.name.as_str(), mode, alert::judge(&spec, mode, window, &history, TIME)));
            }
        }
        let known = ["Watchdog".to_owned()].into();
        let others = unexpected::judge_others(&Others { known }, window, &[], &record.histories(), TIME);
        outcomes.push(("others", Mode::Throughout, others));
        outcomes
    }

    fn verdicts(&self, polls: impl IntoIterator<Item = Poll>) -> Vec<u8> {
        let outcomes: Vec<Outcome> = self.outcomes(polls).into_iter().map(|(_, _, outcome)| outcome).collect();
        serde_json::to_vec(&outcomes).expect("outcomes are JSON")
    }
}

/// What is known of the drills, by scenario.
const KNOWN: [(&str, &str, Mode, Option<Reason>); 12] = [
    ("service-crash", "InventoryServiceDown", Mode::Eventually, None),
    ("service-crash", "InventoryServiceDown", Mode::Never, Some(Reason::UnexpectedAlert)),
    ("service-crash", "InventoryTrafficDrop", Mode::Eventually, Some(Reason::NeverFired)),
    ("service-crash", "InventoryTrafficDrop", Mode::Never, None),
    ("service-crash", "Watchdog", Mode::Eventually, Some(Reason::FiringAtBaseline)),
    ("service-crash", "others", Mode::Throughout, Some(Reason::UnexpectedAlert)),
    ("http-error-burst", "InventoryHighErrorRate", Mode::Eventually, None),
    ("http-error-burst", "InventoryErrorBudgetBurnsFast", Mode::Eventually, None),
    ("http-error-burst", "InventoryErrorBudgetBurnsSlowly", Mode::Eventually, Some(Reason::NeverFired)),
    ("traffic-drop", "InventoryTrafficDrop", Mode::Eventually, None),
    ("traffic-drop", "InventoryTargetAbsent", Mode::Never, None),
    ("traffic-drop", "Watchdog", Mode::Never, Some(Reason::UnexpectedAlert)),
];

#[test]
fn recorded_timelines_get_their_known_verdicts_three_times_over() {
    let timelines = timelines();
    for timeline in &timelines {
        let first = timeline.verdicts(timeline.polls());
        for _ in 0..2 {
            assert_eq!(first, timeline.verdicts(timeline.polls()), "{}", timeline.scenario);
        }
    }
    for (scenario, alert, mode, reason) in KNOWN {
        let timeline = timelines.iter().find(|it| it.scenario == scenario).expect("it was recorded");
        let outcomes = timeline.outcomes(timeline.polls());
        let found = outcomes.iter().find(|it| it.0 == alert && it.1 == mode).expect("it was judged");
        assert_eq!(found.2.reason(), reason, "{scenario} {alert} {mode:?}: {:?}", found.2);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, ..ProptestConfig::default() })]

    /// Each poll arrives up to three times, in any order; what arrives again may have been asked for later, up to a whole
    /// interval, and every poll may be late as long as it shows its own evaluation alone.
    #[test]
    fn shuffled_duplicated_and_delayed_polls_give_byte_identical_verdicts(
        which in 0_usize..3,
        seed in any::<u64>(),
        late in prop::collection::vec((0_u64..80, 0_usize..3, 0_u64..250), 64),
    ) {
        let timeline = &timelines()[which];
        let straight = timeline.verdicts(timeline.polls());
        let mut polls: Vec<(u64, Poll)> = Vec::new();
        let mut random = seed | 1;
        for (index, (groups, at)) in timeline.polls().into_iter().enumerate() {
            let (delay, again, later) = late[index % late.len()];
            let mut arrive = |at: Stamp| {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                polls.push((random >> 16, (groups.clone(), at)));
            };
            let asked = at + Duration::from_millis(delay);
            arrive(asked);
            for _ in 0..again {
                arrive(asked + Duration::from_millis(later));
            }
        }
        polls.sort_by_key(|(place, _)| *place);
        let shuffled = timeline.verdicts(polls.into_iter().map(|(_, poll)| poll));
        prop_assert_eq!(String::from_utf8_lossy(&straight), String::from_utf8_lossy(&shuffled));
    }
}

/// A drill whose Alertmanager was polled beside it: everything that holds a page back, one thing after the other, and two
/// receivers' inboxes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MailTimeline {
    timeline: Timeline,
    /// When the phase without faults began and ended.
    baseline: (Stamp, Stamp),
    /// By fault: inject call, proved, revert call, proved gone.
    faults: BTreeMap<String, [Stamp; 4]>,
    /// How often Alertmanager was asked.
    period_ms: u64,
    /// When it was asked and answered, from one poll to another.
    answered: Vec<(Stamp, Stamp)>,
    held: Vec<Held>,
    messages: Vec<Received>,
}

/// An alert as Alertmanager had it from one poll to another.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Held {
    labels: Labels,
    fingerprint: String,
    starts_at: Stamp,
    updated_at: Stamp,
    receivers: Vec<String>,
    #[serde(default)]
    silenced_by: Vec<String>,
    #[serde(default)]
    inhibited_by: Vec<String>,
    from: Stamp,
    to: Stamp,
}

/// A message as the inbox had it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Received {
    receiver: String,
    kind: String,
    received: Stamp,
    status: String,
    group_key: String,
    #[serde(default)]
    group_labels: Labels,
    alerts: Vec<(String, Labels)>,
    title: String,
}

/// Something that reaches the record.
#[derive(Clone)]
enum Told {
    Rules(Poll),
    Held(Vec<ReceivedAlert>, Stamp),
    Knock(&'static str, Stamp),
    Message(Box<Message>),
}

fn status(word: &str) -> Status {
    if word == "resolved" { Status::Resolved } else { Status::Firing }
}

impl Received {
    fn message(&self) -> Message {
        let inside = |(word, labels): &(String, Labels)| MessageAlert {
            status: status(word),
            labels: labels.clone(),
            ..MessageAlert::default()
        };
        Message {
            receiver: self.receiver.clone(),
            kind: Kind::ALL.into_iter().find(|kind| kind.name() == self.kind).expect("a kind that is known"),
            index: 0,
            received: self.received,
            status: status(&self.status),
            group_key: self.group_key.clone(),
            group_labels: self.group_labels.clone(),
            alerts: self.alerts.iter().map(inside).collect(),
            truncated: 0,
            title: self.title.clone(),
            text: String::new(),
            raw: String::new(),
            answered: 200,
            defect: None,
        }
    }
}

impl MailTimeline {
    fn read() -> Self {
        serde_json::from_str(include_str!("golden/mail-timeline.json")).expect("the recorded timeline is JSON")
    }

    fn period(&self) -> Duration {
        Duration::from_millis(self.period_ms)
    }

    /// Everything, in the order in which it happened.
    fn told(&self) -> Vec<Told> {
        let mut told: Vec<(Stamp, Told)> = Vec::new();
        told.extend(self.timeline.polls().into_iter().map(|poll| (poll.1, Told::Rules(poll))));
        for (from, to) in &self.answered {
            for at in std::iter::successors(Some(*from), |at| Some(*at + self.period())).take_while(|at| at <= to) {
                let held = self.held.iter().filter(|it| it.from <= at && at <= it.to).map(Held::alert);
                told.push((at, Told::Held(held.collect(), at)));
            }
        }
        let (first, last) =
            (self.baseline.0, self.timeline.alerts.iter().map(|it| it.last).max().expect("it has alerts"));
        for at in std::iter::successors(Some(first), |at| Some(*at + self.period())).take_while(|at| *at <= last) {
            told.extend(["pager", "chat", "heartbeat"].map(|receiver| (at, Told::Knock(receiver, at))));
        }
        told.extend(self.messages.iter().map(|it| (it.received, Told::Message(Box::new(it.message())))));
        told.sort_by_key(|(at, _)| *at);
        told.into_iter().map(|(_, told)| told).collect()
    }

    fn record(&self, told: Vec<Told>) -> Record {
        let mut record = Record::default();
        record.rhythm(self.period(), self.period());
        for one in told {
            match one {
                Told::Rules((groups, at)) => drop(record.rules(&groups, at)),
                Told::Held(alerts, at) => record.held(&alerts, at),
                Told::Knock(receiver, at) => record.knocked(receiver, Ok(()), at),
                Told::Message(message) => drop(record.message(&message)),
            }
        }
        record
    }

    fn window(&self, fault: &str) -> Window {
        let [start, effective, _, end] = self.faults[fault];
        Window { start, effective, end, observed_until: end + Duration::from_secs(4) }
    }

    /// Every kind that is judged by what came while the drill ran.
    fn outcomes(&self, told: Vec<Told>) -> Vec<(&'static str, Outcome)> {
        let record = self.record(told);
        let mail = record.mail();
        let delivery = Span { floor: Duration::ZERO, ceiling: Duration::from_millis(2_250) };
        let held = |alert: &str, receiver: &str, cause: Cause, fault: &str| {
            let bound = Some(AlertBound { delivery, ..AlertBound::default() });
            let by = if let Cause::Inhibition { by } = &cause { by.clone() } else { alert.to_owned() };
            let (own, by) = (record.history(alert), record.history(&by));
            let seen = Seen { mail: &mail, alert: &own, by: &by, released: Some(self.faults[fault][2]) };
            let spec = Suppression { alert: alert.into(), receiver: Some(receiver.into()), cause, bound };
            suppression::judge(&spec, self.window(fault), seen, TIME)
        };
        let page = |alert: &str, receiver: &str, mode, fault: &str| {
            let spec = Notice {
                receiver: receiver.into(),
                alert: alert.into(),
                labels: Labels::new(),
                within: Some(Duration::from_secs(10)),
                resolved: Resolved::Required,
                count: None,
                alerts: None,
                contains: Vec::new(),
                bound: None,
            };
            notification::judge(&spec, mode, self.window(fault), &mail, &record.history(alert), TIME)
        };
        let beats = |missed: Option<u64>, window: Window| {
            let missed_within = missed.map(Duration::from_secs);
            let every = Duration::from_secs(3);
            let spec = Heartbeat { receiver: "heartbeat".into(), alert: "Watchdog".into(), every, missed_within };
            let baseline = Window::plain(self.baseline.0, self.baseline.1);
            heartbeat::judge(&spec, window, Some(baseline), &mail, &record.history("Watchdog"), TIME)
        };
        let baseline = Window::plain(self.baseline.0, self.baseline.1);
        let inhibition = Cause::Inhibition { by: "InventoryServiceDown".into() };
        let watchdog = record.history("Watchdog");
        let always = Always { name: "Watchdog".into() };
        vec![
            ("inhibition", held("InventoryHighLatency", "chat", inhibition.clone(), "crash")),
            ("inhibition of another", held("InventoryHighErrorRate", "pager", inhibition, "errors")),
            ("silence", held("InventoryHighErrorRate", "pager", Cause::Silence, "planned-work")),
            ("no silence", held("InventoryServiceDown", "pager", Cause::Silence, "crash")),
            ("mute-time", held("InventoryErrorBudgetBurnsSlowly", "chat", Cause::MuteTime, "night")),
            ("notification", page("InventoryServiceDown", "pager", Mode::Eventually, "crash")),
            ("notification elsewhere", page("InventoryServiceDown", "chat", Mode::Eventually, "crash")),
            ("no notification", page("InventoryServiceDown", "pager", Mode::Never, "crash")),
            ("no notification of what is inhibited", page("InventoryHighLatency", "chat", Mode::Never, "crash")),
            ("heartbeat", beats(None, baseline)),
            ("heartbeat missed", beats(Some(4), self.window("alertmanager-dead"))),
            ("heartbeat missed too soon", beats(Some(1), self.window("alertmanager-dead"))),
            ("heartbeat that stops", beats(None, self.window("alertmanager-dead"))),
            ("always", unexpected::judge_always(&always, self.window("crash"), &[], Some(&watchdog), TIME)),
        ]
    }

    fn verdicts(&self, told: Vec<Told>) -> String {
        let outcomes: Vec<Outcome> = self.outcomes(told).into_iter().map(|(_, outcome)| outcome).collect();
        serde_json::to_string(&outcomes).expect("outcomes are JSON")
    }
}

impl Held {
    fn alert(&self) -> ReceivedAlert {
        ReceivedAlert {
            labels: self.labels.clone(),
            annotations: Labels::new(),
            starts_at: Some(self.starts_at),
            ends_at: None,
            updated_at: Some(self.updated_at),
            fingerprint: self.fingerprint.clone(),
            receivers: self.receivers.clone(),
            state: AlertDisposition::Active,
            silenced_by: self.silenced_by.clone(),
            inhibited_by: self.inhibited_by.clone(),
        }
    }
}

#[test]
fn recorded_mail_gets_its_known_verdicts_three_times_over() {
    let timeline = MailTimeline::read();
    let outcomes = timeline.outcomes(timeline.told());
    let verdicts: Vec<(&str, Option<Reason>)> = outcomes.iter().map(|(what, it)| (*what, it.reason())).collect();
    let known = [
        ("inhibition", None),
        ("inhibition of another", Some(Reason::NeverFired)),
        ("silence", None),
        ("no silence", Some(Reason::NotSuppressed)),
        // it fired 0.9 s after the interval's end
        ("mute-time", Some(Reason::NeverFired)),
        ("notification", None),
        ("notification elsewhere", Some(Reason::WrongReceiver)),
        ("no notification", Some(Reason::NotSuppressed)),
        ("no notification of what is inhibited", None),
        ("heartbeat", None),
        ("heartbeat missed", None),
        ("heartbeat missed too soon", Some(Reason::HeartbeatNotMissed)),
        ("heartbeat that stops", Some(Reason::HeartbeatMissing)),
        ("always", None),
    ];
    assert_eq!(verdicts, known, "{outcomes:#?}");
    for _ in 0..2 {
        assert_eq!(timeline.verdicts(timeline.told()), timeline.verdicts(timeline.told()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 8, ..ProptestConfig::default() })]

    /// In any order, so that each may come as late as the drill is long; polls up to three times.
    #[test]
    fn recorded_mail_in_any_order_and_polled_again_gives_byte_identical_verdicts(
        seed in any::<u64>(),
        again in prop::collection::vec(0_usize..3, 64),
    ) {
        let timeline = MailTimeline::read();
        let straight = timeline.verdicts(timeline.told());
        let mut random = seed | 1;
        let mut told: Vec<(u64, Told)> = Vec::new();
        for (index, one) in timeline.told().into_iter().enumerate() {
            // a message is delivered once; an answer may be handed over again
            let times = if matches!(one, Told::Message(_)) { 1 } else { 1 + again[index % again.len()] };
            for _ in 0..times {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                told.push((random >> 16, one.clone()));
            }
        }
        told.sort_by_key(|(place, _)| *place);
        let shuffled = timeline.verdicts(told.into_iter().map(|(_, one)| one).collect());
        prop_assert_eq!(straight, shuffled);
    }
}
