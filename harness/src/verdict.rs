//! What makes a scenario and a run red: a pure fold over events. Fed by `run` at the end of a scenario and by every report,
//! also for a log that stops half-way, which is never a pass.

use std::collections::BTreeMap;

use crate::event::{Event, EventKind, ScenarioPlan, Verdict};
use crate::exit_code;
use crate::outcome::{Outcome, Reason};

/// A scenario's verdict and its reasons, the most important first; a pass has none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Judgement {
    /// The verdict.
    pub verdict: Verdict,
    /// Why, without repetition.
    pub reasons: Vec<Reason>,
}

#[derive(Default)]
struct Tally {
    plan: Option<ScenarioPlan>,
    outcomes: BTreeMap<String, Outcome>,
    found: Vec<(Verdict, Reason)>,
    skipped: Option<Reason>,
    finished: bool,
}

/// Judges a scenario from its own events (and those of the run that concern all: interrupts, leftovers).
#[must_use]
pub fn of_scenario<'a>(name: &str, events: impl IntoIterator<Item = &'a Event>) -> Judgement {
    let mut tally = Tally::default();
    for event in events {
        let own = event.scenario.as_deref() == Some(name);
        if own || event.scenario.is_none() {
            tally.take(&event.what, own);
        }
    }
    tally.judge()
}

/// Judges a whole log: each scenario by name, in the order of the run, and the exit code.
#[must_use]
pub fn of_run(events: &[Event]) -> (Vec<(String, Judgement)>, u8) {
    let names = events.iter().find_map(|event| match &event.what {
        EventKind::RunStarted { scenarios, .. } => Some(scenarios.clone()),
        _ => None,
    });
    let judged: Vec<(String, Judgement)> = names
        .unwrap_or_default()
        .into_iter()
        .map(|name| {
            let judgement = of_scenario(&name, events);
            let said_nothing = judgement.verdict == Verdict::Pass || judgement.reasons == [Reason::Vacuous];
            let complete = is_complete(&name, events) || !said_nothing;
            let cut = Judgement { verdict: Verdict::Interrupted, reasons: vec![Reason::Interrupted] };
            (name, if complete { judgement } else { cut })
        })
        .collect();
    let verdicts: Vec<Verdict> = judged.iter().map(|(_, judgement)| judgement.verdict).collect();
    let code = exit_code::of_suite(&verdicts);
    (judged, code)
}

/// Whether the scenario's last event was written; without it, nobody knows that everything was undone.
fn is_complete(name: &str, events: &[Event]) -> bool {
    let finished = |event: &&Event| matches!(event.what, EventKind::ScenarioFinished { .. });
    events.iter().filter(finished).any(|event| event.scenario.as_deref() == Some(name))
}

impl Tally {
    fn take(&mut self, what: &EventKind, own: bool) {
        match what {
            EventKind::ScenarioStarted(plan) => self.plan = Some(plan.clone()),
            EventKind::ScenarioSkipped { reason, .. } => self.skipped = Some(*reason),
            EventKind::ExpectationJudged { expectation, outcome } => {
                self.outcomes.insert(expectation.clone(), outcome.clone());
            }
            EventKind::StackFailed { reason, .. } => self.found.push((stack_verdict(*reason), *reason)),
            EventKind::FaultNotEffective { .. } => self.found.push((Verdict::Inconclusive, Reason::FaultNotEffective)),
            EventKind::FaultLost { .. } => self.found.push((Verdict::Inconclusive, Reason::FaultLost)),
            EventKind::FaultNotReverted { .. } => self.found.push((Verdict::Fail, Reason::NotRecovered)),
            EventKind::ComponentExited { .. } => self.found.push((Verdict::Inconclusive, Reason::ComponentExited)),
            EventKind::InterruptReceived { .. } if !self.finished => {
                self.found.push((Verdict::Interrupted, Reason::Interrupted));
            }
            EventKind::LeftBehind { .. } if own => self.found.push((Verdict::Leftovers, Reason::Leftovers)),
            EventKind::ScenarioFinished { verdict: Verdict::Bug, .. } => self.found.push((Verdict::Bug, Reason::Bug)),
            EventKind::ScenarioFinished { .. } => self.finished = true,
            _ => {}
        }
    }

