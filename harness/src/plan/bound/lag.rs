//! How long a change at a target takes until an expression shows it: scrapes, windows, recording rules. Used by `bound`.
//!
//! A rate driven to m times its threshold has crossed it when a share 1/m of its window W is filled, seen at the scrape after
//! that; when the fault is gone it falls below when so much is left, between W - W/m - s and W later (s: scrape interval).

use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::{Expr, MatrixSelector, Offset, SubqueryExpr, VectorSelector};

use super::term::{Interval, Term, sum};
use super::{Conditions, Silence, Strength};
use crate::plan::scale::PrometheusConfig;
use crate::plan::scale::duration::print;
use crate::plan::scale::rule::RuleGroup;

/// Recording rules are followed so deep (chains of five are known).
pub(super) const DEEPEST: usize = 16;

/// The time from a change at a target until an expression shows it, at the fault and at its end.
#[derive(Clone, Debug, Default)]
pub(super) struct Lag {
    /// Until the fault shows.
    pub(super) fire: Vec<Term>,
    /// Until its end shows.
    pub(super) resolve: Vec<Term>,
    /// Between samples of what is read.
    step: Duration,
}

/// Whether a rule waits for its signal to be too high or too low.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    /// Too high, or not known.
    Rises,
    /// Too low: a window must drain before it fires, and refill before it resolves.
    Falls,
}

/// Reads expressions as one rule of one group sees them.
#[derive(Clone, Copy)]
pub(super) struct Reader<'a> {
    pub(super) config: &'a PrometheusConfig,
    pub(super) conditions: Conditions,
    pub(super) direction: Direction,
    pub(super) group: &'a RuleGroup,
    /// The rule's place in the group: what is recorded above it is fresh.
    pub(super) position: usize,
}

