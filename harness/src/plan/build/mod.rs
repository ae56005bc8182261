//! Turns a scenario as written into a [`Plan`]: ids, absolute lengths in real time, scaled queries, bounds.

mod expectation;
mod log_rules;
mod message;
mod signal;
mod traffic;

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use crate::expect::{Expectation, Mode};
use crate::fault::{Fault, Misbehaviour, ProcessAction};
use crate::load;
use crate::plan::bound;
use crate::plan::provision::Provisioned;
use crate::plan::scale::{ConfigSet, Scale};
use crate::plan::timeline::{FaultStep, Schedule};
use crate::scenario::model::{self, Injection, Scenario};
use crate::scenario::{Loaded, spanned::Spanned};
use crate::source::Location;
use crate::stack::spec::Signals;

pub use log_rules::LogRules;
pub use traffic::drawn;

/// What a plan is carried out for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Purpose {
    /// To see what the faults do.
    #[default]
    Drill,
    /// To see what happens without them: every window keeps its length, and nothing is injected.
    Control,
}

/// A scenario, ready to be run.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What for.
    pub purpose: Purpose,
    /// Its name.
    pub name: String,
    /// What it is about.
    pub summary: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// Its file, as given.
    pub file: String,
    /// The stack it runs on.
    pub stack: PathBuf,
    /// Components that must be real.
    pub requires: Vec<String>,
    /// Production seconds per real second.
    pub scale: f64,
    /// When what is due.
    pub schedule: Schedule,
    /// The faults, in the order of [`Schedule::faults`].
    pub faults: Vec<Fault>,
    /// The loads.
    pub loads: Vec<LoadPlan>,
    /// The expectations, implicit ones last.
    pub expectations: Vec<Step>,
    /// The longest range any rule or expectation looks back over: what the warm-up fills.
    pub reach: Duration,
    /// The longest time after a fault's end until the last page of its alerts may come.
    pub echo: Duration,
    /// Whether the log store's ruler has its rules: only where the scenario names one of its alerts.
    pub log_rules: LogRules,
}

impl Plan {
    /// The plan of a stack that is only kept running.
    #[must_use]
    pub fn without_scenario(name: &str, stack: PathBuf, scale: f64) -> Self {
        let schedule = Schedule { baseline: Duration::ZERO, recovery: Duration::ZERO, faults: Vec::new() };
        Self {
            purpose: Purpose::Drill,
            name: name.to_owned(),
            summary: String::new(),
            tags: Vec::new(),
            file: String::new(),
            stack,
            requires: Vec::new(),
            scale,
            schedule,
            faults: Vec::new(),
            loads: Vec::new(),
            expectations: Vec::new(),
            reach: Duration::ZERO,
            echo: Duration::ZERO,
            log_rules: LogRules::LeftOut,
        }
    }
}

impl Plan {
    /// The receivers whose inboxes must be proved open, because an expectation is about what they do not get.
    #[must_use]
    pub fn listeners(&self) -> Vec<String> {
        let of = |step: &Step| match &step.what {
            Expectation::Notification(it) if step.mode == Mode::Never => Some(it.receiver.clone()),
            Expectation::Heartbeat(it) => Some(it.receiver.clone()),
            Expectation::Suppression(it) => it.receiver.clone(),
            _ => None,
        };
        self.expectations.iter().filter_map(of).collect::<BTreeSet<_>>().into_iter().collect()
    }
}

/// A load, ready but for the address it goes to and the seeds it draws from.
#[derive(Clone, Debug)]
pub struct LoadPlan {
    /// Its name.
    pub name: String,
    /// How requests arrive.
    pub model: load::Model,
    /// Ramp until the first stage's end: part of the warm-up.
    pub ramp: Duration,
    /// Per request.
    pub timeout: Duration,
    /// What is spoken.
    pub protocol: load::Protocol,
    /// What is sent.
    pub requests: Vec<load::RequestTemplate>,
    /// What is sent one after the other.
    pub journeys: Vec<load::Journey>,
    /// Names of the seeds that generators draw from, by request and placeholder.
    pub seeds: Vec<SeedUse>,
    /// The generator's seed.
    pub seed: u64,
}

/// A request of a load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// One that is sent by itself, by its index.
    Request(usize),
    /// A step of a journey: the journey's index and its own.
    Step(usize, usize),
}

/// A generator that draws from seeded data.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedUse {
    /// Where the generator stands.
    pub place: Place,
    /// The placeholder.
    pub placeholder: String,
    /// The seed's name in `stack.toml`.
    pub seed: String,
    /// The zipf exponent; none draws evenly.
    pub zipf: Option<f64>,
}

