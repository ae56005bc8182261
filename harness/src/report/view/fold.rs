//! From events to a view: one pass, no clock, no files.

use std::collections::BTreeMap;

use indexmap::IndexMap;

use super::lane::{Change, intervals};
use super::{
    Component, Config, Ending, Expectation, Fault, Finding, Lane, Life, Load, Ready, Run, Scenario, Span, Trouble, View,
};
use crate::clock::Stamp;
use crate::event::{Event, EventKind, ExpectationPlan, FaultPlan, ScenarioPlan, Verdict};
use crate::outcome::{Outcome, Reason};
use crate::report::clean;
use crate::source::Location;
use crate::verdict::{self, Judgement};

/// The view of a log; texts are cleaned of secrets and of characters that act.
#[must_use]
pub fn of(events: &[Event]) -> View {
    let events = clean::events(events);
    let (judged, code) = verdict::of_run(&events);
    let mut view = empty(&events);
    let mut lanes: Vec<Lanes> = Vec::new();
    view.scenarios = judged.into_iter().map(|(name, judgement)| scenario(name, judgement)).collect();
    lanes.resize_with(view.scenarios.len(), Lanes::new);
    for event in &events {
        view.run.ended = view.run.ended.max(event.at);
        match &event.scenario {
            None => view.take(event),
            Some(name) => {
                if let Some(index) = view.scenarios.iter().position(|scenario| scenario.name == *name) {
                    view.scenarios[index].take(event, &mut lanes[index]);
                }
            }
        }
    }
    let ending = view.ending;
    let signal = view.signal.clone();
    for (scenario, lanes) in view.scenarios.iter_mut().zip(lanes) {
        scenario.finish(lanes, ending, signal.as_deref());
    }
    view.conclude(code);
    view
}

type Lanes = IndexMap<(String, BTreeMap<String, String>), Vec<Change>>;

fn empty(events: &[Event]) -> View {
    let began = events.first().map(|event| event.at).unwrap_or_default();
    View {
        run: Run { began, ended: began, time_scale: 1.0, ..Run::default() },
        scenarios: Vec::new(),
        verdict: Verdict::Interrupted,
        exit_code: Verdict::Interrupted.exit_code(),
        ending: Ending::Incomplete,
        warnings: Vec::new(),
        leftovers: Vec::new(),
        signal: None,
    }
}

impl View {
    fn take(&mut self, event: &Event) {
        match &event.what {
            EventKind::RunStarted { run, harness, time_scale, provider, provider_because, machine, .. } => {
                self.run = Run {
                    id: run.clone(),
                    harness: harness.clone(),
                    time_scale: *time_scale,
                    provider: provider.clone(),
                    provider_because: provider_because.clone(),
                    machine: machine.clone(),
                    ..self.run.clone()
                };
            }
            EventKind::Warned { message } => self.warnings.push(message.clone()),
            EventKind::LeftBehind { resource, message } => self.leftovers.push((resource.clone(), message.clone())),
            EventKind::InterruptReceived { signal } => self.signal = Some(signal.clone()),
            EventKind::RunFinished { exit_code } => {
                self.ending = Ending::Complete;
                self.exit_code = *exit_code;
            }
            _ => {}
        }
    }

    /// The exit code the run ended with counts; a log without an end is never a pass.
    fn conclude(&mut self, judged: u8) {
        if self.ending == Ending::Incomplete {
            self.exit_code = if judged == 0 { Verdict::Interrupted.exit_code() } else { judged };
        }
        self.verdict = verdict_of(self.exit_code);
    }
}

/// The verdict that has this exit code; an unknown code is a bug.
fn verdict_of(exit_code: u8) -> Verdict {
    const ALL: [Verdict; 8] = [
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Invalid,
        Verdict::Inconclusive,
        Verdict::Environment,
        Verdict::Leftovers,
        Verdict::Bug,
        Verdict::Interrupted,
    ];
    ALL.into_iter().find(|verdict| verdict.exit_code() == exit_code).unwrap_or(Verdict::Bug)
}

fn scenario(name: String, judgement: Judgement) -> Scenario {
    Scenario {
        name,
        plan: None,
        judgement,
        ending: Ending::Incomplete,
        began: None,
        ended: Stamp::default(),
        phases: Vec::new(),
        components: Vec::new(),
        ready: None,
        expectations: Vec::new(),
        faults: Vec::new(),
        loads: Vec::new(),
        alerts: Vec::new(),
        rules: Vec::new(),
        reachability: Vec::new(),
        notifications: Vec::new(),
        configs: Vec::new(),
        caveats: Vec::new(),
        warnings: Vec::new(),
        troubles: Vec::new(),
        skipped: None,
    }
}

