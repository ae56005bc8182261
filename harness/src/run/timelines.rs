//! Recorded timelines of three drills, replayed: the polls that would have seen them, straight, three times over, and shuffled,
//! duplicated and delayed. Whatever the order, the verdicts are the same, byte for byte.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use serde::Deserialize;

use super::record::Record;
use crate::clock::Stamp;
use crate::event::AlertState;
use crate::expect::look::ScaledTime;
use crate::expect::{Alert, Labels, Mode, Others, WantedState, Window, alert, unexpected};
use crate::outcome::{Outcome, Reason};
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
