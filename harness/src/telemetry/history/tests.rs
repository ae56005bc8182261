//! Alert histories merged from polls: no change lost, none invented.

use proptest::prelude::*;

use super::*;
use crate::telemetry::prometheus::{Point, Series};

const INTERVAL: i64 = 1_000_000;
/// The first evaluation's timestamp.
const START: i64 = 1_795_168_810_632_510;
/// From an evaluation's timestamp to the time it begins.
const DELAY: i64 = 1_443;

/// The timestamp of evaluation `n`.
fn tick(n: i64) -> Stamp {
    Stamp(START + n * INTERVAL)
}

/// Our clock, so many thousandths of an interval after evaluation `n`'s timestamp.
fn poll_after(n: i64, thousandths: i64) -> Stamp {
    Stamp(tick(n).0 + thousandths * INTERVAL / 1000)
}

fn labels(instance: &str) -> Labels {
    [("alertname", "Down"), ("instance", instance)].map(|(name, value)| (name.to_owned(), value.to_owned())).into()
}

/// What Prometheus does with a rule that is true at these evaluations; a letter each: `.` false, `x` true, `e` error.
struct Prometheus {
    truth: Vec<char>,
    hold: i64,
}

impl Prometheus {
    fn new(truth: &str, hold: i64) -> Self {
        Self { truth: truth.chars().collect(), hold }
    }

    /// The rule as it stands after evaluation `n`.
    fn after(&self, n: i64) -> (Health, Vec<ActiveAlert>) {
        let (mut since, mut health, mut fired) = (None, Health::Unknown, false);
        for (index, letter) in self.truth.iter().enumerate().take(usize::try_from(n + 1).unwrap()) {
            let index = i64::try_from(index).unwrap();
            health = if *letter == 'e' { Health::Error } else { Health::Ok };
            match letter {
                'x' => fired = index - *since.get_or_insert(index) >= self.hold,
                '.' => (since, fired) = (None, false),
                _ => {}
            }
        }
        let state = if fired { AlertPhase::Firing } else { AlertPhase::Pending };
        let alert = since.map(|since| ActiveAlert {
            labels: labels("a"),
            annotations: Labels::new(),
            state,
            active_at: Some(tick(since)),
            value: Some(0.0),
            keep_firing_since: None,
        });
        (health, alert.into_iter().collect())
    }

    /// What the API answers when evaluation `n` is published and the alerts are those after evaluation `alerts`.
    fn answer(&self, n: i64, alerts: i64) -> Vec<Group> {
        let began = Some(Stamp(tick(n).0 + DELAY));
        let rule = Rule {
            name: "Down".to_owned(),
            kind: RuleKind::Alerting,
            health: self.after(n).0,
            last_error: if self.after(n).0 == Health::Error { "many-to-many".to_owned() } else { String::new() },
            last_evaluation: began,
            evaluation_time: Duration::ZERO,
            hold: Duration::from_micros(u64::try_from(self.hold * INTERVAL).unwrap()),
            keep_firing: Duration::ZERO,
            labels: Labels::new(),
            annotations: Labels::new(),
            query: "up == 0".to_owned(),
            alerts: self.after(alerts).1,
        };
        vec![group(began, vec![rule])]
    }

    /// Two polls for each evaluation.
    fn polls(&self) -> Vec<(Vec<Group>, Stamp)> {
        let last = i64::try_from(self.truth.len()).unwrap();
        (0..last).flat_map(|n| [200, 700].map(|late| (self.answer(n, n), poll_after(n, late)))).collect()
    }
}

fn group(began: Option<Stamp>, rules: Vec<Rule>) -> Group {
    Group {
        name: "g".to_owned(),
        file: "rules.yml".to_owned(),
        interval: Duration::from_micros(INTERVAL.unsigned_abs()),
        last_evaluation: began,
        evaluation_time: Duration::ZERO,
        rules,
    }
}

fn key() -> RuleKey {
    RuleKey { file: "rules.yml".to_owned(), group: "g".to_owned(), index: 0, name: "Down".to_owned() }
}

fn observed(polls: &[(Vec<Group>, Stamp)]) -> AlertHistory {
    let mut history = AlertHistory::new();
    for (groups, at) in polls {
        history.observe(groups, *at);
    }
    history
}