    fn judge(mut self) -> Judgement {
        if let Some(reason) = self.skipped {
            return Judgement { verdict: Verdict::Skipped, reasons: vec![reason] };
        }
        for outcome in self.outcomes.values() {
            match outcome {
                Outcome::Inconclusive(Reason::Bug, _) => self.found.push((Verdict::Bug, Reason::Bug)),
                Outcome::Failed(reason, _) => self.found.push((Verdict::Fail, *reason)),
                Outcome::Inconclusive(reason, _) => self.found.push((Verdict::Inconclusive, *reason)),
                Outcome::Passed(_) | Outcome::Skipped(..) => {}
            }
        }
        let passed = self.outcomes.values().filter(|outcome| outcome.is_passed()).count();
        let planned = self.plan.as_ref().map_or(0, |plan| plan.expectations.len());
        if self.found.is_empty() && self.outcomes.len() < planned {
            self.found.push((Verdict::Interrupted, Reason::Interrupted));
        } else if self.found.is_empty() && passed == 0 {
            self.found.push((Verdict::Inconclusive, Reason::Vacuous));
        }
        let Some(worst) = self.found.iter().map(|(verdict, _)| *verdict).min_by_key(|verdict| rank(*verdict)) else {
            return Judgement { verdict: Verdict::Pass, reasons: Vec::new() };
        };
        self.found.sort_by_key(|(verdict, _)| rank(*verdict));
        let mut reasons = Vec::new();
        for (_, reason) in self.found {
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        Judgement { verdict: worst, reasons }
    }
}

/// Observability that is broken before any load is the service's failure, not the environment's.
const fn stack_verdict(reason: Reason) -> Verdict {
    match reason {
        Reason::TargetDown | Reason::TargetAbsent | Reason::RuleNotLoaded | Reason::RuleError => Verdict::Fail,
        Reason::InvalidScenario => Verdict::Invalid,
        Reason::NoCoverage | Reason::Unreachable | Reason::LoadNotAchieved => Verdict::Inconclusive,
        _ => Verdict::Environment,
    }
}

fn rank(verdict: Verdict) -> usize {
    const ORDER: [Verdict; 9] = [
        Verdict::Bug,
        Verdict::Interrupted,
        Verdict::Invalid,
        Verdict::Fail,
        Verdict::Environment,
        Verdict::Inconclusive,
        Verdict::Leftovers,
        Verdict::Skipped,
        Verdict::Pass,
    ];
    ORDER.iter().position(|other| *other == verdict).unwrap_or(ORDER.len())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::clock::Stamp;
    use crate::event::ExpectationPlan;
    use crate::outcome::Evidence;
    use crate::source::Location;

    fn events(kinds: Vec<EventKind>) -> Vec<Event> {
        let expectation = |id: &str| ExpectationPlan {
            id: id.into(),
            kind: "metric".into(),
            title: id.into(),
            during: "run".into(),
            location: Location::default(),
            source: String::new(),
        };
        let plan = ScenarioPlan {
            name: "s".into(),
            summary: String::new(),
            tags: vec![],
            file: "s.toml".into(),
            time_scale: 60.0,
            baseline: Duration::ZERO,
            recovery: Duration::ZERO,
            faults: vec![],
            expectations: vec![expectation("a"), expectation("b")],
            loads: BTreeMap::new(),
        };
        std::iter::once(EventKind::ScenarioStarted(plan))
            .chain(kinds)
            .zip(0..)
            .map(|(what, seq)| Event { seq, at: Stamp(0), scenario: Some("s".into()), what })
            .collect()
    }

    fn judged(id: &str, outcome: Outcome) -> EventKind {
        EventKind::ExpectationJudged { expectation: id.into(), outcome }
    }

    fn verdict(kinds: Vec<EventKind>) -> Verdict {
        of_scenario("s", &events(kinds)).verdict
    }

    fn passed(id: &str) -> EventKind {
        judged(id, Outcome::Passed(Evidence::new("fine")))
    }

    #[test]
    fn all_passed_is_a_pass() {
        assert_eq!(verdict(vec![passed("a"), passed("b")]), Verdict::Pass);
    }

    #[test]
    fn a_log_that_stops_half_way_is_never_a_pass() {
        assert_eq!(verdict(vec![]), Verdict::Interrupted);
        assert_eq!(verdict(vec![passed("a")]), Verdict::Interrupted);
    }

    #[test]
    fn nothing_checked_is_inconclusive() {
        let skipped = |id| judged(id, Outcome::Skipped(Reason::BaselineUnsteady, Evidence::default()));
        let judgement = of_scenario("s", &events(vec![skipped("a"), skipped("b")]));
        assert_eq!(judgement, Judgement { verdict: Verdict::Inconclusive, reasons: vec![Reason::Vacuous] });
    }

    #[test]
    fn a_failure_wins_over_what_could_not_be_decided_and_both_are_named() {
        let judgement = of_scenario(
            "s",
            &events(vec![
                judged("a", Outcome::Inconclusive(Reason::NoData, Evidence::default())),
                judged("b", Outcome::Failed(Reason::NeverFired, Evidence::default())),
            ]),
        );
        assert_eq!(judgement.verdict, Verdict::Fail);
        assert_eq!(judgement.reasons, [Reason::NeverFired, Reason::NoData]);
    }

    #[test]
    fn a_check_that_panicked_is_a_bug_whatever_else_held_c42() {
        let panicked = judged("a", Outcome::Inconclusive(Reason::Bug, Evidence::new("the check panicked")));
        assert_eq!(verdict(vec![panicked, passed("b")]), Verdict::Bug);
    }

    #[test]
    fn a_fault_without_effect_never_passes_s56() {
        let fault = EventKind::FaultNotEffective { fault: "f".into(), probe: "nothing".into() };
        assert_eq!(verdict(vec![passed("a"), passed("b"), fault]), Verdict::Inconclusive);
    }

    #[test]
    fn broken_observability_before_load_is_a_failure_and_a_missing_binary_is_not() {
        let stack = |reason| {
            vec![EventKind::StackFailed { component: None, reason, message: String::new(), last_lines: vec![] }]
        };
        assert_eq!(verdict(stack(Reason::TargetDown)), Verdict::Fail);
        assert_eq!(verdict(stack(Reason::Provider)), Verdict::Environment);
    }
}
