//! Expectations: from as written to what will be judged, with scaled queries and computed bounds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::{Builder, During, Refused, Step};
use crate::condition::Condition;
use crate::expect::{
    Agreement, Alert, AlertBound, Always, Counted, Dimension, Expectation, Health, Labels, Log, LogAnswer, Metric,
    Mode, Notification, Objective, Observer, Others, Quantifier, Resolved, Span, Target, WantedState,
};
use crate::plan::bound;
use crate::plan::scale::{logql, promql};
use crate::scenario::model::{self, That};
use crate::scenario::spanned::Spanned;
use crate::source::Location;

impl Builder<'_> {
    pub(super) fn expectations(&self) -> (Vec<Step>, Vec<Refused>) {
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
        let reach = bound::query_window(&self.scaled.prometheus, &scaled.text);
        Ok(Metric {
            query: scaled.text,
            written: written.query.get().clone(),
            value: written.value.0.clone(),
            quantifier: if written.any { Quantifier::Any } else { Quantifier::All },
            reach,
        })
    }

    pub(super) fn reach_of(&self, what: &Expectation) -> Duration {
        match what {
            Expectation::Metric(metric) => metric.reach,
            Expectation::Alert(alert) => bound::alert_window(&self.scaled.prometheus, &alert.name),
            Expectation::Notification(notification) => {
                bound::alert_window(&self.scaled.prometheus, &notification.alert)
            }
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