/// `3:pending 5:firing(4..5) …`, evaluations counted from the first.
fn told(changes: &[AlertChange]) -> String {
    let index = |at: Stamp| (at.0 - START + INTERVAL / 2).div_euclid(INTERVAL);
    let tell = |change: &AlertChange| {
        let state = match change.to {
            State::Inactive => "inactive",
            State::Pending => "pending",
            State::Firing => "firing",
        };
        let range = if change.is_exact() {
            String::new()
        } else {
            format!("({}..{})", index(change.earliest), index(change.latest))
        };
        format!("{}:{state}{range}", index(change.evaluated))
    };
    changes.iter().map(tell).collect::<Vec<_>>().join(" ")
}

fn history_of(truth: &str, hold: i64) -> AlertHistory {
    observed(&Prometheus::new(truth, hold).polls())
}

#[test]
fn golden_histories_are_exact_at_every_boundary() {
    for (truth, hold, expected) in [
        ("......", 2, ""),
        ("..xxxx", 2, "2:pending 4:firing"),
        ("..xxx.", 2, "2:pending 4:firing 5:inactive"),
        ("..xx..", 2, "2:pending 4:inactive"),
        ("..xx.x", 2, "2:pending 4:inactive 5:pending"),
        ("..x.xxx", 2, "2:pending 3:inactive 4:pending 6:firing"),
        ("..x...", 0, "2:firing 3:inactive"),
        ("..xx.x", 0, "2:firing 4:inactive 5:firing"),
        ("..xxxxx..", 4, "2:pending 6:firing 7:inactive"),
        ("xxxx", 2, "0:pending 2:firing"),
        ("..xeex.", 2, "2:pending 5:firing 6:inactive"),
    ] {
        let history = history_of(truth, hold);
        assert_eq!(told(&history.changes()), expected, "{truth} for {hold}");
        assert!(history.changes().iter().all(|change| change.source == Source::Poll || truth == "xxxx"));
    }
}

#[test]
fn changes_lie_on_the_evaluation_grid_not_at_the_poll_t11() {
    let changes = history_of("..xxxx.", 2).changes();
    let times: Vec<Stamp> = changes.iter().map(|change| change.evaluated).collect();
    assert_eq!(times, [tick(2), tick(4), tick(6)]);
}

#[test]
fn each_change_is_told_once() {
    let mut history = AlertHistory::new();
    let polls = Prometheus::new("..xxxx..xxx", 2).polls();
    let news: Vec<_> = polls.iter().flat_map(|(groups, at)| history.observe(groups, *at)).collect();
    assert_eq!(news, history.changes());
    let again: Vec<_> = polls.iter().flat_map(|(groups, at)| history.observe(groups, *at)).collect();
    assert_eq!(again, []);
}

#[test]
fn a_poll_that_meets_an_evaluation_half_way_does_not_move_a_change_forward() {
    let prometheus = Prometheus::new("..xxxx.", 2);
    let mut polls = prometheus.polls();
    // Evaluation 4, which fires, has changed the alerts and has not yet been published.
    polls.push((prometheus.answer(3, 4), poll_after(4, 3)));
    assert_eq!(told(&observed(&polls).changes()), "2:pending 4:firing 6:inactive");
    // The same where it is the only poll that saw evaluation 3: `for` cannot be over then.
    polls.retain(|(groups, at)| groups[0].last_evaluation != Some(Stamp(tick(3).0 + DELAY)) || *at > tick(4));
    assert_eq!(told(&observed(&polls).changes()), "2:pending 4:firing 6:inactive");
}

#[test]
fn an_end_met_half_way_says_that_it_may_be_one_evaluation_later() {
    let prometheus = Prometheus::new("..x.", 0);
    let mut polls = prometheus.polls();
    polls.retain(|(_, at)| *at < tick(2));
    polls.extend([(prometheus.answer(1, 1), poll_after(1, 500)), (prometheus.answer(2, 3), poll_after(3, 3))]);
    assert_eq!(told(&observed(&polls).changes()), "", "nobody saw it: only the series can tell");
    let prometheus = Prometheus::new(".xx.", 0);
    let polls = [(1, 1, 200), (2, 3, 1003)].map(|(n, alerts, at)| (prometheus.answer(n, alerts), poll_after(n, at)));
    assert_eq!(told(&observed(&polls).changes()), "1:firing 2:inactive(2..3)");
}

