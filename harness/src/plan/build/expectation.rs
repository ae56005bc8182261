//! Expectations: from as written to what will be judged, with scaled queries and computed bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Builder, During, Refused, Step, Traffic, signal};
use crate::condition::Condition;
use crate::expect::suppression::Cause;
use crate::expect::{
    Alert, AlertBound, Always, Expectation, Health, Labels, Log, LogAnswer, Metric, Mode, Objective, Others,
    Quantifier, Reading, Span, Target, WantedState,
};
use crate::fault::Fault;
use crate::plan::bound;
use crate::plan::build::LoadPlan;
use crate::plan::drive::{self, Scene};
use crate::plan::scale::rule::Rule;
use crate::plan::scale::{logql, promql};
use crate::scenario::model::{self, That};
use crate::scenario::spanned::Spanned;
use crate::source::Location;

/// A fault and what is sent meanwhile.
#[derive(Clone, Copy)]
pub(super) struct Broken<'a> {
    fault: &'a Fault,
    loads: &'a [LoadPlan],
}

impl Builder<'_> {
    pub(super) fn expectations(&self, traffic: Traffic<'_>) -> (Vec<Step>, Vec<Refused>) {
        let mut steps = Vec::new();
        let mut refused = Vec::new();
        let mut numbers: BTreeMap<&str, usize> = BTreeMap::new();
        for written in &self.scenario().expect {
            match self.expectation(written, traffic) {
                Ok(what) => {
                    let number = numbers.entry(what.kind()).or_default();
                    *number += 1;
                    steps.push(Step {
                        id: format!("{}-{number}", what.kind()),
                        title: title(written),
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

    fn expectation(&self, written: &model::Expectation, traffic: Traffic<'_>) -> Result<Expectation, Refused> {
        let fault = self.fault_of(written.during.get(), traffic);
        match written.that.get() {
            That::Metric(it) => self.metric(it).map(Expectation::Metric),
            That::Alert(it) => Ok(Expectation::Alert(self.alert(it, fault))),
            That::Notification(it) => Ok(Expectation::Notification(self.notification(it, fault))),
            That::Heartbeat(it) => Ok(self.heartbeat(it)),
            That::Inhibition(it) => {
                let cause = Cause::Inhibition { by: it.by.get().clone() };
                Ok(self.suppression(it.alert.get(), it.receiver.as_ref().map(Spanned::get), cause))
            }
            That::Silence(it) => Ok(self.suppression(it.alert.get(), Some(it.receiver.get()), Cause::Silence)),
            That::MuteTime(it) => Ok(self.suppression(it.alert.get(), Some(it.receiver.get()), Cause::MuteTime)),
            That::Log(it) => Ok(Expectation::Log(self.log(it))),
            That::Agreement(it) => Ok(Expectation::Agreement(signal::agreement(it))),
            That::Series(it) => Ok(Expectation::Series(signal::series(it))),
            That::Dashboard(it) => Ok(Expectation::Dashboard(self.dashboard(it))),
            That::Target(it) => Ok(Expectation::Target(Target {
                job: it.job.get().clone(),
                health: match it.health {
                    model::TargetHealth::Up => Health::Up,
                    model::TargetHealth::Down => Health::Down,
                },
            })),
            That::Load(it) => Ok(Expectation::Load(objective(it))),
        }
    }

    fn metric(&self, written: &model::Metric) -> Result<Metric, Refused> {
        let scaled = promql::scale(written.query.get(), self.scale, &self.config.prometheus.context())
            .map_err(|error| self.refuse(&written.query, error.to_string()))?;
        let reach = bound::query_window(&self.scaled.prometheus, &scaled.text);
        Ok(Metric {
            query: scaled.text,
            written: written.query.get().clone(),
            value: written.value.0.clone(),
            quantifier: if written.any { Quantifier::Any } else { Quantifier::All },
            reading: if written.exact { Reading::Growth } else { Reading::Value },
            reach,
        })
    }

    pub(super) fn reach_of(&self, what: &Expectation) -> Duration {
        match what {
            Expectation::Metric(metric) => metric.reach,
            Expectation::Alert(alert) => self.window_of(&alert.name),
            Expectation::Notification(notification) => self.window_of(&notification.alert),
            Expectation::Suppression(it) => self.window_of(&it.alert),
            _ => Duration::ZERO,
        }
    }

    /// The fault of a window that is one fault's.
    fn fault_of<'a>(&self, window: &model::Window, traffic: Traffic<'a>) -> Option<Broken<'a>> {
        let ids = window.faults();
        let [id] = ids.as_slice() else { return None };
        let place = self.scenario().fault.iter().position(|fault| fault.id.get().as_str() == *id)?;
        traffic.faults.get(place).map(|fault| Broken { fault, loads: traffic.loads })
    }

    /// What the configuration allows an alert, in real time; of several rules of one name the widest.
    pub(super) fn bound(
        &self,
        alert: &str,
        labels: &Labels,
        receiver: Option<&str>,
        broken: Option<Broken<'_>>,
    ) -> Option<AlertBound> {
        let conditions = |rule: &Rule| {
            let scene = broken.map(|Broken { fault, loads }| Scene { signals: self.signals, loads, fault });
            scene.map_or_else(bound::Conditions::default, |scene| {
                drive::conditions(&self.scaled.prometheus, rule, scene)
            })
        };
        let bounds = bound::bounds_by(self.scaled, alert, labels, conditions);
        let widest = bounds.iter().max_by_key(|bound| bound.firing.ceiling)?;
        let route = widest.routes.iter().find(|route| receiver.is_none_or(|name| route.receiver == name));
        let span = |interval: bound::Interval| Span { floor: interval.floor, ceiling: interval.ceiling };
        let after = |whole: bound::Interval, part: bound::Interval| Span {
            floor: whole.floor.saturating_sub(part.floor),
            ceiling: whole.ceiling.saturating_sub(part.ceiling),
        };
        let resolved_delivery = route.and_then(|route| route.resolved_notified);
        let between = |floor, wait| Span { floor, ceiling: wait + bound::TRANSPORT };
        Some(AlertBound {
            firing: span(widest.firing),
            pending: span(widest.pending),
            delivery: route.map(|route| after(route.notified, widest.firing)).unwrap_or_default(),
            delivery_new: route.map(|route| between(route.group_wait, route.group_wait)).unwrap_or_default(),
            delivery_known: route.map(|route| between(Duration::ZERO, route.group_interval)).unwrap_or_default(),
            group_by: route.map(|route| route.group_by.clone()).unwrap_or_default(),
            resolved: span(widest.resolved),
            resolved_delivery: resolved_delivery.map(|it| after(it, widest.resolved)).unwrap_or_default(),
            pending_for: widest.firing.floor.saturating_sub(widest.pending.floor),
            kept_for: widest.kept,
            evaluation: widest.evaluation,
            scrape: self.scaled.prometheus.scrape_interval,
        })
    }

    fn alert(&self, written: &model::AlertExpectation, broken: Option<Broken<'_>>) -> Alert {
        let real = |period: &Option<Spanned<crate::scenario::duration::Period>>| {
            period.as_ref().map(|period| self.real(period.0))
        };
        let labels = labels(&written.labels);
        Alert {
            bound: self.bound(written.name.get(), &labels, None, broken),
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

    /// No other alert fires; those that always fire do; every load is sent.
    fn implicit(&self, steps: &[Step]) -> Vec<Step> {
        let scenario = self.scenario();
        let always: Vec<&str> = scenario.alerts.always.iter().map(|name| name.get().as_str()).collect();
        let mut known: BTreeSet<String> = always.iter().map(ToString::to_string).collect();
        known.extend(scenario.alerts.allowed.iter().map(|name| name.get().clone()));
        known.extend(steps.iter().flat_map(|step| match &step.what {
            Expectation::Alert(alert) => vec![alert.name.clone()],
            Expectation::Notification(notification) if step.mode != Mode::Never => vec![notification.alert.clone()],
            Expectation::Heartbeat(it) => vec![it.alert.clone()],
            Expectation::Suppression(it) => it.alerts(),
            _ => Vec::new(),
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
        let known_names: Vec<String> = known.iter().cloned().collect();
        let mut implicit = vec![step(
            "no-other-alert".to_owned(),
            "no alert fires that is neither expected nor allowed".to_owned(),
            Expectation::NoOtherAlert(Others { known }),
        )];
        implicit.extend(always.iter().map(|name| {
            let what = Expectation::Always(Always { name: (*name).to_owned() });
            step(format!("always-{name}"), format!("{name} fires all the time"), what)
        }));
        implicit.extend(self.managed(steps, &known_names).map(|what| {
            step("grafana-rules".to_owned(), "Grafana's own rules answer, and fire as expected".to_owned(), what)
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
            step(
                format!("sent-{}", load.name),
                format!("load {} is sent as planned", load.name),
                Expectation::Load(what),
            )
        }));
        implicit
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

pub(super) fn labels(written: &BTreeMap<String, Spanned<String>>) -> Labels {
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

fn title(written: &model::Expectation) -> String {
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
        That::Heartbeat(it) => match &it.missed_within {
            Some(within) => format!("{} misses a beat of {} within {} ({window})", it.receiver, it.alert, **within),
            None => format!("{} beats at {} every {} ({window})", it.alert, it.receiver, *it.every),
        },
        That::Inhibition(it) => {
            let who = it.receiver.as_ref().map_or("nobody", |receiver| receiver.get().as_str());
            let verb = if it.receiver.is_some() { "is not told" } else { "is told" };
            format!("{who} {verb} of {} while {} fires ({window})", it.alert, it.by)
        }
        That::Silence(it) => format!("{} is told of {} only after the silence ({window})", it.receiver, it.alert),
        That::MuteTime(it) => format!("{} is told of {} only after the mute time ({window})", it.receiver, it.alert),
        That::Metric(it) => format!("metric {negative}{} {} ({window})", short(it.query.get()), **it.value),
        That::Log(it) => format!("log {negative}{} ({window})", short(it.query.get())),
        That::Target(it) => format!("target {} {negative}{:?} ({window})", it.job, it.health).to_lowercase(),
        That::Load(it) => {
            let request = it.request.as_ref().map_or_else(String::new, |request| format!(" / {request}"));
            format!("load {}{request} ({window})", it.name)
        }
        That::Agreement(it) => signal::title(it, window),
        That::Series(it) => format!("series {} ({window})", it.metric),
        That::Dashboard(it) => {
            let panels = if it.panels.is_empty() {
                String::new()
            } else {
                format!(" / {}", it.panels.iter().map(|panel| panel.get().as_str()).collect::<Vec<_>>().join(", "))
            };
            format!("dashboard {}{panels} {negative}shows {:?} ({window})", it.uid, it.shows).to_lowercase()
        }
    }
}

fn short(query: &str) -> String {
    let line = query.split_whitespace().collect::<Vec<_>>().join(" ");
    if line.chars().count() <= 60 { line } else { line.chars().take(57).chain("…".chars()).collect() }
}
