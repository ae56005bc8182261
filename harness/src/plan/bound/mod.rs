//! When an alert must be pending, firing, notified, resolved: floor and ceiling computed from the configuration that runs,
//! each with the arithmetic a reader can check. Fed with the rendered configuration by the planner; read by `explain`,
//! `lint` (promises tighter than the ceiling), the judge and the report. Formulas: `docs/design/bounds.md`.

mod lag;
mod log;
mod term;

use std::collections::BTreeMap;
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::finding::{self, Threshold};
use super::scale::alertmanager::{AlertmanagerConfig, GroupBy, ResolvedRoute};
use super::scale::duration::print;
use super::scale::promql;
use super::scale::rule::{Rule, RuleGroup};
use super::scale::{ConfigSet, PrometheusConfig};
use crate::condition::Operator;
use lag::{Direction, Lag, Reader};

pub use crate::expect::way::TRANSPORT;
pub use term::{Interval, Term, sum};

/// What is known about a fault and the state it meets.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Conditions {
    /// How far the fault drives the signal over the threshold.
    pub strength: Strength,
    /// Whether Alertmanager knows the alert's group already.
    pub group: Group,
    /// How a target that is down answers.
    pub silence: Silence,
}

/// How far the fault drives the signal over the threshold.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Strength {
    /// Not known: a window may have to fill before the threshold is crossed.
    Unknown,
    /// At least so many times the threshold; use a lower estimate.
    Times(f64),
    /// One scrape is enough.
    Immediate,
}

/// Whether Alertmanager knows the alert's group already. It forgets one only after 15 min without alerts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// This alert creates it: `group_wait` counts.
    New,
    /// It exists: the next tick of `group_interval` sends.
    Exists,
    /// Either.
    Unknown,
}

/// How a target that is down answers a scrape.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Silence {
    /// At once, by refusing or closing the connection.
    Refuses,
    /// Not at all, until the scrape times out.
    Hangs,
}

impl Strength {
    /// The strength of a fault. Where a rule asks for more than its threshold, `level` is what the fault drives the signal to,
    /// at least; where it asks for less, the healthy level, at least. Unknown when `level` is not beyond the threshold.
    #[must_use]
    pub fn of(threshold: Threshold, level: f64) -> Self {
        let ordered = !matches!(threshold.operator, Operator::NotEqual);
        match level / threshold.value {
            times if ordered && threshold.value > 0.0 && times > 1.0 => Self::Times(times),
            _ if ordered && threshold.value == 0.0 && level > 0.0 => Self::Immediate,
            _ => Self::Unknown,
        }
    }
}

impl AlertBound {
    /// The arithmetic, one line each for firing, resolving and every route.
    #[must_use]
    pub fn explain(&self) -> Vec<String> {
        let mut lines = vec![
            format!("firing {} = {}", self.firing, term::arithmetic(&self.firing_terms)),
            format!("resolved {} = {}", self.resolved, term::arithmetic(&self.resolved_terms)),
        ];
        for route in &self.routes {
            let (receiver, terms) = (&route.receiver, term::arithmetic(&route.notified_terms));
            lines.push(format!("{receiver} notified {} = firing + {terms}", route.notified));
            if let Some(resolved) = route.resolved_notified {
                lines.push(format!(
                    "{receiver} told of the end {resolved} = resolved + {}",
                    term::arithmetic(&route.resolved_terms)
                ));
            }
        }
        lines
    }
}

impl Default for Conditions {
    fn default() -> Self {
        Self { strength: Strength::Unknown, group: Group::Unknown, silence: Silence::Hangs }
    }
}

/// The times of one alerting rule. Firing times count from the fault, resolving times from its end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct AlertBound {
    /// The alert's name.
    pub alert: String,
    /// The labels the rule adds.
    pub labels: BTreeMap<String, String>,
    /// First evaluation at which the expression is true.
    pub pending: Interval,
    /// First evaluation at which it fires.
    pub firing: Interval,
    /// First evaluation at which it has resolved.
    pub resolved: Interval,
    /// Notifications, one entry for each route it takes.
    pub routes: Vec<RouteBound>,
    /// The summands of `firing`, in order.
    pub firing_terms: Vec<Term>,
    /// The summands of `resolved`, in order.
    pub resolved_terms: Vec<Term>,
    /// How much history the expression reads, recording rules followed.
    pub window: Duration,
    /// How often it is evaluated.
    pub evaluation: Duration,
    /// `keep_firing_for` in whole evaluations.
    pub kept: Duration,
}