#[test]
fn missed_evaluations_widen_a_change_and_count_as_a_gap() {
    let prometheus = Prometheus::new("..xxxxxx....", 2);
    let mut polls = prometheus.polls();
    polls.retain(|(groups, _)| {
        let began = groups[0].last_evaluation.unwrap();
        ![(3, 6), (8, 10)].iter().any(|(from, to)| tick(*from) < began && began < tick(*to))
    });
    let history = observed(&polls);
    assert_eq!(told(&history.changes()), "2:pending 6:firing(4..6) 10:inactive(8..10)");
    let coverage = history.coverage(&key(), tick(0), poll_after(11, 900)).unwrap();
    assert_eq!((coverage.seen, coverage.missed(), coverage.gaps.len()), (7, 5, 2));
}

#[test]
fn an_alert_that_ended_and_began_again_between_two_polls_is_told_by_its_begin() {
    let prometheus = Prometheus::new("..xxx.xxxx", 2);
    let mut polls = prometheus.polls();
    polls.retain(|(groups, _)| {
        let began = groups[0].last_evaluation.unwrap();
        !(tick(5) < began && began < tick(8))
    });
    assert_eq!(told(&observed(&polls).changes()), "2:pending 4:firing 5:inactive 6:pending 8:firing");
}

#[test]
fn an_alert_met_firing_tells_when_it_became_pending() {
    let prometheus = Prometheus::new("xxxxx", 2);
    let changes = observed(&[(prometheus.answer(4, 4), poll_after(4, 200))]).changes();
    assert_eq!(told(&changes), "0:pending 4:firing(2..4)");
    assert_eq!(changes[0].source, Source::Inferred);
}

#[test]
fn a_rule_that_errors_is_unhealthy_and_its_frozen_alerts_are_no_change_t24() {
    let history = history_of("..xxxeeee", 2);
    assert_eq!(told(&history.changes()), "2:pending 4:firing");
    let health = history.health_changes();
    assert_eq!((health.len(), health[0].health, health[0].error.as_str()), (1, Health::Error, "many-to-many"));
    assert_eq!(history.coverage(&key(), tick(0), poll_after(8, 500)).unwrap().failed, 4);
    let failures = history.failures(&key());
    assert_eq!(failures.len(), 4, "every evaluation, not the first alone: {failures:?}");
    assert!(failures.iter().all(|(_, error)| error == "many-to-many"));
}

#[test]
fn coverage_counts_what_should_have_been_seen_at_the_edges_too_t26() {
    let history = history_of("..........", 0);
    let whole = history.coverage(&key(), tick(0), poll_after(9, 900)).unwrap();
    assert_eq!((whole.seen, whole.missed()), (10, 0));
    let beyond = history.coverage(&key(), tick(-3), poll_after(13, 500)).unwrap();
    assert_eq!((beyond.seen, beyond.missed()), (10, 2 + 4));
    let nothing = history.coverage(&key(), tick(20), tick(25)).unwrap();
    assert_eq!((nothing.seen, nothing.missed(), nothing.first), (0, 4, None));
    assert_eq!(history.coverage(&RuleKey { index: 1, ..key() }, tick(0), tick(9)), None);
}

#[test]
fn a_rule_that_lost_its_evaluations_means_a_restart_t28() {
    let prometheus = Prometheus::new("....xxxx", 0);
    let mut polls = prometheus.polls();
    for at in [poll_after(4, 100), poll_after(4, 150)] {
        let mut groups = prometheus.answer(4, 4);
        groups[0].rules[0].last_evaluation = None;
        polls.push((groups, at));
    }
    let mut before = prometheus.answer(0, 0);
    before[0].rules[0].last_evaluation = None;
    polls.push((before, poll_after(-1, 0)));
    assert_eq!(observed(&polls).restarts(), [poll_after(4, 100)]);
}

#[test]
fn an_alert_restored_after_a_restart_is_not_older_than_what_was_seen() {
    let prometheus = Prometheus::new("....xxxx", 0);
    let mut polls = prometheus.polls();
    for (groups, _) in &mut polls {
        for alert in &mut groups[0].rules[0].alerts {
            alert.active_at = Some(Stamp(tick(-50).0 + INTERVAL / 2));
        }
    }
    let changes = observed(&polls).changes();
    assert_eq!(told(&changes), "4:firing");
    assert_eq!(changes[0].evaluated, Stamp(tick(4).0 + DELAY), "its begin lies on no grid, so the wall time stands");
}

