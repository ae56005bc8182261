//! The control: a scenario without its faults. What is stated as an effect of a fault must not hold then, else the scenario
//! would pass whatever the fault did. Pure; read by the drill when it judges.

use crate::expect::dashboard::Shows;
use crate::expect::{Expectation, Health, Mode, Resolved, WantedState};
use crate::outcome::{Evidence, Outcome, Reason};
use crate::plan::build::{During, Plan, Step};

/// What an expectation says of the fault it is judged beside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// That something happens because of it.
    Effect,
    /// That something stays as it is in spite of it.
    Guard,
    /// Nothing: its window is none of a fault's.
    Elsewhere,
}

/// The role of an expectation, by its form alone: on a fault's window everything is an effect but what says that something
/// stays. That is `never` and `throughout`; agreement, series, a panel that has data; an objective or a count that nothing
/// at all would meet as well; a target that is up; an alert that is inactive; a heartbeat that goes on.
#[must_use]
pub fn role(step: &Step) -> Role {
    if !matches!(step.during, During::All(_) | During::Any(_)) {
        return Role::Elsewhere;
    }
    let stays = match &step.what {
        _ if step.mode != Mode::Eventually => true,
        Expectation::Agreement(_) | Expectation::NoOtherAlert(_) | Expectation::Always(_) => true,
        Expectation::Series(_) | Expectation::Managed(_) => true,
        Expectation::Dashboard(it) => it.shows == Shows::Data,
        Expectation::Load(it) => {
            let mut latencies = it.latency.values();
            it.errors.as_ref().is_none_or(|errors| errors.holds(0.0)) && latencies.all(|bound| bound.holds(0.0))
        }
        Expectation::Target(it) => it.health == Health::Up,
        Expectation::Alert(it) => it.state == WantedState::Inactive,
        Expectation::Notification(it) => {
            it.resolved == Resolved::Unasked && it.count.as_ref().is_some_and(|count| count.holds(0.0))
        }
        Expectation::Log(it) => it.count.as_ref().is_some_and(|count| count.holds(0.0)),
        Expectation::Heartbeat(it) => it.missed_within.is_none(),
        Expectation::Metric(_) | Expectation::Suppression(_) => false,
    };
    if stays { Role::Guard } else { Role::Effect }
}

/// Why a control of a plan would say nothing, if it would.
#[must_use]
pub fn pointless(plan: &Plan) -> Option<&'static str> {
    if plan.faults.is_empty() {
        return Some("it has no fault to leave out");
    }
    let effects = plan.expectations.iter().any(|step| role(step) == Role::Effect);
    (!effects).then_some("nothing in it is stated as an effect of a fault")
}

/// What an outcome means in a control. Outside the faults' windows what was seen and is not as stated is the drill's, whether
/// it is another value or none at all: recovery may ask for what only the fault has made.
#[must_use]
pub fn read(step: &Step, outcome: Outcome) -> Outcome {
    match (role(step), outcome) {
        (Role::Effect, outcome) => effect(outcome),
        (_, outcome @ Outcome::Passed(_)) => outcome,
        (Role::Elsewhere, Outcome::Inconclusive(reason, evidence)) if !found_nothing(reason) => {
            Outcome::Inconclusive(reason, evidence)
        }
        (Role::Elsewhere, outcome @ Outcome::Skipped(..)) => outcome,
        (Role::Guard | Role::Elsewhere, outcome) => left_to_the_drill(&outcome),
    }
}

fn effect(outcome: Outcome) -> Outcome {
    let retold = |evidence: Evidence, begin: String| {
        let summary = format!("{begin}: {}", evidence.summary);
        Evidence { summary, ..evidence }
    };
    match outcome {
        Outcome::Passed(evidence) => {
            Outcome::Failed(Reason::ProvesNothing, retold(evidence, "holds without the fault".to_owned()))
        }
        Outcome::Failed(reason, evidence) => Outcome::Passed(retold(evidence, format!("without the fault {reason}"))),
        Outcome::Inconclusive(reason, evidence) if found_nothing(reason) => {
            Outcome::Passed(retold(evidence, format!("without the fault {reason}")))
        }
        other => other,
    }
}

/// Whether somebody looked and there was nothing to be seen. Every other doubt is one about the looking: a control that saw
/// nothing shows nothing.
const fn found_nothing(reason: Reason) -> bool {
    matches!(reason, Reason::NoData | Reason::NotANumber)
}

