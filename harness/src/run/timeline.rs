//! The pure part of the orchestrator: what happened goes in, what to do comes out. No tokio, no clock, no I/O; the shell in
//! `drill.rs` performs the actions and reports back. Tested with hand-made times.

use std::collections::VecDeque;

use crate::clock::Stamp;
use crate::event::Phase;
use crate::plan::timeline::{FaultStep, Schedule};

/// What the shell reports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// Every component is ready, every gate is open.
    StackReady,
    /// The stack could not be brought up or broke beyond use.
    StackBroke,
    /// Load is at its rate and the windows are filled.
    Warm,
    /// The baseline was judged.
    BaselineJudged(Baseline),
    /// A fault was proved to bite.
    Proved(usize),
    /// A fault was injected and shows no effect, or could not be injected.
    NotEffective(usize),
    /// A fault is proved gone, or is as gone as it will get.
    Gone(usize),
    /// All load has ended.
    LoadStopped,
    /// All expectations are judged.
    Judged,
    /// The stack is down.
    TornDown,
    /// The run was asked to end.
    Interrupted,
    /// Time passed.
    Tick,
}

/// Whether the steady state held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Baseline {
    /// It held; faults may come.
    Steady,
    /// It did not; no fault is injected.
    Unsteady,
}

/// What the shell is to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// A phase begins.
    Enter(Phase),
    /// Start all load.
    StartLoad,
    /// Judge the expectations on the baseline.
    JudgeBaseline,
    /// Inject a fault, then probe that it bites.
    Inject(usize),
    /// Probe that a fault still bites.
    Probe(usize),
    /// Revert a fault, then probe that it is gone.
    Revert(usize),
    /// Stop all load and let requests in flight finish.
    StopLoad,
    /// Gather signals and judge.
    Judge,
    /// Stop and remove the stack.
    TearDown,
    /// Nothing is left to do.
    Finish,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum FaultState {
    Waiting,
    Injecting { since: Stamp },
    Active { since: Stamp, probed: Probed },
    Reverting,
    Gone,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Probed {
    Once,
    Midway,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Startup,
    WarmUp,
    Baseline { until: Stamp },
    JudgingBaseline,
    Drill { since: Stamp },
    Recovery { until: Stamp },
    Stopping,
    Judging,
    TearingDown,
    Finished,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ending {
    Planned,
    Judge,
    Abandon,
}

/// The state of a scenario on its way.
#[derive(Clone, Debug)]
pub struct Timeline {
    schedule: Schedule,
    state: State,
    faults: Vec<FaultState>,
    ending: Ending,
}

impl Timeline {
    /// A scenario whose stack is about to start.
    #[must_use]
    pub fn new(schedule: Schedule) -> Self {
        let faults = vec![FaultState::Waiting; schedule.faults.len()];
        Self { schedule, state: State::Startup, faults, ending: Ending::Planned }
    }

    /// Takes in what happened at `now` and says what to do, in order.
    pub fn handle(&mut self, message: &Message, now: Stamp) -> Vec<Action> {
        match message {
            Message::StackReady => self.stack_ready(),
            Message::StackBroke => self.end(Ending::Judge),
            Message::Interrupted => self.end(Ending::Abandon),
            Message::Warm => self.warm(now),
            Message::BaselineJudged(baseline) => self.baseline_judged(*baseline, now),
            Message::Proved(fault) => self.proved(*fault),
            Message::NotEffective(fault) => self.not_effective(*fault),
            Message::Gone(fault) => self.gone(*fault, now),
            Message::LoadStopped => self.load_stopped(),
            Message::Judged => self.judged(),
            Message::TornDown => self.torn_down(),
            Message::Tick => self.tick(now),
        }
    }

    /// When the timeline wants its next [`Message::Tick`]; none while it waits for something else.
    #[must_use]
    pub fn next_tick(&self) -> Option<Stamp> {
        match self.state {
            State::Baseline { until } | State::Recovery { until } => Some(until),
            State::Drill { since } => {
                self.faults.iter().zip(&self.schedule.faults).filter_map(|(state, step)| due(*state, step, since)).min()
            }
            _ => None,
        }
    }

    fn stack_ready(&mut self) -> Vec<Action> {
        if self.state != State::Startup {
            return Vec::new();
        }
        self.state = State::WarmUp;
        vec![Action::Enter(Phase::WarmUp), Action::StartLoad]
    }

    fn warm(&mut self, now: Stamp) -> Vec<Action> {
        if self.state != State::WarmUp {
            return Vec::new();
        }
        self.state = State::Baseline { until: now + self.schedule.baseline };
        vec![Action::Enter(Phase::Baseline)]
    }

    fn baseline_judged(&mut self, baseline: Baseline, now: Stamp) -> Vec<Action> {
        if self.state != State::JudgingBaseline {
            return Vec::new();
        }
        match baseline {
            Baseline::Unsteady => self.end(Ending::Judge),
            Baseline::Steady if self.schedule.faults.is_empty() => self.recover(now),
            Baseline::Steady => {
                self.state = State::Drill { since: now };
                let mut actions = vec![Action::Enter(Phase::Drill)];
                actions.extend(self.tick(now));
                actions
            }
        }
    }

    fn proved(&mut self, fault: usize) -> Vec<Action> {
        if let FaultState::Injecting { since } = self.faults[fault] {
            self.faults[fault] = FaultState::Active { since, probed: Probed::Once };
        }
        Vec::new()
    }

    fn not_effective(&mut self, fault: usize) -> Vec<Action> {
        if let FaultState::Injecting { since } = self.faults[fault] {
            self.faults[fault] = FaultState::Active { since, probed: Probed::Midway };
        }
        self.end(Ending::Judge)
    }

    fn gone(&mut self, fault: usize, now: Stamp) -> Vec<Action> {
        self.faults[fault] = FaultState::Gone;
        let all_gone = self.faults.iter().all(|state| *state == FaultState::Gone);
        match self.state {
            State::Drill { .. } if all_gone => self.recover(now),
            State::Stopping if !self.any_active() => vec![Action::StopLoad],
            _ => Vec::new(),
        }
    }

    fn recover(&mut self, now: Stamp) -> Vec<Action> {
        self.state = State::Recovery { until: now + self.schedule.recovery };
        let mut actions = vec![Action::Enter(Phase::Recovery)];
        actions.extend(self.tick(now));
        actions
    }

    fn load_stopped(&mut self) -> Vec<Action> {
        if self.state != State::Stopping {
            return Vec::new();
        }
        if self.ending == Ending::Abandon {
            return self.tear_down();
        }
        self.state = State::Judging;
        vec![Action::Judge]
    }

    fn judged(&mut self) -> Vec<Action> {
        if self.state == State::Judging { self.tear_down() } else { Vec::new() }
    }

    fn tear_down(&mut self) -> Vec<Action> {
        self.state = State::TearingDown;
        vec![Action::Enter(Phase::Teardown), Action::TearDown]
    }

    fn torn_down(&mut self) -> Vec<Action> {
        if self.state != State::TearingDown {
            return Vec::new();
        }
        self.state = State::Finished;
        vec![Action::Finish]
    }

    fn tick(&mut self, now: Stamp) -> Vec<Action> {
        match self.state {
            State::Baseline { until } if now >= until => {
                self.state = State::JudgingBaseline;
                vec![Action::JudgeBaseline]
            }
            State::Drill { since } => self.drill(since, now),
            State::Recovery { until } if now >= until => self.end(Ending::Planned),
            _ => Vec::new(),
        }
    }

    fn drill(&mut self, since: Stamp, now: Stamp) -> Vec<Action> {
        let mut actions = Vec::new();
        for index in 0..self.faults.len() {
            let step = &self.schedule.faults[index];
            if due(self.faults[index], step, since).is_none_or(|at| at > now) {
                continue;
            }
            match self.faults[index] {
                FaultState::Waiting => {
                    self.faults[index] = FaultState::Injecting { since: now };
                    actions.push(Action::Inject(index));
                }
                FaultState::Active { since, probed: Probed::Once } => {
                    self.faults[index] = FaultState::Active { since, probed: Probed::Midway };
                    actions.push(Action::Probe(index));
                }
                FaultState::Active { .. } => {
                    self.faults[index] = FaultState::Reverting;
                    actions.push(Action::Revert(index));
                }
                FaultState::Injecting { .. } | FaultState::Reverting | FaultState::Gone => {}
            }
        }
        actions
    }

    fn any_active(&self) -> bool {
        self.faults.iter().any(|state| !matches!(state, FaultState::Waiting | FaultState::Gone))
    }

    /// Undoes active faults first, then stops the load; what follows depends on the ending.
    fn end(&mut self, ending: Ending) -> Vec<Action> {
        match self.state {
            State::Finished | State::TearingDown => return Vec::new(),
            State::Stopping | State::Judging => {
                let was_judging = self.state == State::Judging;
                self.ending = if ending == Ending::Abandon { ending } else { self.ending };
                return if was_judging && ending == Ending::Abandon { self.tear_down() } else { Vec::new() };
            }
            _ => {}
        }
        self.state = State::Stopping;
        self.ending = ending;
        let mut actions = VecDeque::from([Action::Enter(Phase::Collection)]);
        for index in 0..self.faults.len() {
            match self.faults[index] {
                FaultState::Injecting { .. } | FaultState::Active { .. } => {
                    self.faults[index] = FaultState::Reverting;
                    actions.push_back(Action::Revert(index));
                }
                FaultState::Waiting | FaultState::Reverting | FaultState::Gone => {}
            }
        }
        if !self.any_active() {
            actions.push_back(Action::StopLoad);
        }
        actions.into()
    }
}

/// When something is due for a fault: the injection, the probe half-way, the revert.
fn due(state: FaultState, step: &FaultStep, drill: Stamp) -> Option<Stamp> {
    match state {
        FaultState::Waiting => Some(drill + step.at),
        FaultState::Active { since, probed: Probed::Once } => Some(since + step.lasts / 2),
        FaultState::Active { since, probed: Probed::Midway } => Some(since + step.lasts),
        FaultState::Injecting { .. } | FaultState::Reverting | FaultState::Gone => None,
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    const fn at(seconds: i64) -> Stamp {
        Stamp(seconds * 1_000_000)
    }

    fn one_fault() -> Timeline {
        let fault = FaultStep { id: "f".into(), at: Duration::from_secs(2), lasts: Duration::from_secs(10) };
        Timeline::new(Schedule {
            baseline: Duration::from_secs(5),
            recovery: Duration::from_secs(4),
            faults: vec![fault],
        })
    }

    fn in_drill() -> Timeline {
        let mut timeline = one_fault();
        timeline.handle(&Message::StackReady, at(0));
        timeline.handle(&Message::Warm, at(1));
        assert_eq!(timeline.handle(&Message::Tick, at(6)), [Action::JudgeBaseline]);
        let actions = timeline.handle(&Message::BaselineJudged(Baseline::Steady), at(6));
        assert_eq!(actions, [Action::Enter(Phase::Drill)]);
        timeline
    }

    #[test]
    fn a_scenario_runs_through_its_phases_in_order() {
        let mut timeline = in_drill();
        assert_eq!(timeline.next_tick(), Some(at(8)));
        assert_eq!(timeline.handle(&Message::Tick, at(8)), [Action::Inject(0)]);
        assert_eq!(timeline.handle(&Message::Proved(0), at(9)), []);
        assert_eq!(timeline.handle(&Message::Tick, at(13)), [Action::Probe(0)]);
        assert_eq!(timeline.next_tick(), Some(at(18)), "the revert is due from the inject call");
        assert_eq!(timeline.handle(&Message::Tick, at(18)), [Action::Revert(0)]);
        assert_eq!(timeline.handle(&Message::Gone(0), at(19)), [Action::Enter(Phase::Recovery)]);
        assert_eq!(
            timeline.handle(&Message::Tick, at(23)),
            [Action::Enter(Phase::Collection), Action::StopLoad],
            "recovery counts from the fault proved gone"
        );
        assert_eq!(timeline.handle(&Message::LoadStopped, at(24)), [Action::Judge]);
        assert_eq!(timeline.handle(&Message::Judged, at(25)), [Action::Enter(Phase::Teardown), Action::TearDown]);
        assert_eq!(timeline.handle(&Message::TornDown, at(26)), [Action::Finish]);
    }

    #[test]
    fn an_unsteady_baseline_injects_nothing() {
        let mut timeline = one_fault();
        timeline.handle(&Message::StackReady, at(0));
        timeline.handle(&Message::Warm, at(1));
        timeline.handle(&Message::Tick, at(6));
        let actions = timeline.handle(&Message::BaselineJudged(Baseline::Unsteady), at(6));
        assert_eq!(actions, [Action::Enter(Phase::Collection), Action::StopLoad]);
    }

    #[test]
    fn an_interrupt_reverts_before_it_stops_the_load_and_judges_nothing() {
        let mut timeline = in_drill();
        timeline.handle(&Message::Tick, at(8));
        timeline.handle(&Message::Proved(0), at(9));
        let actions = timeline.handle(&Message::Interrupted, at(10));
        assert_eq!(actions, [Action::Enter(Phase::Collection), Action::Revert(0)]);
        assert_eq!(timeline.handle(&Message::Gone(0), at(11)), [Action::StopLoad]);
        assert_eq!(timeline.handle(&Message::LoadStopped, at(12)), [Action::Enter(Phase::Teardown), Action::TearDown]);
    }

    #[test]
    fn an_interrupt_while_a_fault_is_being_injected_waits_for_its_revert() {
        let mut timeline = in_drill();
        timeline.handle(&Message::Tick, at(8));
        let actions = timeline.handle(&Message::Interrupted, at(8));
        assert_eq!(actions, [Action::Enter(Phase::Collection), Action::Revert(0)]);
        assert_eq!(timeline.handle(&Message::Proved(0), at(9)), [], "a late proof changes nothing");
    }

    #[test]
    fn a_fault_without_effect_is_reverted_and_ends_the_drill() {
        let mut timeline = in_drill();
        timeline.handle(&Message::Tick, at(8));
        let actions = timeline.handle(&Message::NotEffective(0), at(10));
        assert_eq!(actions, [Action::Enter(Phase::Collection), Action::Revert(0)]);
        assert_eq!(timeline.handle(&Message::Gone(0), at(11)), [Action::StopLoad]);
        assert_eq!(timeline.handle(&Message::LoadStopped, at(12)), [Action::Judge], "what was seen is still judged");
    }

    #[test]
    fn a_scenario_without_faults_goes_from_baseline_to_recovery() {
        let mut timeline =
            Timeline::new(Schedule { baseline: Duration::from_secs(5), recovery: Duration::ZERO, faults: vec![] });
        timeline.handle(&Message::StackReady, at(0));
        timeline.handle(&Message::Warm, at(1));
        timeline.handle(&Message::Tick, at(6));
        let actions = timeline.handle(&Message::BaselineJudged(Baseline::Steady), at(6));
        assert_eq!(actions, [Action::Enter(Phase::Recovery), Action::Enter(Phase::Collection), Action::StopLoad]);
    }

    #[test]
    fn a_stack_that_breaks_during_start_up_is_torn_down() {
        let mut timeline = one_fault();
        let actions = timeline.handle(&Message::StackBroke, at(0));
        assert_eq!(actions, [Action::Enter(Phase::Collection), Action::StopLoad]);
        assert_eq!(timeline.handle(&Message::Interrupted, at(1)), []);
        assert_eq!(timeline.handle(&Message::LoadStopped, at(1)), [Action::Enter(Phase::Teardown), Action::TearDown]);
    }
}
