//! Turns a scenario as written into a [`Plan`]: ids, absolute lengths in real time, scaled queries, bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use super::{bound, reach};
use super::timeline::{FaultStep, Schedule};
use crate::condition::Condition;
use crate::expect::{
    Agreement, Alert, AlertBound, Always, Counted, Dimension, Expectation, Health, Labels, Log, LogAnswer, Metric, Mode, Notification,
    Objective, Observer, Others, Quantifier, Resolved, Span, Target, WantedState,
};
use crate::fault::{Fault, Misbehaviour, ProcessAction};
use crate::load;
use crate::plan::scale::{ConfigSet, Scale, logql, promql};
use crate::scenario::model::{self, Injection, Pace, Scenario, That};
use crate::scenario::{Loaded, spanned::Spanned};
use crate::source::Location;

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
    /// Names of the seeds that generators draw from, by request and placeholder.
    pub seeds: Vec<SeedUse>,
    /// The generator's seed.
    pub seed: u64,
}

/// A generator that draws from seeded data.
#[derive(Clone, Debug, PartialEq)]
pub struct SeedUse {
    /// The request's index.
    pub request: usize,
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

struct Builder<'a> {
    loaded: &'a Loaded,
    config: &'a ConfigSet,
    scaled: &'a ConfigSet,
    scale: Scale,
}