fn left_to_the_drill(outcome: &Outcome) -> Outcome {
    let code = outcome.reason().map_or("", Reason::code);
    let summary = format!("left to the drill; without the fault {code}: {}", outcome.evidence().summary);
    Outcome::Skipped(Reason::LeftToDrill, Evidence { summary, ..outcome.evidence().clone() })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::condition::Condition;
    use crate::expect::{Alert, Labels, Log, LogAnswer, Objective, Target};
    use crate::source::Location;

    fn step(during: During, mode: Mode, what: Expectation) -> Step {
        Step {
            id: "x-1".into(),
            title: "x".into(),
            during,
            mode,
            within: None,
            what,
            location: Location::default(),
            source: String::new(),
        }
    }

    fn on_fault(mode: Mode, what: Expectation) -> Step {
        step(During::All(vec!["f".into()]), mode, what)
    }

    fn alert(state: WantedState) -> Expectation {
        Expectation::Alert(Alert {
            name: "A".into(),
            labels: Labels::new(),
            annotations: Labels::new(),
            fires_after: None,
            fires_within: None,
            resolves_within: None,
            state,
            bound: None,
        })
    }

    fn errors(condition: &str) -> Expectation {
        Expectation::Load(Objective {
            load: "l".into(),
            request: None,
            latency: BTreeMap::new(),
            errors: Some(Condition::parse(condition).unwrap()),
            achieved: Some(Condition::parse(">= 99%").unwrap()),
        })
    }

    fn log(count: Option<&str>) -> Expectation {
        Expectation::Log(Log {
            query: "{a=\"b\"}".into(),
            answer: LogAnswer::Lines,
            count: count.map(|text| Condition::parse(text).unwrap()),
            value: None,
            fields: vec![],
        })
    }

    #[test]
    fn effects_and_guards_are_told_apart_by_their_form() {
        let target = |health| Expectation::Target(Target { job: "j".into(), health });
        for (what, role_of) in [
            (alert(WantedState::Firing), Role::Effect),
            (alert(WantedState::Inactive), Role::Guard),
            (errors("> 90%"), Role::Effect),
            (errors("< 0.1%"), Role::Guard),
            (log(None), Role::Effect),
            (log(Some(">= 50")), Role::Effect),
            (log(Some("== 0")), Role::Guard),
            (target(Health::Down), Role::Effect),
            (target(Health::Up), Role::Guard),
        ] {
            assert_eq!(role(&on_fault(Mode::Eventually, what.clone())), role_of, "{what:?}");
            assert_eq!(role(&on_fault(Mode::Never, what.clone())), Role::Guard);
            assert_eq!(role(&on_fault(Mode::Throughout, what.clone())), Role::Guard);
            assert_eq!(role(&step(During::Run, Mode::Eventually, what)), Role::Elsewhere);
        }
    }

    fn read_effect(outcome: Outcome) -> Outcome {
        read(&on_fault(Mode::Eventually, alert(WantedState::Firing)), outcome)
    }

    #[test]
    fn an_effect_that_holds_without_its_fault_proves_nothing() {
        let outcome = read_effect(Outcome::Passed(Evidence::new("fired")));
        assert_eq!(outcome.reason(), Some(Reason::ProvesNothing));
        assert_eq!(outcome.evidence().summary, "holds without the fault: fired");
        assert!(read_effect(Outcome::Failed(Reason::NeverFired, Evidence::new("x"))).is_passed());
        assert!(read_effect(Outcome::Inconclusive(Reason::NoData, Evidence::new("x"))).is_passed());
    }

    #[test]
    fn a_control_that_saw_nothing_shows_nothing() {
        let doubts = [
            Reason::NoCoverage,
            Reason::Unreachable,
            Reason::PromRestart,
            Reason::LoadNotAchieved,
            Reason::RuleError,
            Reason::Timing,
            Reason::Bug,
        ];
        for reason in doubts {
            let outcome = read_effect(Outcome::Inconclusive(reason, Evidence::new("x")));
            assert!(matches!(outcome, Outcome::Inconclusive(same, _) if same == reason));
        }
    }

    #[test]
    fn guards_and_other_windows_never_fail_a_control() {
        let guard = on_fault(Mode::Never, alert(WantedState::Firing));
        let elsewhere = step(During::Recovery, Mode::Eventually, alert(WantedState::Firing));
        for step in [guard, elsewhere] {
            let failed = read(&step, Outcome::Failed(Reason::NeverFired, Evidence::new("x")));
            assert_eq!(failed.reason(), Some(Reason::LeftToDrill));
            assert!(matches!(failed, Outcome::Skipped(..)));
            assert!(read(&step, Outcome::Passed(Evidence::new("x"))).is_passed());
        }
    }

    #[test]
    fn what_recovery_asks_for_and_only_the_fault_makes_is_left_to_the_drill() {
        let recovery = step(During::Recovery, Mode::Eventually, alert(WantedState::Firing));
        let nothing = read(&recovery, Outcome::Inconclusive(Reason::NoData, Evidence::new("x")));
        assert_eq!(nothing.reason(), Some(Reason::LeftToDrill));
        let blind = read(&recovery, Outcome::Inconclusive(Reason::Unreachable, Evidence::new("x")));
        assert!(matches!(blind, Outcome::Inconclusive(Reason::Unreachable, _)));
    }
}