impl Scenario {
    fn take(&mut self, event: &Event, lanes: &mut Lanes) {
        self.began.get_or_insert(event.at);
        self.ended = self.ended.max(event.at);
        match &event.what {
            EventKind::ScenarioStarted(plan) => self.begin(plan, event.at),
            EventKind::PhaseStarted { phase } => {
                if let Some(last) = self.phases.last_mut() {
                    last.end = event.at;
                }
                self.phases.push(Span { phase: *phase, begin: event.at, end: event.at });
            }
            EventKind::LoadSampled(sample) => self.load(&sample.load).samples.push(sample.clone()),
            EventKind::LoadFinished(totals) => self.load(&totals.load).totals = Some(totals.clone()),
            EventKind::AlertChanged { alert, labels, state, evaluated, value } => {
                let change = Change { state: *state, evaluated: *evaluated, value: *value };
                lanes.entry((alert.clone(), labels.clone())).or_default().push(change);
            }
            EventKind::RuleHealthChanged { rule, health, error } => {
                self.rules.push((event.at, rule.clone(), health.clone(), error.clone()));
            }
            EventKind::NotificationReceived(notification) => self.notifications.push(notification.clone()),
            EventKind::ServerReachability { component, message, .. } => {
                self.reachability.push((event.at, component.clone(), message.clone()));
            }
            EventKind::ExpectationJudged { expectation, outcome } => self.judged(expectation, outcome),
            EventKind::ConfigRewritten { file, copy, diff } => {
                self.configs.push(Config { file: file.clone(), copy: copy.clone(), diff: diff.clone() });
            }
            EventKind::CaveatNoted { message } => self.caveats.push(message.clone()),
            EventKind::ComponentChanged { component, change, detail } => {
                self.component(component).life.changes.push((event.at, *change, detail.clone()));
            }
            EventKind::Warned { message } => self.warnings.push(message.clone()),
            other => {
                self.take_component(other);
                self.take_fault(other, event.at);
                self.take_trouble(other);
            }
        }
    }

    fn begin(&mut self, plan: &ScenarioPlan, at: Stamp) {
        self.began = Some(at);
        let fresh = |plan: &ExpectationPlan| Expectation { plan: plan.clone(), outcome: None };
        self.expectations = plan.expectations.iter().map(fresh).collect();
        self.faults = plan.faults.iter().cloned().map(Fault::planned).collect();
        for name in plan.loads.keys() {
            self.load(name);
        }
        for load in &mut self.loads {
            load.description = plan.loads.get(&load.name).cloned().unwrap_or_default();
        }
        self.plan = Some(plan.clone());
    }

    fn take_component(&mut self, what: &EventKind) {
        match what {
            EventKind::ComponentStarted { component, version, source, addresses } => {
                let known = self.component(component);
                known.version.clone_from(version);
                known.source.clone_from(source);
                known.addresses.clone_from(addresses);
            }
            EventKind::ComponentReady { component, took } => {
                self.component(component).took.get_or_insert(*took);
            }
            EventKind::StackReady { .. } => self.ready = Ready::of(what),
            EventKind::ComponentsSampled { components } => {
                for (name, sample) in components {
                    self.component(name).life.sampled(sample);
                }
            }
            _ => {}
        }
    }

    fn take_fault(&mut self, what: &EventKind, at: Stamp) {
        match what {
            EventKind::FaultInjecting { fault } => self.fault(fault).injecting = Some(at),
            EventKind::FaultInjected { fault } => self.fault(fault).injected = Some(at),
            EventKind::FaultProved { fault, probe } => {
                self.fault(fault).proved = Some(at);
                self.fault(fault).probes.push((at, Finding::Proved, probe.clone()));
            }
            EventKind::FaultReverting { fault } => self.fault(fault).reverting = Some(at),
            EventKind::FaultGone { fault, probe } => {
                self.fault(fault).gone = Some(at);
                self.fault(fault).probes.push((at, Finding::Gone, probe.clone()));
            }
            EventKind::FaultNotEffective { fault, probe } => {
                self.fault(fault).probes.push((at, Finding::NotEffective, probe.clone()));
                self.trouble(Verdict::Inconclusive, Reason::FaultNotEffective, format!("fault {fault}"), probe, &[]);
            }
            EventKind::FaultLost { fault, probe } => {
                self.fault(fault).probes.push((at, Finding::Lost, probe.clone()));
                self.trouble(Verdict::Inconclusive, Reason::FaultLost, format!("fault {fault}"), probe, &[]);
            }
            EventKind::FaultNotReverted { fault, message } => {
                self.fault(fault).probes.push((at, Finding::NotReverted, message.clone()));
                self.trouble(Verdict::Fail, Reason::NotRecovered, format!("fault {fault}"), message, &[]);
            }
            _ => {}
        }
    }