fn series(state: &str, instance: &str, ticks: &[i64]) -> Series {
    let mut labels = labels(instance);
    labels.insert("__name__".to_owned(), "ALERTS".to_owned());
    labels.insert("alertstate".to_owned(), state.to_owned());
    // Samples carry milliseconds.
    let points = ticks.iter().map(|n| Point { at: Stamp(tick(*n).0 / 1000 * 1000), value: 1.0 }).collect();
    Series { labels, points }
}

#[test]
fn a_fire_and_resolve_between_two_polls_is_found_in_the_series_t25() {
    let mut polls = Prometheus::new("..xxxx....", 2).polls();
    polls.retain(|(groups, _)| {
        let began = groups[0].last_evaluation.unwrap();
        !(tick(2) < began && began < tick(8))
    });
    let mut history = observed(&polls);
    assert_eq!(told(&history.changes()), "");
    let alerts = [series("pending", "a", &[2, 3]), series("firing", "a", &[4, 5])];
    let found = history.merge_series(&alerts, &[]);
    assert_eq!(told(&found), "2:pending 4:firing 8:inactive(6..8)");
    assert!(found[..2].iter().all(|change| change.source == Source::Series));
    assert_eq!(history.merge_series(&alerts, &[]), [], "merging again brings nothing new");
    assert_eq!(history.coverage(&key(), tick(0), tick(9)).unwrap().missed(), 2);
}

#[test]
fn two_alerts_in_the_series_are_told_apart_by_when_they_began_t25() {
    let mut polls = Prometheus::new(".xx.xx....", 0).polls();
    polls.retain(|(groups, _)| {
        let began = groups[0].last_evaluation.unwrap();
        !(tick(1) < began && began < tick(8))
    });
    let alerts = [series("firing", "a", &[1, 2, 4, 5])];
    let mut untold = observed(&polls);
    assert_eq!(
        told(&untold.merge_series(&alerts, &[])),
        "1:firing 8:inactive(6..8)",
        "a lost evaluation would look alike"
    );
    let mut for_state = series("firing", "a", &[1, 2, 4, 5]);
    for_state.labels.remove("alertstate");
    for (point, began) in for_state.points.iter_mut().zip([1, 1, 4, 4]) {
        point.value = tick(began).as_seconds().floor();
    }
    let mut history = observed(&polls);
    assert_eq!(told(&history.merge_series(&alerts, &[for_state])), "1:firing 3:inactive 4:firing 8:inactive(6..8)");
}

#[test]
fn the_series_never_contradict_what_was_polled_t23() {
    let polls = Prometheus::new("xxxxx....", 2).polls();
    let mut history = observed(&polls);
    let before = history.changes();
    // Absent for the first two evaluations.
    assert_eq!(history.merge_series(&[series("firing", "a", &[2, 3, 4])], &[]), []);
    assert_eq!(history.changes(), before);
}

#[test]
fn series_of_two_rules_with_one_name_find_their_own() {
    let mut rules = Prometheus::new("....", 0).answer(3, 3);
    let mut critical = rules[0].rules[0].clone();
    critical.labels.insert("severity".to_owned(), "critical".to_owned());
    rules[0].rules[0].labels.insert("severity".to_owned(), "warning".to_owned());
    rules[0].rules.push(critical);
    let mut history = observed(&[(rules, poll_after(3, 100))]);
    let mut fired = series("firing", "a", &[2]);
    fired.labels.insert("severity".to_owned(), "critical".to_owned());
    assert_eq!(history.merge_series(&[fired], &[])[0].rule.index, 1);
    assert_eq!(history.alerting("Down").count(), 2);
}

/// Any polls of any history: how late each is, and which are lost.
fn polls() -> impl Strategy<Value = (Vec<(Vec<Group>, Stamp)>, Vec<usize>)> {
    let truth = prop::collection::vec(prop::sample::select(vec!['.', 'x', 'x', 'e']), 1..24);
    (truth, 0_i64..4, prop::collection::vec((0_i64..1900, any::<bool>()), 48)).prop_flat_map(
        |(truth, hold, chances)| {
            let prometheus = Prometheus { truth, hold };
            let all = prometheus.polls();
            let polls: Vec<_> = all
                .into_iter()
                .zip(chances)
                .filter(|(_, (_, kept))| *kept)
                .enumerate()
                .map(|(index, ((groups, at), (late, _)))| {
                    (groups, Stamp(at.0 + late * INTERVAL / 1000 + i64::try_from(index).unwrap()))
                })
                .collect();
            let most = polls.len() * 3;
            let order = prop::collection::vec(0..polls.len().max(1), most).prop_shuffle();
            (Just(polls), order)
        },
    )
}