/// An expectation with its place on the time axis and in the author's file.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// Unique in the scenario.
    pub id: String,
    /// One line for tables.
    pub title: String,
    /// The window.
    pub during: During,
    /// When in the window.
    pub mode: Mode,
    /// The promise, for kinds that have no promise of their own; real time.
    pub within: Option<Duration>,
    /// What must be true.
    pub what: Expectation,
    /// Where it is written.
    pub location: Location,
    /// The author's lines; empty for implicit ones.
    pub source: String,
}

/// The window an expectation is judged in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum During {
    /// Steady state before the first fault.
    Baseline,
    /// After the last fault.
    Recovery,
    /// From the begin of the baseline to the end.
    Run,
    /// While all of these faults are on.
    All(Vec<String>),
    /// While one of these faults is on.
    Any(Vec<String>),
}

impl During {
    /// The fault of a window that is one fault's.
    #[must_use]
    pub fn only_fault(&self) -> Option<&str> {
        match self {
            Self::All(ids) | Self::Any(ids) => match ids.as_slice() {
                [id] => Some(id),
                _ => None,
            },
            Self::Baseline | Self::Recovery | Self::Run => None,
        }
    }
}

/// Why a scenario cannot be planned although it lints clean.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct Refused {
    /// Where.
    pub location: Location,
    /// Why, and what to try.
    pub message: String,
}

/// Builds the plan. `scaled` is `config` with all durations divided; bounds are computed from it, and from how far the faults
/// drive what `signals` names.
///
/// # Errors
/// For kinds of faults or expectations that the harness reads and cannot do, and for queries that cannot be scaled.
pub fn build(
    loaded: &Loaded,
    config: &ConfigSet,
    scaled: &ConfigSet,
    stack: PathBuf,
    scale: Scale,
    aside: Aside<'_>,
) -> Result<Plan, Vec<Refused>> {
    let builder = Builder { loaded, config, scaled, scale, signals: aside.signals, provisioned: aside.provisioned };
    builder.plan(stack)
}

/// What a plan is made from besides the scenario and the configuration of Prometheus and Alertmanager.
#[derive(Clone, Copy)]
pub struct Aside<'a> {
    /// What the service calls its signals.
    pub signals: &'a Signals,
    /// What Grafana is provisioned with.
    pub provisioned: &'a Provisioned,
}

pub(super) struct Builder<'a> {
    loaded: &'a Loaded,
    config: &'a ConfigSet,
    scaled: &'a ConfigSet,
    scale: Scale,
    signals: &'a Signals,
    provisioned: &'a Provisioned,
}

/// What is sent and what is broken.
#[derive(Clone, Copy)]
struct Traffic<'a> {
    faults: &'a [Fault],
    loads: &'a [LoadPlan],
}