    fn take_trouble(&mut self, what: &EventKind) {
        match what {
            EventKind::ScenarioSkipped { reason, message } => {
                self.skipped = Some((*reason, message.clone()));
                self.ending = Ending::Complete;
            }
            EventKind::StackFailed { component, reason, message, last_lines } => {
                let title = component.as_ref().map_or("stack".to_owned(), |name| format!("stack: {name}"));
                let verdict = self.judgement.verdict;
                self.trouble(verdict, *reason, title, message, last_lines);
            }
            EventKind::ComponentExited { component, status, last_lines } => {
                let title = format!("component {component}");
                self.trouble(Verdict::Inconclusive, Reason::ComponentExited, title, status, last_lines);
            }
            EventKind::LeftBehind { resource, message } => {
                self.trouble(Verdict::Leftovers, Reason::Leftovers, format!("left behind: {resource}"), message, &[]);
            }
            EventKind::ScenarioFinished { verdict, .. } => {
                self.ending = Ending::Complete;
                if *verdict == Verdict::Bug {
                    self.trouble(Verdict::Bug, Reason::Bug, "harness".to_owned(), "it ended on a bug of its own", &[]);
                }
            }
            _ => {}
        }
    }

    fn trouble(&mut self, verdict: Verdict, reason: Reason, title: String, message: &str, last_lines: &[String]) {
        let (message, last_lines) = (message.to_owned(), last_lines.to_vec());
        self.troubles.push(Trouble { verdict, reason, title, message, last_lines });
    }

    fn judged(&mut self, id: &str, outcome: &Outcome) {
        if let Some(known) = self.expectations.iter_mut().find(|known| known.plan.id == id) {
            known.outcome = Some(outcome.clone());
            return;
        }
        let plan = ExpectationPlan {
            id: id.to_owned(),
            kind: String::new(),
            title: id.to_owned(),
            during: "run".to_owned(),
            location: Location::default(),
            source: String::new(),
        };
        self.expectations.push(Expectation { plan, outcome: Some(outcome.clone()) });
    }

    fn fault(&mut self, id: &str) -> &mut Fault {
        let index = self.faults.iter().position(|fault| fault.plan.id == id).unwrap_or_else(|| {
            let (id, title) = (id.to_owned(), String::new());
            let plan = FaultPlan { id, title, at: std::time::Duration::ZERO, lasts: std::time::Duration::ZERO };
            self.faults.push(Fault::planned(plan));
            self.faults.len() - 1
        });
        &mut self.faults[index]
    }

    fn component(&mut self, name: &str) -> &mut Component {
        let index = self.components.iter().position(|component| component.name == name).unwrap_or_else(|| {
            self.components.push(Component::named(name));
            self.components.len() - 1
        });
        &mut self.components[index]
    }

    fn load(&mut self, name: &str) -> &mut Load {
        let index = self.loads.iter().position(|load| load.name == name).unwrap_or_else(|| {
            let (name, description) = (name.to_owned(), String::new());
            self.loads.push(Load { name, description, samples: Vec::new(), totals: None });
            self.loads.len() - 1
        });
        &mut self.loads[index]
    }

    fn finish(&mut self, lanes: Lanes, run: Ending, signal: Option<&str>) {
        if let Some(last) = self.phases.last_mut() {
            last.end = self.ended;
        }
        self.notifications.sort_by_key(|notification| notification.received);
        let lanes =
            lanes.into_iter().map(|((alert, labels), changes)| Lane { alert, labels, intervals: intervals(changes) });
        self.alerts = lanes.filter(|lane| !lane.intervals.is_empty()).collect();
        self.alerts.sort_by(|a, b| (&a.alert, &a.labels).cmp(&(&b.alert, &b.labels)));
        if self.ending == Ending::Incomplete {
            self.cut_off(run, signal);
        }
    }

    /// What has no end is never a pass, whatever was judged before.
    fn cut_off(&mut self, run: Ending, signal: Option<&str>) {
        let untold = matches!(self.judgement.verdict, Verdict::Pass)
            || (self.plan.is_none() && run == Ending::Incomplete && self.troubles.is_empty());
        if untold {
            self.judgement = Judgement { verdict: Verdict::Interrupted, reasons: vec![Reason::Interrupted] };
        }
        let message = match (signal, self.plan.is_some()) {
            (Some(signal), true) => format!("{signal} ended the run before this scenario was complete"),
            (Some(signal), false) => format!("{signal} ended the run before this scenario began"),
            (None, true) => "the event log stops before the scenario's end; what was recorded is shown".to_owned(),
            (None, false) => "the event log stops before the scenario's start".to_owned(),
        };
        self.trouble(Verdict::Interrupted, Reason::Interrupted, "incomplete".to_owned(), &message, &[]);
    }
}

impl Component {
    fn named(name: &str) -> Self {
        let (version, source, addresses) = (String::new(), String::new(), BTreeMap::new());
        Self { name: name.to_owned(), version, source, addresses, took: None, life: Life::default() }
    }
}

impl Fault {
    const fn planned(plan: FaultPlan) -> Self {
        Self { plan, injecting: None, injected: None, proved: None, reverting: None, gone: None, probes: Vec::new() }
    }
}
