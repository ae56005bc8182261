//! How far a planned fault drives the signal that a rule watches, as far as it can be known without a run: shares and rates
//! of the requests that `[signals]` names. Fed with rules, loads and faults; read by `build` (how strong a fault is, for its
//! bounds) and by `finding` (whether it is too near to the threshold, or shows too few events).

use std::time::Duration;

use promql_parser::label::{MatchOp, Matcher};
use promql_parser::parser::token::T_DIV;
use promql_parser::parser::{Expr, MatrixSelector};

use super::bound::{Conditions, Silence, Strength};
use super::build::LoadPlan;
use super::finding::{Threshold, compared};
use super::scale::PrometheusConfig;
use super::scale::rule::Rule;
use crate::condition::Operator;
use crate::fault::{Fault, ProcessAction};
use crate::load::{Arrivals, Model};
use crate::stack::spec::{RequestSignal, Signals};

/// What is crossed in less time than this is crossed at once: no clock here tells the two apart.
const AT_ONCE: Duration = Duration::from_millis(10);
/// How many standard deviations a lower estimate stays below the mean.
const SIGMAS: f64 = 3.0;
/// Recording rules are followed so deep.
const DEEPEST: usize = 8;
/// What the fault `errors` answers with when it does not say.
const DEFAULT_STATUS: u64 = 500;

/// Where a fault drives a signal.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Drive {
    /// What the rule compares it with.
    pub threshold: Threshold,
    /// Its level while the fault lasts.
    pub level: f64,
    /// Its level when nothing is wrong.
    pub healthy: f64,
    /// The events a second that make the signal: failures while the fault lasts, or what it takes away.
    pub events: f64,
    /// The window it is a rate over, in the time of the configuration given.
    pub window: Duration,
    /// Whether the events come at random.
    pub arrivals: Arrivals,
}

/// What is sent and broken.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    /// What the service calls its signals.
    pub signals: &'a Signals,
    /// What is sent.
    pub loads: &'a [LoadPlan],
    /// What is broken.
    pub fault: &'a Fault,
}

/// Where the fault drives the rule's signal; none for what cannot be known: gauges, quantiles, other counters, routes.
#[must_use]
pub fn drive(config: &PrometheusConfig, rule: &Rule, scene: Scene<'_>) -> Option<Drive> {
    let (threshold, side) = compared(rule)?;
    let reader = Reader { config, requests: scene.signals.requests.as_ref()?, scene };
    reader.side(side, threshold, 0)
}

/// How strong a fault is for a rule, and how its target is silent; a group may be new or exist.
#[must_use]
pub fn conditions(config: &PrometheusConfig, rule: &Rule, scene: Scene<'_>) -> Conditions {
    let strength = drive(config, rule, scene).map_or(Strength::Unknown, |drive| drive.strength());
    let silence = match scene.fault {
        Fault::Process { action: ProcessAction::Kill | ProcessAction::Stop, .. } => Silence::Refuses,
        _ => Silence::Hangs,
    };
    Conditions { strength, silence, ..Conditions::default() }
}

impl Drive {
    /// How strong the fault is for the rule; a lower estimate, because events at random may come late.
    #[must_use]
    pub fn strength(&self) -> Strength {
        let falls = matches!(self.threshold.operator, Operator::Less | Operator::LessOrEqual);
        let (beyond, other) = if falls { (self.healthy, self.level) } else { (self.level, self.healthy) };
        let times = beyond / self.threshold.value;
        if other > 0.0 || self.events <= 0.0 || times <= 1.0 || !times.is_finite() {
            return if self.threshold.value == 0.0 { Strength::of(self.threshold, beyond) } else { Strength::Unknown };
        }
        let expected = self.events * self.window.as_secs_f64();
        let needed = expected / times;
        let needed = match self.arrivals {
            Arrivals::Constant => needed + 1.0,
            // so many are expected when `needed` of them have surely come
            Arrivals::Poisson => f64::midpoint(SIGMAS, SIGMAS.mul_add(SIGMAS, 4.0 * needed).sqrt()).powi(2),
        };
        let takes = Duration::from_secs_f64(needed / self.events);
        if takes <= AT_ONCE {
            return Strength::Immediate;
        }
        if takes < self.window { Strength::Times(expected / needed) } else { Strength::Unknown }
    }

    /// Events expected in the window.
    #[must_use]
    pub fn expected(&self) -> f64 {
        self.events * self.window.as_secs_f64()
    }
}

#[derive(Clone, Copy)]
struct Reader<'a> {
    config: &'a PrometheusConfig,
    requests: &'a RequestSignal,
    scene: Scene<'a>,
}

