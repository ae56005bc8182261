//! Turns a scenario as written into a [`Plan`]: ids, absolute lengths in real time, scaled queries, bounds.

mod expectation;
mod traffic;

use std::path::PathBuf;
use std::time::Duration;

use crate::expect::{Expectation, Mode};
use crate::fault::{Fault, Misbehaviour, ProcessAction};
use crate::load;
use crate::plan::scale::{ConfigSet, Scale};
use crate::plan::timeline::{FaultStep, Schedule};
use crate::scenario::model::{self, Injection, Scenario};
use crate::scenario::{Loaded, spanned::Spanned};
use crate::source::Location;

pub use traffic::drawn;

/// A scenario, ready to be run.
#[derive(Clone, Debug)]
pub struct Plan {
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
}

impl Plan {
    /// The plan of a stack that is only kept running.
    #[must_use]
    pub fn without_scenario(name: &str, stack: PathBuf, scale: f64) -> Self {
        let schedule = Schedule { baseline: Duration::ZERO, recovery: Duration::ZERO, faults: Vec::new() };
        Self {
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
        }
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

/// Why a scenario cannot be planned although it lints clean.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[error("{location}: {message}")]
pub struct Refused {
    /// Where.
    pub location: Location,
    /// Why, and what to try.
    pub message: String,
}

/// Builds the plan. `scaled` is `config` with all durations divided; bounds are computed from it.
///
/// # Errors
/// For kinds of faults or expectations that the harness reads and cannot do, and for queries that cannot be scaled.
pub fn build(
    loaded: &Loaded,
    config: &ConfigSet,
    scaled: &ConfigSet,
    stack: PathBuf,
    scale: Scale,
) -> Result<Plan, Vec<Refused>> {
    let builder = Builder { loaded, config, scaled, scale };
    builder.plan(stack)
}

pub(super) struct Builder<'a> {
    loaded: &'a Loaded,
    config: &'a ConfigSet,
    scaled: &'a ConfigSet,
    scale: Scale,
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
        let faults = self.scenario().fault.iter().filter_map(|fault| keep(self.fault(fault))).collect();
        let (expectations, errors) = self.expectations();
        refused.extend(errors);
        let loads = self.scenario().load.iter().filter_map(|load| self.load(load, &mut refused)).collect();
        if !refused.is_empty() {
            return Err(refused);
        }
        let scenario = self.scenario();
        let reach = expectations.iter().map(|step: &Step| self.reach_of(&step.what)).max().unwrap_or_default();
        Ok(Plan {
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
                Some(receiver) => Fault::Receiver { name: receiver.to_owned(), misbehaviour: Misbehaviour::Refuse },
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
        _ => Duration::ZERO,
    };
    let in_faults = steps.iter().filter(|step| matches!(step.during, During::All(_) | During::Any(_)));
    in_faults.map(of).max().unwrap_or_default()
}

/// `errors` and `slow` on `receiver:<name>` are the inbox's own misbehaviour, no switch of a component.
fn on_receiver(inject: &Injection) -> Option<Fault> {
    let name = inject.target()?.strip_prefix("receiver:")?.to_owned();
    let misbehaviour = match inject {
        Injection::Errors(it) => Misbehaviour::Status(it.status.unwrap_or(500)),
        Injection::Slow(it) => Misbehaviour::Slow(it.add.0),
        _ => return None,
    };
    Some(Fault::Receiver { name, misbehaviour })
}