proptest! {
    #[test]
    fn any_order_and_duplication_of_polls_gives_the_same_history((polls, order) in polls()) {
        let straight = observed(&polls);
        let mut shuffled = AlertHistory::new();
        for index in order.iter().copied().chain((0..polls.len()).rev()) {
            if let Some((groups, at)) = polls.get(index) {
                shuffled.observe(groups, *at);
            }
        }
        prop_assert_eq!(straight.changes(), shuffled.changes());
        prop_assert_eq!(straight.health_changes(), shuffled.health_changes());
        let (from, to) = (tick(0), tick(30));
        prop_assert_eq!(straight.coverage(&key(), from, to), shuffled.coverage(&key(), from, to));
    }

    #[test]
    fn with_every_evaluation_polled_the_history_is_exactly_prometheus_own(
        truth in prop::collection::vec(prop::sample::select(vec!['.', 'x', 'x', 'e']), 1..40),
        hold in 0_i64..4,
    ) {
        let prometheus = Prometheus { truth, hold };
        let mut state = State::Inactive;
        let mut expected = Vec::new();
        for n in 0..i64::try_from(prometheus.truth.len()).unwrap() {
            let next = prometheus.after(n).1.first().map_or(State::Inactive, |alert| alert.state.into());
            if next != state {
                expected.push((tick(n), next));
            }
            state = next;
        }
        let changes = observed(&prometheus.polls()).changes();
        prop_assert!(changes.iter().all(AlertChange::is_exact));
        let seen: Vec<_> = changes.iter().map(|change| (change.evaluated, change.to)).collect();
        prop_assert_eq!(seen, expected);
    }
}

/// The samples Prometheus writes for a rule: `ALERTS` by state, and `ALERTS_FOR_STATE`.
fn all_series(prometheus: &Prometheus) -> (Vec<Series>, Vec<Series>) {
    let (mut pending, mut firing) = (series("pending", "a", &[]), series("firing", "a", &[]));
    let mut for_state = series("", "a", &[]);
    for_state.labels.remove("alertstate");
    for n in 0..i64::try_from(prometheus.truth.len()).unwrap() {
        let Some(alert) = prometheus.after(n).1.pop() else { continue };
        let at = Stamp(tick(n).0 / 1000 * 1000);
        let state = if alert.state == AlertPhase::Pending { &mut pending } else { &mut firing };
        state.points.push(Point { at, value: 1.0 });
        for_state.points.push(Point { at, value: alert.active_at.unwrap().as_seconds().floor() });
    }
    (vec![pending, firing], vec![for_state])
}

proptest! {
    #[test]
    fn however_few_polls_the_series_complete_them_t25(
        truth in prop::collection::vec(prop::sample::select(vec!['.', '.', 'x', 'x']), 2..40),
        hold in 0_i64..4,
        kept in prop::collection::vec(prop::sample::select(vec![true, false, false]), 80),
    ) {
        let prometheus = Prometheus { truth, hold };
        let last = i64::try_from(prometheus.truth.len()).unwrap() - 1;
        let mut polls = prometheus.polls();
        let edges = [0, last].map(|n| Some(Stamp(tick(n).0 + DELAY)));
        let mut kept = kept.into_iter();
        polls.retain(|(groups, _)| kept.next().unwrap() || edges.contains(&groups[0].last_evaluation));
        let mut history = observed(&polls);
        let (alerts, for_state) = all_series(&prometheus);
        history.merge_series(&alerts, &for_state);
        let full = observed(&prometheus.polls()).changes();
        let found = history.changes();
        prop_assert_eq!(told_states(&found), told_states(&full), "{:?}", prometheus.truth);
        for (found, truth) in found.iter().zip(&full) {
            let within = found.earliest.0 - 1000 <= truth.evaluated.0 && truth.evaluated.0 <= found.latest.0 + 1000;
            prop_assert!(within, "{found:?} {truth:?}");
            prop_assert!(found.to == State::Inactive || found.evaluated.0.abs_diff(truth.evaluated.0) < 1000);
        }
    }
}

fn told_states(changes: &[AlertChange]) -> Vec<State> {
    changes.iter().map(|change| change.to).collect()
}