/// The times of the notifications of one route.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub struct RouteBound {
    /// The receiver's name.
    pub receiver: String,
    /// Its place in the routing tree.
    pub route: String,
    /// The labels of its group, as far as they are known: alerts that share them share `group_wait`.
    pub group: BTreeMap<String, String>,
    /// The labels that make a group; `...` for all.
    pub group_by: Vec<String>,
    /// Wait before the first notification of a group.
    pub group_wait: Duration,
    /// Time between looks at a group that exists.
    pub group_interval: Duration,
    /// First notification.
    pub notified: Interval,
    /// Notification of the resolution; none when no integration of the receiver sends it.
    pub resolved_notified: Option<Interval>,
    /// What is added to `firing`.
    pub notified_terms: Vec<Term>,
    /// What is added to `resolved`.
    pub resolved_terms: Vec<Term>,
    /// Time intervals that mute the route or outside of which it is mute: the wall clock decides whether anything is sent.
    pub time_intervals: Vec<String>,
    /// The gap between notifications of an unchanged group, rounded up to its ticks.
    pub repeated_every: Duration,
}

/// The bounds of every alerting rule of this name whose own labels do not contradict `labels`. `config` is what runs, that
/// is, already scaled; `labels` are those an expectation names and those the series are known to carry.
#[must_use]
pub fn bounds(
    config: &ConfigSet,
    alert: &str,
    labels: &BTreeMap<String, String>,
    conditions: Conditions,
) -> Vec<AlertBound> {
    bounds_by(config, alert, labels, |_| conditions)
}

/// The same, with what is known for each rule.
#[must_use]
pub fn bounds_by(
    config: &ConfigSet,
    alert: &str,
    labels: &BTreeMap<String, String>,
    conditions: impl Fn(&Rule) -> Conditions,
) -> Vec<AlertBound> {
    let rules = config.prometheus.alerts_named(alert).into_iter().filter(|(_, rule)| agrees(&rule.labels, labels));
    let of_metrics = rules.map(|(group, rule)| bound(config, group, rule, labels, conditions(rule)));
    of_metrics.chain(log::bounds(config, alert, labels)).collect()
}

/// The longest history any alert reads: so long after the start must a baseline wait.
#[must_use]
pub fn settle_time(config: &PrometheusConfig) -> Duration {
    config.alerts().map(|(_, rule)| window(config, rule)).max().unwrap_or_default()
}

/// How much history a rule reads, recording rules followed.
#[must_use]
pub fn window(config: &PrometheusConfig, rule: &Rule) -> Duration {
    history(config, &rule.ast, 0)
}

/// How much history a query reads, recording rules followed; nothing for what is no query.
#[must_use]
pub fn query_window(config: &PrometheusConfig, query: &str) -> Duration {
    promql::parse(query).map_or(Duration::ZERO, |expr| history(config, &expr, 0))
}

/// How much history the rules of an alert's name read, recording rules followed.
#[must_use]
pub fn alert_window(config: &PrometheusConfig, alert: &str) -> Duration {
    config.alerts_named(alert).into_iter().map(|(_, rule)| window(config, rule)).max().unwrap_or_default()
}

fn history(config: &PrometheusConfig, expr: &promql_parser::parser::Expr, depth: usize) -> Duration {
    let selectors = promql::selectors(expr).into_iter();
    let reads = selectors.map(|(selector, own)| {
        let record = selector.name.as_deref().filter(|_| depth < lag::DEEPEST).and_then(|name| config.record(name));
        own + record
            .map_or(Duration::ZERO, |(group, rule)| config.interval_of(group) + history(config, &rule.ast, depth + 1))
    });
    reads.max().unwrap_or_default()
}

/// Whether the labels a rule adds do not contradict `labels`.
fn agrees(own: &BTreeMap<String, String>, labels: &BTreeMap<String, String>) -> bool {
    own.iter().all(|(name, value)| value.contains("{{") || labels.get(name).is_none_or(|wanted| wanted == value))
}

fn bound(
    config: &ConfigSet,
    group: &RuleGroup,
    rule: &Rule,
    labels: &BTreeMap<String, String>,
    conditions: Conditions,
) -> AlertBound {
    let prometheus = &config.prometheus;
    let evaluation = prometheus.interval_of(group);
    let lag =
        Reader { config: prometheus, conditions, direction: direction(rule), group, position: position(group, rule) }
            .lag(&rule.ast);
    let mut firing_terms = lag.fire.clone();
    firing_terms.push(evaluation_term(evaluation));
    let pending = sum(&firing_terms);
    if !rule.hold.is_zero() {
        firing_terms.push(Term::exact("for", ticks(rule.hold, evaluation), whole(rule.hold, evaluation)));
    }
    let resolved_terms = resolving(&lag, rule, evaluation);
    let (firing, resolved) = (sum(&firing_terms), sum(&resolved_terms));
    let routed = routed_labels(prometheus.external_labels.clone(), rule.name(), &rule.labels, labels);
    AlertBound {
        alert: rule.name().to_owned(),
        labels: rule.labels.clone(),
        pending,
        firing,
        resolved,
        routes: routes(config, &routed, conditions, firing, resolved),
        firing_terms,
        resolved_terms,
        window: window(prometheus, rule),
        evaluation,
        kept: ticks(rule.keep_firing, evaluation),
    }
}