impl Builder<'_> {
    fn scenario(&self) -> &Scenario {
        &self.loaded.scenario
    }

    fn real(&self, written: Duration) -> Duration {
        written.div_f64(self.scale.factor())
    }

    fn refuse<T>(&self, at: &Spanned<T>, message: impl Into<String>) -> Refused {
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

    fn expectations(&self) -> (Vec<Step>, Vec<Refused>) {
        let mut steps = Vec::new();
        let mut refused = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for written in &self.scenario().expect {
            match self.expectation(written) {
                Ok(what) => {
                    let number = numbers.entry(what.kind()).or_default();
                    *number += 1;
                    steps.push(Step {
                        id: format!("{}-{number}", what.kind()),
                        title: title(&what, written),
                        during: during(written.during.get()),
                        mode: mode(written.mode()),
                        within: within(written).map(|written| self.real(written)),
                        what,
                        location: written.location.clone(),
                        source: written.source.clone(),
                    });
                }
                Err(error) => refused.push(error),
            }
        }
        steps.extend(self.implicit(&steps));
        (steps, refused)
    }

    fn expectation(&self, written: &model::Expectation) -> Result<Expectation, Refused> {
        match written.that.get() {
            That::Metric(it) => self.metric(it).map(Expectation::Metric),
            That::Alert(it) => Ok(Expectation::Alert(self.alert(it))),
            That::Notification(it) => Ok(Expectation::Notification(self.notification(it))),
            That::Log(it) => Ok(Expectation::Log(self.log(it))),
            That::Agreement(it) => self.agreement(it, &written.that).map(Expectation::Agreement),
            That::Target(it) => Ok(Expectation::Target(Target {
                job: it.job.get().clone(),
                health: match it.health {
                    model::TargetHealth::Up => Health::Up,
                    model::TargetHealth::Down => Health::Down,
                },
            })),
            That::Load(it) => Ok(Expectation::Load(objective(it))),
            other => {
                let message = format!("the expectation `{}` is read, and cannot be judged yet", other.kind());
                Err(self.refuse(&written.that, message))
            }
        }
    }

    fn metric(&self, written: &model::Metric) -> Result<Metric, Refused> {
        let scaled = promql::scale(written.query.get(), self.scale, &self.config.prometheus.context())
            .map_err(|error| self.refuse(&written.query, error.to_string()))?;
        let reach = reach::of_query(self.scaled, &scaled.text);
        Ok(Metric {
            query: scaled.text,
            written: written.query.get().clone(),
            value: written.value.0.clone(),
            quantifier: if written.any { Quantifier::Any } else { Quantifier::All },
            reach,
        })
    }

    fn reach_of(&self, what: &Expectation) -> Duration {
        match what {
            Expectation::Metric(metric) => metric.reach,
            Expectation::Alert(alert) => reach::of_alert(self.scaled, &alert.name),
            Expectation::Notification(notification) => reach::of_alert(self.scaled, &notification.alert),
            _ => Duration::ZERO,
        }
    }

    /// What the configuration allows an alert, in real time; of several rules of one name the widest.
    fn bound(&self, alert: &str, labels: &Labels, receiver: Option<&str>) -> Option<AlertBound> {
        let bounds = bound::bounds(self.scaled, alert, labels, bound::Conditions::default());
        let widest = bounds.iter().max_by_key(|bound| bound.firing.ceiling)?;
        let route = widest.routes.iter().find(|route| receiver.is_none_or(|name| route.receiver == name));
        let span = |interval: bound::Interval| Span { floor: interval.floor, ceiling: interval.ceiling };
        let after = |whole: bound::Interval, part: bound::Interval| Span {
            floor: whole.floor.saturating_sub(part.floor),
            ceiling: whole.ceiling.saturating_sub(part.ceiling),
        };
        let resolved_delivery = route.and_then(|route| route.resolved_notified);
        Some(AlertBound {
            firing: span(widest.firing),
            delivery: route.map(|route| after(route.notified, widest.firing)).unwrap_or_default(),
            resolved: span(widest.resolved),
            resolved_delivery: resolved_delivery.map(|it| after(it, widest.resolved)).unwrap_or_default(),
            pending_for: widest.firing.floor.saturating_sub(widest.pending.floor),
            evaluation: self.scaled.prometheus.evaluation_interval,
            scrape: self.scaled.prometheus.scrape_interval,
        })
    }

    fn alert(&self, written: &model::AlertExpectation) -> Alert {
        let real = |period: &Option<Spanned<crate::scenario::duration::Period>>| {
            period.as_ref().map(|period| self.real(period.0))
        };
        let labels = labels(&written.labels);
        Alert {
            bound: self.bound(written.name.get(), &labels, None),
            name: written.name.get().clone(),
            labels,
            annotations: self::labels(&written.annotations),
            fires_after: real(&written.fires_after),
            fires_within: real(&written.fires_within),
            resolves_within: real(&written.resolves_within),
            state: match written.state {
                model::WantedState::Firing => WantedState::Firing,
                model::WantedState::Pending => WantedState::Pending,
                model::WantedState::Inactive => WantedState::Inactive,
            },
        }
    }

    fn notification(&self, written: &model::NotificationExpectation) -> Notification {
        let labels = labels(&written.labels);
        Notification {
            bound: self.bound(written.alert.get(), &labels, Some(written.receiver.get())),
            receiver: written.receiver.get().clone(),
            alert: written.alert.get().clone(),
            labels,
            within: written.within.as_ref().map(|within| self.real(within.0)),
            resolved: if written.resolved == Some(true) { Resolved::Required } else { Resolved::Unasked },
            count: written.count.as_ref().map(|count| count.0.clone()),
            contains: written.contains.0.clone(),
        }
    }

    fn log(&self, written: &model::LogExpectation) -> Log {
        let query = logql::scale(written.query.get(), self.scale);
        let condition = |bound: &Option<Spanned<crate::scenario::quantity::Bound>>| -> Option<Condition> {
            bound.as_ref().map(|bound| bound.0.clone())
        };
        let value = condition(&written.value);
        Log {
            query,
            answer: if value.is_some() { LogAnswer::Metric } else { LogAnswer::Lines },
            count: condition(&written.count),
            value,
            fields: written.fields.iter().map(|field| field.get().clone()).collect(),
        }
    }

    fn agreement(&self, written: &model::Agreement, at: &Spanned<That>) -> Result<Agreement, Refused> {
        if written.of == model::Counted::LogLines {
            return Err(self.refuse(at, "`of = \"log-lines\"` is read, and cannot be judged yet"));
        }
        let between: BTreeSet<Observer> = written
            .between
            .iter()
            .map(|observer| match observer.get() {
                model::Observer::Client => Observer::Client,
                model::Observer::Metrics => Observer::Metrics,
                model::Observer::Logs => Observer::Logs,
            })
            .collect();
        let by = written.by.iter().filter_map(|name| match name.get().as_str() {
            "route" => Some(Dimension::Route),
            "status" => Some(Dimension::Status),
            "method" => Some(Dimension::Method),
            _ => None,
        });
        let all = BTreeSet::from([Observer::Client, Observer::Metrics, Observer::Logs]);
        Ok(Agreement {
            of: Counted::Requests,
            between: if between.is_empty() { all } else { between },
            by: by.collect(),
            tolerance: written.tolerance.map_or(0.0, |share| share.0),
        })
    }

    /// No other alert fires; those that always fire do; every load is sent.
    fn implicit(&self, steps: &[Step]) -> Vec<Step> {
        let scenario = self.scenario();
        let always: Vec<&str> = scenario.alerts.always.iter().map(|name| name.get().as_str()).collect();
        let mut known: BTreeSet<String> = always.iter().map(ToString::to_string).collect();
        known.extend(scenario.alerts.allowed.iter().map(|name| name.get().clone()));
        known.extend(steps.iter().filter_map(|step| match &step.what {
            Expectation::Alert(alert) => Some(alert.name.clone()),
            Expectation::Notification(notification) if step.mode != Mode::Never => Some(notification.alert.clone()),
            _ => None,
        }));
        let at = Location::of(&self.loaded.file, &self.loaded.text, 0);
        let step = |id: String, title: String, what| Step {
            id,
            title,
            during: During::Run,
            mode: Mode::Throughout,
            within: None,
            what,
            location: at.clone(),
            source: String::new(),
        };
        let mut implicit = vec![step(
            "no-other-alert".to_owned(),
            "no alert fires that is neither expected nor allowed".to_owned(),
            Expectation::NoOtherAlert(Others { known }),
        )];
        implicit.extend(always.iter().map(|name| {
            let what = Expectation::Always(Always { name: (*name).to_owned() });
            step(format!("always-{name}"), format!("{name} fires all the time"), what)
        }));
        implicit.extend(scenario.load.iter().map(|load| {
            let achieved = Condition::parse(">= 99%").expect("a constant condition parses");
            let what = Objective {
                load: load.name.get().clone(),
                request: None,
                latency: BTreeMap::new(),
                errors: None,
                achieved: Some(achieved),
            };
            step(format!("sent-{}", load.name), format!("load {} is sent as planned", load.name), Expectation::Load(what))
        }));
        implicit
    }

    fn load(&self, written: &model::Load, refused: &mut Vec<Refused>) -> Option<LoadPlan> {
        let (model, ramp) = match self.pace(written) {
            Ok(pace) => pace,
            Err(error) => {
                refused.push(error);
                return None;
            }
        };
        let mut seeds = Vec::new();
        let requests = written
            .request
            .iter()
            .enumerate()
            .map(|(index, request)| request_template(index, request, &mut seeds))
            .collect();
        if let Some(journey) = written.journey.first() {
            refused.push(self.refuse(&journey.name, "journeys are read, and cannot be run yet"));
        }
        Some(LoadPlan {
            name: written.name.get().clone(),
            model,
            ramp,
            timeout: written.timeout(),
            requests,
            seeds,
            seed: written.seed.unwrap_or(1),
        })
    }

    fn pace(&self, written: &model::Load) -> Result<(load::Model, Duration), Refused> {
        let arrivals = |arrivals| match arrivals {
            model::Arrivals::Constant => load::Arrivals::Constant,
            model::Arrivals::Poisson => load::Arrivals::Poisson,
        };
        match written.pace() {
            Some(Pace::Rate { rate, ramp, arrivals: kind, max_in_flight }) => {
                let ramp = self.real(ramp);
                let stages = vec![load::Stage { from: 0.0, to: rate, over: ramp }];
                let max_in_flight = usize::try_from(max_in_flight).unwrap_or(usize::MAX);
                Ok((load::Model::Open { stages, arrivals: arrivals(kind), max_in_flight }, ramp))
            }
            Some(Pace::Stages { stages, arrivals: kind, max_in_flight }) => {
                let mut from = 0.0;
                let stages: Vec<load::Stage> = stages
                    .iter()
                    .map(|stage| {
                        let stage = load::Stage { from, to: *stage.to.get(), over: self.real(stage.over.0) };
                        from = stage.to;
                        stage
                    })
                    .collect();
                let ramp = stages.first().map_or(Duration::ZERO, |stage| stage.over);
                let max_in_flight = usize::try_from(max_in_flight).unwrap_or(usize::MAX);
                Ok((load::Model::Open { stages, arrivals: arrivals(kind), max_in_flight }, ramp))
            }
            Some(Pace::Users(_)) => Err(self.refuse(&written.name, "virtual users are read, and cannot be run yet")),
            None => Err(self.refuse(&written.name, "a load has exactly one of `open`, `closed` and `stages`")),
        }
    }
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

fn request_template(index: usize, written: &model::Request, seeds: &mut Vec<SeedUse>) -> load::RequestTemplate {
    let (method, path) = written.target().map_or(("GET", "/"), |(method, path)| (method.as_str(), path.get().as_str()));
    let mut with = BTreeMap::new();
    for (placeholder, generator) in &written.with {
        match generator_of(generator.get()) {
            Ok(generator) => {
                with.insert(placeholder.clone(), generator);
            }
            Err((seed, zipf)) => seeds.push(SeedUse { request: index, placeholder: placeholder.clone(), seed, zipf }),
        }
    }
    load::RequestTemplate {
        name: written.name.get().clone(),
        weight: written.weight(),
        method: method.to_owned(),
        path: path.to_owned(),
        headers: written.headers.iter().map(|(name, value)| (name.clone(), value.get().clone())).collect(),
        json: written.json.as_ref().map(|json| json.get().clone()),
        with,
        expect: load::Checks { status: written.expect.status.clone(), ..load::Checks::default() },
    }
}

/// The engine's generator, or the seed (and zipf exponent) that has to be filled in first.
fn generator_of(written: &model::Generator) -> Result<load::Generator, (String, Option<f64>)> {
    let plain = |value: &serde_json::Value| value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    match written {
        model::Generator::Uuid => Ok(load::Generator::Uuid),
        model::Generator::Sequence { start } => {
            Ok(load::Generator::Sequence { from: i64::try_from(*start).unwrap_or(i64::MAX), step: 1 })
        }
        model::Generator::From { population, draw } => {
            let zipf = match draw {
                model::Draw::Uniform => None,
                model::Draw::Zipf { exponent } => Some(*exponent),
            };
            match population {
                model::Population::Seed(name) => Err((name.clone(), zipf)),
                model::Population::Range { low, high } if zipf.is_none() => Ok(load::Generator::Range(*low, *high)),
                model::Population::Range { low, high } => {
                    Ok(drawn((*low..=*high).map(|number| number.to_string()).collect(), zipf))
                }
                model::Population::Choice(values) => Ok(drawn(values.iter().map(plain).collect(), zipf)),
            }
        }
    }
}

/// A generator over a list of values.
#[must_use]
pub fn drawn(values: Vec<String>, zipf: Option<f64>) -> load::Generator {
    match zipf {
        Some(exponent) => load::Generator::Zipf { exponent, from: values },
        None => load::Generator::Choice(values),
    }
}

fn objective(written: &model::LoadExpectation) -> Objective {
    let condition = |bound: &Spanned<crate::scenario::quantity::Bound>| bound.0.clone();
    Objective {
        load: written.name.get().clone(),
        request: written.request.as_ref().map(|name| name.get().clone()),
        latency: written.latencies().map(|(name, bound)| (name.to_owned(), condition(bound))).collect(),
        errors: written.errors.as_ref().map(condition),
        achieved: written.achieved.as_ref().map(condition),
    }
}

fn labels(written: &BTreeMap<String, Spanned<String>>) -> Labels {
    written.iter().map(|(name, value)| (name.clone(), value.get().clone())).collect()
}

fn during(written: &model::Window) -> During {
    let names = |ids: &[Spanned<String>]| ids.iter().map(|id| id.get().clone()).collect();
    match written {
        model::Window::Baseline => During::Baseline,
        model::Window::Recovery => During::Recovery,
        model::Window::Run => During::Run,
        model::Window::Fault(id) => During::All(vec![id.clone()]),
        model::Window::All(ids) => During::All(names(ids)),
        model::Window::Any(ids) => During::Any(names(ids)),
    }
}

const fn mode(written: model::Mode) -> Mode {
    match written {
        model::Mode::Eventually => Mode::Eventually,
        model::Mode::Throughout => Mode::Throughout,
        model::Mode::Never => Mode::Never,
    }
}

fn within(written: &model::Expectation) -> Option<Duration> {
    let own = match written.that.get() {
        That::Target(target) => target.within.as_ref(),
        _ => None,
    };
    own.or(written.within.as_ref()).map(|within| within.0)
}

fn title(what: &Expectation, written: &model::Expectation) -> String {
    let window = written.during.get();
    let negative = if written.mode() == model::Mode::Never { "never " } else { "" };
    match written.that.get() {
        That::Alert(it) => {
            let promise = it.fires_within.as_ref().map_or_else(String::new, |within| format!(" within {}", **within));
            format!("alert {} {negative}fires{promise} ({window})", it.name)
        }
        That::Notification(it) => {
            let promise = it.within.as_ref().map_or_else(String::new, |within| format!(" within {}", **within));
            format!("{} is {negative}told of {}{promise} ({window})", it.receiver, it.alert)
        }
        That::Metric(it) => format!("metric {negative}{} {} ({window})", short(it.query.get()), **it.value),
        That::Log(it) => format!("log {negative}{} ({window})", short(it.query.get())),
        That::Target(it) => format!("target {} {negative}{:?} ({window})", it.job, it.health).to_lowercase(),
        That::Load(it) => {
            let request = it.request.as_ref().map_or_else(String::new, |request| format!(" / {request}"));
            format!("load {}{request} ({window})", it.name)
        }
        That::Agreement(it) => {
            let names: Vec<String> =
                it.between.iter().map(|observer| format!("{:?}", observer.get()).to_lowercase()).collect();
            format!("{} agree on requests ({window})", names.join(", "))
        }
        _ => format!("{} ({window})", what.kind()),
    }
}

fn short(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("…".chars()).collect() }
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
