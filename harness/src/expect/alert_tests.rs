//! Golden histories for the alert judge: a known verdict each, boundaries included.

use std::time::Duration;

use super::*;

const SECOND: i64 = 1_000_000;
const TIME: ScaledTime = ScaledTime { scale: 60.0 };

const fn at(seconds: i64) -> Stamp {
    Stamp(seconds * SECOND)
}

/// Inject at 100, proved at 101, gone at 120, watched until 140.
const WINDOW: Window = Window { start: at(100), effective: at(101), end: at(120), observed_until: at(140) };

fn spec() -> Alert {
    Alert {
        name: "A".into(),
        labels: Labels::from([("severity".into(), "critical".into())]),
        annotations: Labels::new(),
        fires_after: Some(Duration::from_secs(4)),
        fires_within: Some(Duration::from_secs(8)),
        resolves_within: Some(Duration::from_secs(6)),
        state: WantedState::Firing,
        bound: None,
    }
}

fn instance(changes: &[(i64, State)]) -> Instance {
    Instance {
        labels: Labels::from([("alertname".into(), "A".into()), ("severity".into(), "critical".into())]),
        annotations: Labels::new(),
        changes: changes
            .iter()
            .map(|(seconds, state)| Change { evaluated: at(*seconds), state: *state, value: Some(1.0) })
            .collect(),
    }
}

fn history(instances: Vec<Instance>) -> History {
    let coverage = Coverage::new(Duration::from_secs(1), (80..=160).map(at).collect());
    History { rules: 1, instances, coverage, errors: Vec::new() }
}

fn verdict(spec: &Alert, history: &History) -> Option<Reason> {
    judge(spec, Mode::Eventually, WINDOW, history, TIME).reason()
}

use State::{Firing, Inactive, Pending};

#[test]
fn an_alert_inside_its_promises_passes() {
    let outcome = judge(
        &spec(),
        Mode::Eventually,
        WINDOW,
        &history(vec![instance(&[(102, Pending), (106, Firing), (124, Inactive)])]),
        TIME,
    );
    assert!(outcome.is_passed(), "{outcome:?}");
    assert_eq!(outcome.evidence().stages.len(), 3);
}

#[test]
fn promises_hold_on_the_boundary_and_break_one_evaluation_beyond() {
    let fired = |second| verdict(&spec(), &history(vec![instance(&[(second, Firing), (124, Inactive)])]));
    assert_eq!(fired(103), Some(Reason::FiredEarly), "3 s after the inject call, promised 4");
    assert_eq!(fired(104), None);
    assert_eq!(fired(109), None, "8 s after the proof");
    assert_eq!(fired(110), Some(Reason::FiredLate));
    let resolved = |second| verdict(&spec(), &history(vec![instance(&[(106, Firing), (second, Inactive)])]));
    assert_eq!(resolved(126), None);
    assert_eq!(resolved(127), Some(Reason::ResolvedLate));
}

#[test]
fn an_alert_that_never_fires_fails_and_says_whether_it_was_pending_s13_s14() {
    assert_eq!(verdict(&spec(), &history(vec![])), Some(Reason::NeverFired));
    let outcome =
        judge(&spec(), Mode::Eventually, WINDOW, &history(vec![instance(&[(102, Pending), (121, Inactive)])]), TIME);
    assert_eq!(outcome.reason(), Some(Reason::NeverFired));
    assert!(outcome.evidence().summary.contains("pending"), "{outcome:?}");
}

#[test]
fn an_alert_that_never_resolves_fails_the_run() {
    assert_eq!(verdict(&spec(), &history(vec![instance(&[(106, Firing)])])), Some(Reason::NeverResolved));
}

#[test]
fn an_alert_that_is_on_before_the_fault_proves_nothing_s16_s17() {
    for state in [Pending, Firing] {
        let on = history(vec![instance(&[(90, state), (106, Firing), (124, Inactive)])]);
        assert_eq!(verdict(&spec(), &on), Some(Reason::FiringAtBaseline));
    }
}

#[test]
fn other_labels_are_named_s20() {
    let mut warning = instance(&[(106, Firing), (124, Inactive)]);
    warning.labels.insert("severity".into(), "warning".into());
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &history(vec![warning]), TIME);
    assert_eq!(outcome.reason(), Some(Reason::WrongLabels));
    assert!(outcome.evidence().summary.contains("\"warning\""), "{outcome:?}");
}

#[test]
fn a_rule_that_is_not_loaded_is_not_silence_s19() {
    let unloaded = History { rules: 0, ..history(vec![]) };
    assert_eq!(verdict(&spec(), &unloaded), Some(Reason::RuleNotLoaded));
    let silent = judge(&spec(), Mode::Never, WINDOW, &unloaded, TIME);
    assert_eq!(silent.reason(), Some(Reason::RuleNotLoaded));
}