fn direction(rule: &Rule) -> Direction {
    match finding::threshold(rule).map(|threshold| threshold.operator) {
        Some(Operator::Less | Operator::LessOrEqual | Operator::Equal) => Direction::Falls,
        _ => Direction::Rises,
    }
}

fn position(group: &RuleGroup, rule: &Rule) -> usize {
    group.rules.iter().position(|other| std::ptr::eq(other, rule)).unwrap_or(group.rules.len())
}

fn evaluation_term(evaluation: Duration) -> Term {
    Term::new("evaluation", Duration::ZERO, evaluation, "until the group's next evaluation")
}

fn resolving(lag: &Lag, rule: &Rule, evaluation: Duration) -> Vec<Term> {
    let mut terms = lag.resolve.clone();
    terms.push(evaluation_term(evaluation));
    if !rule.keep_firing.is_zero() {
        let keeps = ticks(rule.keep_firing, evaluation);
        terms.push(Term::exact("keep_firing_for", keeps, whole(rule.keep_firing, evaluation)));
    }
    terms
}

fn whole(duration: Duration, evaluation: Duration) -> String {
    format!("{} in whole evaluations of {}", print(duration), print(evaluation))
}

/// `duration` as Prometheus waits for it: up to the next whole evaluation.
fn ticks(duration: Duration, evaluation: Duration) -> Duration {
    let step = evaluation.as_nanos().max(1);
    let nanos = duration.as_nanos().div_ceil(step) * step;
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// The labels an alert has when it reaches Alertmanager, as far as they are known.
fn routed_labels(
    external: BTreeMap<String, String>,
    alert: &str,
    own: &BTreeMap<String, String>,
    labels: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let mut routed = external;
    routed.extend(labels.clone());
    let plain = own.iter().filter(|(_, value)| !value.contains("{{"));
    routed.extend(plain.map(|(name, value)| (name.clone(), value.clone())));
    routed.insert("alertname".to_owned(), alert.to_owned());
    routed
}

/// The routes that an alert with these labels takes.
fn routes(
    config: &ConfigSet,
    routed: &BTreeMap<String, String>,
    conditions: Conditions,
    firing: Interval,
    resolved: Interval,
) -> Vec<RouteBound> {
    let through = |manager: &AlertmanagerConfig| -> Vec<RouteBound> {
        let taken = manager.route(routed).into_iter();
        taken
            .map(|route| RouteBound {
                group: route.group_labels(routed),
                ..route_bound(manager, &route, conditions, firing, resolved)
            })
            .collect()
    };
    config.alertmanager.iter().flat_map(through).collect()
}

fn route_bound(
    manager: &AlertmanagerConfig,
    route: &ResolvedRoute,
    conditions: Conditions,
    firing: Interval,
    resolved: Interval,
) -> RouteBound {
    let (wait, interval) = (route.group_wait, route.group_interval);
    let group = match conditions.group {
        Group::New => Term::exact("group_wait", wait, "the alert creates its group".to_owned()),
        Group::Exists => {
            Term::new("group_interval", Duration::ZERO, interval, "until the next tick of a group that exists")
        }
        Group::Unknown => Term::new(
            "group",
            Duration::ZERO,
            wait.max(interval),
            "the group may be new (group_wait) or exist (group_interval)",
        ),
    };
    let transport =
        Term::new("transport", Duration::ZERO, TRANSPORT, "Prometheus to Alertmanager to the receiver, under load");
    let tick = Term::new("group_interval", Duration::ZERO, interval, "a resolution is sent at the group's next tick");
    let (notified_terms, resolved_terms) = (vec![group, transport.clone()], vec![tick, transport]);
    let tells = manager
        .receiver(&route.receiver)
        .is_some_and(|receiver| receiver.integrations.iter().any(|entry| entry.send_resolved));
    RouteBound {
        receiver: route.receiver.clone(),
        route: route.path.clone(),
        group: BTreeMap::new(),
        group_by: match &route.group_by {
            GroupBy::All => vec!["...".to_owned()],
            GroupBy::Labels(names) => names.clone(),
        },
        group_wait: wait,
        group_interval: interval,
        notified: firing.plus(sum(&notified_terms)),
        resolved_notified: tells.then(|| resolved.plus(sum(&resolved_terms))),
        notified_terms,
        resolved_terms,
        time_intervals: route.muted_in.iter().chain(&route.active_in).cloned().collect(),
        repeated_every: ticks(route.repeat_interval, interval),
    }
}

#[cfg(test)]
mod tests;