impl Builder<'_> {
    pub(super) fn scenario(&self) -> &Scenario {
        &self.loaded.scenario
    }

    pub(super) fn real(&self, written: Duration) -> Duration {
        written.div_f64(self.scale.factor())
    }

    pub(super) fn refuse<T>(&self, at: &Spanned<T>, message: impl Into<String>) -> Refused {
        let location = Location::of(&self.loaded.file, &self.loaded.text, at.span().start);
        Refused { location, message: message.into() }
    }

    fn plan(&self, stack: PathBuf) -> Result<Plan, Vec<Refused>> {
        let mut refused = Vec::new();
        let mut keep = |result: Result<Fault, Refused>| match result {
            Ok(fault) => Some(fault),
            Err(error) => {
                refused.push(error);
                None
            }
        };
        let faults: Vec<Fault> = self.scenario().fault.iter().filter_map(|fault| keep(self.fault(fault))).collect();
        let loads: Vec<LoadPlan> =
            self.scenario().load.iter().filter_map(|load| self.load(load, &mut refused)).collect();
        let (expectations, errors) = self.expectations(Traffic { faults: &faults, loads: &loads });
        refused.extend(errors);
        if !refused.is_empty() {
            return Err(refused);
        }
        let scenario = self.scenario();
        let reach = expectations.iter().map(|step: &Step| self.reach_of(&step.what)).max().unwrap_or_default();
        Ok(Plan {
            purpose: Purpose::Drill,
            name: scenario.name.get().clone(),
            summary: scenario.summary.clone(),
            tags: scenario.tags.iter().map(|tag| tag.get().clone()).collect(),
            file: self.loaded.file.clone(),
            stack,
            requires: scenario.stack.requires.iter().map(|name| name.get().clone()).collect(),
            scale: self.scale.factor(),
            schedule: self.schedule(),
            faults,
            loads,
            reach,
            echo: echo(&expectations),
            log_rules: self.log_rules(&expectations),
            expectations,
        })
    }

    fn schedule(&self) -> Schedule {
        let scenario = self.scenario();
        let step = |fault: &model::Fault| FaultStep {
            id: fault.id.get().clone(),
            at: self.real(fault.starts()),
            lasts: self.real(fault.lasts()),
        };
        Schedule {
            baseline: self.real(scenario.baseline()),
            recovery: self.real(scenario.recovery()),
            faults: scenario.fault.iter().map(step).collect(),
        }
    }

    fn fault(&self, fault: &model::Fault) -> Result<Fault, Refused> {
        let inject = fault.inject.get();
        let process = |action, process: &model::Process| {
            let name = process.target.get();
            match name.strip_prefix("receiver:") {
                Some(receiver) => Fault::Receiver { name: receiver.to_owned(), misbehaviour: Misbehaviour::Dead },
                None => Fault::Process { action, target: name.clone() },
            }
        };
        if let Some(fault) = on_receiver(inject) {
            return Ok(fault);
        }
        if let Some(call) = inject.switch() {
            let target = call.target.map_or_else(String::new, |target| target.get().clone());
            return Ok(Fault::Switch { target, name: call.name.to_owned(), parameters: call.values });
        }
        match inject {
            Injection::Kill(it) => Ok(process(ProcessAction::Kill, it)),
            Injection::Stop(it) => Ok(process(ProcessAction::Stop, it)),
            Injection::Restart(it) => Ok(process(ProcessAction::Restart, it)),
            Injection::Pause(it) => Ok(process(ProcessAction::Pause, it)),
            Injection::Load(it) => Ok(Fault::Load { name: it.name.get().clone(), factor: *it.factor.get() }),
            Injection::MuteTime(it) => Ok(Fault::MuteTime { interval: it.interval.get().clone() }),
            Injection::Silence(it) => Ok(Fault::Silence { matchers: it.matchers.get().clone() }),
            other => {
                let message = format!("the fault `{}` is read, and no provider here can inject it yet", other.kind());
                Err(self.refuse(&fault.inject, message))
            }
        }
    }
}

/// How long after a fault's end its pages may still come: the longest promise or computed ceiling. Generous, because it costs
/// time only while a page is missing.
fn echo(steps: &[Step]) -> Duration {
    let of = |step: &Step| match &step.what {
        Expectation::Alert(alert) => {
            let bound = alert.bound.clone().unwrap_or_default();
            let promised = alert.resolves_within.unwrap_or_default().max(alert.fires_within.unwrap_or_default());
            promised.max(bound.resolved.ceiling).max(bound.firing.ceiling)
        }
        Expectation::Notification(it) => {
            let bound = it.bound.clone().unwrap_or_default();
            let told = bound.firing.ceiling + bound.delivery.ceiling;
            let ended = bound.resolved.ceiling + bound.resolved_delivery.ceiling;
            it.within.unwrap_or_default().max(told).max(ended)
        }
        Expectation::Suppression(it) => it.bound.clone().unwrap_or_default().delivery.ceiling + bound::TRANSPORT,
        Expectation::Heartbeat(it) => it.every,
        _ => Duration::ZERO,
    };
    let in_faults = steps.iter().filter(|step| matches!(step.during, During::All(_) | During::Any(_)));
    in_faults.map(of).max().unwrap_or_default()
}

/// `errors`, `slow` and `http` on `receiver:<name>` are the inbox's own misbehaviour, no switch of a component and no proxy.
fn on_receiver(inject: &Injection) -> Option<Fault> {
    let target = inject.target().map(|target| target.get().clone()).or_else(|| inject.ends().map(|(_, to)| to))?;
    let name = target.strip_prefix("receiver:")?.to_owned();
    let answer = |status, after, first| Misbehaviour::Answer { status, after, first };
    let misbehaviour = match inject {
        Injection::Errors(it) => answer(Some(it.status.unwrap_or(500)), Duration::ZERO, None),
        Injection::Slow(it) => answer(None, it.add.0, None),
        Injection::Http(it) => answer(it.status, it.delay.unwrap_or_default().0, it.first),
        _ => return None,
    };
    Some(Fault::Receiver { name, misbehaviour })
}