#[test]
fn a_rule_in_error_decides_nothing_t24() {
    let broken = History { errors: vec![(at(110), "many-to-many".into())], ..history(vec![]) };
    let outcome = judge(&spec(), Mode::Never, WINDOW, &broken, TIME);
    assert_eq!(outcome.reason(), Some(Reason::RuleError));
    assert!(matches!(outcome, Outcome::Inconclusive(..)));
}

#[test]
fn silence_without_evaluations_is_inconclusive_t26_s24() {
    let mut unseen = history(vec![]);
    unseen.coverage.at.retain(|stamp| *stamp < at(105) || *stamp > at(112));
    let outcome = judge(&spec(), Mode::Never, WINDOW, &unseen, TIME);
    assert!(matches!(outcome, Outcome::Inconclusive(Reason::NoCoverage, _)), "{outcome:?}");
    assert!(judge(&spec(), Mode::Never, WINDOW, &history(vec![]), TIME).is_passed());
    let firing = judge(&spec(), Mode::Eventually, WINDOW, &unseen, TIME);
    assert!(matches!(firing, Outcome::Inconclusive(Reason::NoCoverage, _)), "not seen is not NEVER_FIRED");
}

#[test]
fn a_restart_of_prometheus_in_the_window_decides_nothing_t28_s25() {
    let mut restarted = history(vec![]);
    restarted.coverage.restarts = vec![at(110)];
    for mode in [Mode::Never, Mode::Eventually] {
        let outcome = judge(&spec(), mode, WINDOW, &restarted, TIME);
        assert!(matches!(outcome, Outcome::Inconclusive(Reason::PromRestart, _)), "{outcome:?}");
    }
    restarted.coverage.restarts = vec![at(60)];
    assert!(judge(&spec(), Mode::Never, WINDOW, &restarted, TIME).is_passed(), "before the window it does not matter");
}

#[test]
fn an_alert_that_must_not_fire_and_does_fails() {
    let loud = history(vec![instance(&[(105, Pending), (109, Firing), (115, Inactive)])]);
    assert_eq!(judge(&spec(), Mode::Never, WINDOW, &loud, TIME).reason(), Some(Reason::UnexpectedAlert));
    let pending_only = history(vec![instance(&[(105, Pending), (107, Inactive)])]);
    assert!(judge(&spec(), Mode::Never, WINDOW, &pending_only, TIME).is_passed(), "pending is not firing");
}

#[test]
fn a_broken_template_is_found_s21() {
    let mut broken = instance(&[(106, Firing), (124, Inactive)]);
    broken.annotations.insert("summary".into(), "<error expanding template: no such field>".into());
    assert_eq!(verdict(&spec(), &history(vec![broken])), Some(Reason::AnnotationError));
}

#[test]
fn a_mechanism_outside_its_configuration_is_inconclusive() {
    let bound = AlertBound {
        firing: super::super::Span { floor: Duration::from_secs(4), ceiling: Duration::from_secs(6) },
        pending_for: Duration::from_secs(4),
        evaluation: Duration::from_secs(1),
        ..AlertBound::default()
    };
    let mut spec = Alert { bound: Some(bound), ..spec() };
    let inside = history(vec![instance(&[(102, Pending), (106, Firing), (124, Inactive)])]);
    assert_eq!(verdict(&spec, &inside), None);
    let late = history(vec![instance(&[(104, Pending), (108, Firing), (124, Inactive)])]);
    assert_eq!(verdict(&spec, &late), Some(Reason::Timing));
    let hasty = history(vec![instance(&[(105, Pending), (106, Firing), (124, Inactive)])]);
    assert_eq!(verdict(&spec, &hasty), Some(Reason::Timing), "pending for 1 s where `for` is 4 s");
    spec.fires_within = Some(Duration::from_secs(5));
    assert_eq!(verdict(&spec, &late), Some(Reason::FiredLate), "a broken promise wins over the mechanism");
}

#[test]
fn an_alert_whose_labels_change_at_every_evaluation_never_fires_t29() {
    let one = |second: i64| {
        let mut one = instance(&[(second, Pending), (second + 1, Inactive)]);
        one.labels.insert("value".into(), second.to_string());
        one
    };
    let outcome = judge(&spec(), Mode::Eventually, WINDOW, &history((102..120).map(one).collect()), TIME);
    assert_eq!(outcome.reason(), Some(Reason::NeverFired));
    assert!(outcome.evidence().summary.contains("never long enough"), "{outcome:?}");
}