/// A rate or an increase of the service's requests.
struct Stream {
    window: Duration,
    /// Whether it counts only what the fault makes fail; else it counts every request.
    counts: Counts,
    /// Whether it is a count in the window rather than a rate.
    total: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Counts {
    Everything,
    Failures,
}

impl Reader<'_> {
    fn side(&self, side: &Expr, threshold: Threshold, depth: usize) -> Option<Drive> {
        match side {
            Expr::Paren(paren) => self.side(&paren.expr, threshold, depth),
            Expr::VectorSelector(selector) if depth < DEEPEST => {
                let (_, rule) = self.config.record(selector.name.as_deref()?)?;
                self.side(&rule.ast, threshold, depth + 1)
            }
            Expr::Binary(binary) if binary.op.id() == T_DIV => {
                let (part, whole) = (self.stream(&binary.lhs)?, self.stream(&binary.rhs)?);
                let shares = part.counts == Counts::Failures && whole.counts == Counts::Everything;
                (shares && part.window == whole.window).then(|| self.share(threshold, part.window)).flatten()
            }
            other => self.rate(&self.stream(other)?, threshold),
        }
    }

    fn share(&self, threshold: Threshold, window: Duration) -> Option<Drive> {
        let (share, _) = self.failing()?;
        let (rate, arrivals) = self.traffic(share)?;
        Some(Drive { threshold, level: share, healthy: 0.0, events: rate * share, window, arrivals })
    }

    fn rate(&self, stream: &Stream, threshold: Threshold) -> Option<Drive> {
        let unit = if stream.total { stream.window.as_secs_f64() } else { 1.0 };
        let (window, counts) = (stream.window, stream.counts);
        match (counts, self.scene.fault) {
            (Counts::Failures, _) => {
                let (share, _) = self.failing()?;
                let (rate, arrivals) = self.traffic(share)?;
                let events = rate * share;
                Some(Drive { threshold, level: events * unit, healthy: 0.0, events, window, arrivals })
            }
            (Counts::Everything, Fault::Load { name, factor }) => {
                let (rate, arrivals) = self.traffic(1.0)?;
                let only = self.scene.loads.len() == 1 && self.scene.loads[0].name == *name;
                let (level, healthy) = (rate * factor * unit, rate * unit);
                only.then_some(Drive { threshold, level, healthy, events: rate, window, arrivals })
            }
            _ => None,
        }
    }

    /// The share of requests that the fault makes fail, and their status; none for a fault on one route only.
    fn failing(&self) -> Option<(f64, String)> {
        let Fault::Switch { name, parameters, .. } = self.scene.fault else { return None };
        if name != "errors" || parameters.get("route").is_some_and(|route| !route.is_null()) {
            return None;
        }
        let share = parameters.get("share").and_then(serde_json::Value::as_f64).unwrap_or(1.0);
        let status = parameters.get("status").and_then(serde_json::Value::as_u64).unwrap_or(DEFAULT_STATUS);
        Some((share, status.to_string()))
    }

    /// What all loads send a second when they are at their rate; a share of it is drawn at random.
    fn traffic(&self, share: f64) -> Option<(f64, Arrivals)> {
        let mut total = 0.0;
        let mut spread = if share < 1.0 { Arrivals::Poisson } else { Arrivals::Constant };
        for load in self.scene.loads {
            let Model::Open { stages, arrivals, .. } = &load.model else { return None };
            if !load.journeys.is_empty() {
                return None;
            }
            total += stages.last()?.to;
            if *arrivals == Arrivals::Poisson {
                spread = Arrivals::Poisson;
            }
        }
        (total > 0.0).then_some((total, spread))
    }

    fn stream(&self, expr: &Expr) -> Option<Stream> {
        match expr {
            Expr::Paren(paren) => self.stream(&paren.expr),
            Expr::Aggregate(aggregate) if aggregate.op.to_string() == "sum" => self.stream(&aggregate.expr),
            Expr::Call(call) if matches!(call.func.name, "rate" | "increase") => match call.args.args.first()?.as_ref()
            {
                Expr::MatrixSelector(matrix) => {
                    let counts = self.counts(matrix)?;
                    Some(Stream { window: matrix.range, counts, total: call.func.name == "increase" })
                }
                _ => None,
            },
            _ => None,
        }
    }

    fn counts(&self, matrix: &MatrixSelector) -> Option<Counts> {
        let selector = &matrix.vs;
        if selector.name.as_deref() != Some(self.requests.metric.as_str()) || selector.offset.is_some() {
            return None;
        }
        let mut counts = Counts::Everything;
        for matcher in &selector.matchers.matchers {
            if Some(&matcher.name) == self.requests.status.as_ref() {
                let (_, status) = self.failing()?;
                if !matches(matcher, &status) {
                    return None;
                }
                counts = Counts::Failures;
            } else if [&self.requests.route, &self.requests.method].contains(&&Some(matcher.name.clone())) {
                return None;
            }
        }
        Some(counts)
    }
}

fn matches(matcher: &Matcher, value: &str) -> bool {
    match &matcher.op {
        MatchOp::Equal => matcher.value == value,
        MatchOp::NotEqual => matcher.value != value,
        MatchOp::Re(regex) => regex.is_match(value),
        MatchOp::NotRe(regex) => !regex.is_match(value),
    }
}

#[cfg(test)]
#[path = "drive_tests.rs"]
mod tests;