impl Reader<'_> {
    pub(super) fn lag(&self, expr: &Expr) -> Lag {
        self.of(expr, "", 0).unwrap_or_default()
    }

    /// None for constants.
    fn of(&self, expr: &Expr, function: &str, depth: usize) -> Option<Lag> {
        match expr {
            Expr::VectorSelector(selector) => Some(self.selector(selector, depth)),
            Expr::MatrixSelector(matrix) => Some(self.matrix(matrix, function, depth)),
            Expr::Subquery(subquery) => self.subquery(subquery, function, depth),
            Expr::Call(call) => {
                widest(call.args.args.iter().filter_map(|argument| self.of(argument, call.func.name, depth)).collect())
            }
            Expr::Aggregate(aggregate) => self.of(&aggregate.expr, "", depth),
            Expr::Paren(paren) => self.of(&paren.expr, function, depth),
            Expr::Unary(unary) => self.of(&unary.expr, "", depth),
            Expr::Binary(binary) => {
                widest([&binary.lhs, &binary.rhs].into_iter().filter_map(|side| self.of(side, "", depth)).collect())
            }
            _ => None,
        }
    }

    fn selector(&self, selector: &VectorSelector, depth: usize) -> Lag {
        let mut lag = self.source(selector, depth);
        if let Some(Offset::Pos(offset)) = selector.offset {
            let term = Term::exact("offset", offset, "the expression looks into the past".to_owned());
            lag.fire.push(term.clone());
            lag.resolve.push(term);
        }
        lag
    }

    /// A recorded series, or one that is scraped.
    fn source(&self, selector: &VectorSelector, depth: usize) -> Lag {
        let name = selector.name.as_deref().unwrap_or_default();
        match self.config.record(name).filter(|_| depth < DEEPEST) {
            Some((group, rule)) => {
                let position = group.rules.iter().position(|other| std::ptr::eq(other, rule)).unwrap_or_default();
                let interval = self.config.interval_of(group);
                let inner = Self { group, position, ..*self };
                let mut lag = inner.of(&rule.ast, "", depth + 1).unwrap_or_default();
                let fresh = std::ptr::eq(group, self.group) && position < self.position;
                if !fresh {
                    let term =
                        Term::new("recording rule", Duration::ZERO, interval, format!("until `{name}` is recorded"));
                    lag.fire.push(term.clone());
                    lag.resolve.push(term);
                }
                lag.step = interval;
                lag
            }
            None => self.scraped(selector),
        }
    }

    fn scraped(&self, selector: &VectorSelector) -> Lag {
        let job = |matcher: &&promql_parser::label::Matcher| matcher.name == "job" && matcher.op == MatchOp::Equal;
        let named = selector.matchers.matchers.iter().find(job).map(|matcher| matcher.value.as_str());
        let jobs = self.config.jobs.iter().filter(|job| named.is_none_or(|name| name == job.name));
        let (interval, timeout) = jobs.fold((Duration::ZERO, Duration::ZERO), |(interval, timeout), job| {
            (interval.max(job.interval), timeout.max(job.timeout))
        });
        let step = if interval.is_zero() { self.config.scrape_interval } else { interval };
        let scrape = Term::new("scrape", Duration::ZERO, step, "until the next scrape");
        let mut fire = vec![scrape.clone()];
        if self.conditions.silence == Silence::Hangs && selector.name.as_deref() == Some("up") {
            fire.push(Term::new(
                "scrape timeout",
                Duration::ZERO,
                timeout,
                "a target that hangs is down when its scrape times out",
            ));
        }
        // `pg_up`, `redis_up`: who asks a server that is gone tries for a while before it says so
        if selector.name.as_deref().is_some_and(|name| name.ends_with("_up")) {
            let why = "an exporter tries for a while before it says that its server is gone";
            fire.push(Term::new("scrape timeout", Duration::ZERO, timeout, why));
        }
        Lag { fire, resolve: vec![scrape], step }
    }

    fn matrix(&self, matrix: &MatrixSelector, function: &str, depth: usize) -> Lag {
        let base = self.selector(&matrix.vs, depth);
        let raw = base.step;
        let scraped = self.config.record(matrix.vs.name.as_deref().unwrap_or_default()).is_none();
        let (fire, resolve) = self.window(function, matrix.range, raw);
        let mut lag = Lag { step: raw, ..base };
        if scraped {
            // the last increase, or sample, lies between two scrapes around the change: no scrape is waited for
            let drained = match function {
                "absent_over_time" => Some(&mut lag.fire),
                _ if self.falls(function) || self.holds_back(function) => Some(&mut lag.fire),
                "rate" | "increase" | "delta" | "changes" | "resets" => Some(&mut lag.resolve),
                _ if self.holds_on(function) => Some(&mut lag.resolve),
                _ => None,
            };
            drained.into_iter().for_each(|terms| terms.retain(|term| term.name != "scrape"));
        }
        lag.fire.push(fire);
        lag.resolve.push(resolve);
        lag
    }

    /// What a window adds after the first sample: until it shows the fault, until it has forgotten it.
    fn window(&self, function: &str, window: Duration, step: Duration) -> (Term, Term) {
        let add = |interval: Interval, why: String| Term::new("window", interval.floor, interval.ceiling, why);
        let fills = Interval { floor: Duration::ZERO, ceiling: window };
        let now = Interval::default();
        let forgets = Interval { floor: window.saturating_sub(step), ceiling: window };
        let (fire, resolve) = match function {
            "rate" | "increase" | "delta" if self.falls(function) => {
                (self.leaving(window, step), self.crossing(window))
            }
            "rate" | "increase" | "delta" => (self.crossing(window), self.leaving(window, step)),
            "irate" | "idelta" => (now, Interval { floor: Duration::ZERO, ceiling: step }),
            "changes" | "resets" => (now, forgets),
            _ if self.holds_on(function) => (now, forgets),
            _ if self.holds_back(function) => (forgets, now),
            "absent_over_time" => (forgets, now),
            "last_over_time" | "present_over_time" => (now, fills),
            _ => (fills, fills),
        };
        let length = print(window);
        (
            add(fire, format!("until `{function}` over {length} shows the fault")),
            add(resolve, format!("until `{function}` over {length} shows its end")),
        )
    }

    fn falls(&self, function: &str) -> bool {
        self.direction == Direction::Falls && matches!(function, "rate" | "increase" | "delta")
    }

    /// One bad sample is enough, and it counts until it leaves the window.
    fn holds_on(&self, function: &str) -> bool {
        matches!((function, self.direction), ("max_over_time", Direction::Rises) | ("min_over_time", Direction::Falls))
    }

    /// One good sample is enough, and it counts until it leaves the window.
    fn holds_back(&self, function: &str) -> bool {
        matches!((function, self.direction), ("min_over_time", Direction::Rises) | ("max_over_time", Direction::Falls))
    }

    fn crossing(&self, window: Duration) -> Interval {
        let ceiling = match self.conditions.strength {
            Strength::Immediate => Duration::ZERO,
            Strength::Unknown => window,
            Strength::Times(times) => window.div_f64(times.max(1.0)),
        };
        Interval { floor: Duration::ZERO, ceiling }
    }

    fn leaving(&self, window: Duration, step: Duration) -> Interval {
        let floor = match self.conditions.strength {
            Strength::Immediate => window,
            Strength::Unknown => Duration::ZERO,
            Strength::Times(times) => window.mul_f64((1.0 - 1.0 / times.max(1.0)).max(0.0)),
        };
        Interval { floor: floor.saturating_sub(step), ceiling: window }
    }

    fn subquery(&self, subquery: &SubqueryExpr, function: &str, depth: usize) -> Option<Lag> {
        let mut lag = self.of(&subquery.expr, "", depth)?;
        let step = subquery.step.unwrap_or(self.config.evaluation_interval);
        let grid = Term::new("subquery step", Duration::ZERO, step, "until the subquery's next step");
        let (fire, resolve) = self.window(function, subquery.range, step);
        lag.fire.extend([grid.clone(), fire]);
        lag.resolve.extend([grid, resolve]);
        if let Some(Offset::Pos(offset)) = subquery.offset {
            let term = Term::exact("offset", offset, "the expression looks into the past".to_owned());
            lag.fire.push(term.clone());
            lag.resolve.push(term);
        }
        lag.step = step;
        Some(lag)
    }
}

/// The lag of several operands: the slowest decides the ceiling, the fastest the floor.
fn widest(lags: Vec<Lag>) -> Option<Lag> {
    let step = lags.iter().map(|lag| lag.step).max()?;
    let fire = slowest(lags.iter().map(|lag| &lag.fire));
    let resolve = slowest(lags.iter().map(|lag| &lag.resolve));
    Some(Lag { fire, resolve, step })
}

fn slowest<'a>(operands: impl Iterator<Item = &'a Vec<Term>> + Clone) -> Vec<Term> {
    let floor = operands.clone().map(|terms| sum(terms).floor).min().unwrap_or_default();
    let mut terms = operands.max_by_key(|terms| sum(terms).ceiling).cloned().unwrap_or_default();
    let mut surplus = sum(&terms).floor.saturating_sub(floor);
    for term in terms.iter_mut().rev() {
        let less = surplus.min(term.floor);
        term.floor -= less;
        surplus -= less;
    }
    terms
}
