//! Whether a fault is strong enough to be judged: far enough from the threshold, and with enough events in the shortest
//! window. Read by `harness lint` with what a scenario plans.

use std::time::Duration;

use promql_parser::parser::Expr;
use promql_parser::parser::token::{T_EQLC, T_GTE, T_GTR, T_LAND, T_LSS, T_LTE, T_NEQ};
use serde::{Deserialize, Serialize};

use crate::condition::Operator;
use crate::plan::scale::PrometheusConfig;
use crate::plan::scale::promql;
use crate::plan::scale::rule::Rule;

/// Fewer expected events than this in a window leave the verdict to chance.
pub const FEWEST_EVENTS: f64 = 50.0;

/// Nearer to the threshold than this, the decision is a matter of the scrape's phase and not of the rule.
const NEAREST: f64 = 0.10;

/// The constant a rule compares with.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Threshold {
    /// How.
    pub operator: Operator,
    /// With what.
    pub value: f64,
}

/// Events in the shortest window a rule reads.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct EventBudget {
    /// The shortest window, in the time of the configuration given.
    pub window: Duration,
    /// Expected events in it.
    pub expected: f64,
}

/// A signal too near to a threshold to be judged.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TooClose {
    /// The distance as a share of the threshold.
    pub distance: f64,
}

/// The first comparison of a rule with a constant, reading from the left: `(a > 5) and b` has 5.
#[must_use]
pub fn threshold(rule: &Rule) -> Option<Threshold> {
    compared(rule).map(|(threshold, _)| threshold)
}

/// The same, with the side that is compared.
#[must_use]
pub fn compared(rule: &Rule) -> Option<(Threshold, &Expr)> {
    of(&rule.ast)
}

fn of(expr: &Expr) -> Option<(Threshold, &Expr)> {
    match expr {
        Expr::Paren(paren) => of(&paren.expr),
        Expr::Binary(binary) if binary.op.id() == T_LAND => of(&binary.lhs),
        Expr::Binary(binary) => {
            let operator = operator(binary.op.id())?;
            let constant = |side: &Expr| promql::constant_value(side);
            match (constant(&binary.lhs), constant(&binary.rhs)) {
                (None, Some(value)) => Some((Threshold { operator, value }, &binary.lhs)),
                (Some(value), None) => Some((Threshold { operator: turned(operator), value }, &binary.rhs)),
                _ => None,
            }
        }
        _ => None,
    }
}

fn operator(token: promql_parser::parser::token::TokenId) -> Option<Operator> {
    match token {
        T_EQLC => Some(Operator::Equal),
        T_NEQ => Some(Operator::NotEqual),
        T_GTR => Some(Operator::Greater),
        T_GTE => Some(Operator::GreaterOrEqual),
        T_LSS => Some(Operator::Less),
        T_LTE => Some(Operator::LessOrEqual),
        _ => None,
    }
}

const fn turned(operator: Operator) -> Operator {
    match operator {
        Operator::Less => Operator::Greater,
        Operator::LessOrEqual => Operator::GreaterOrEqual,
        Operator::Greater => Operator::Less,
        Operator::GreaterOrEqual => Operator::LessOrEqual,
        same => same,
    }
}

/// Whether a signal of this level is too near to the threshold: within a tenth of it.
#[must_use]
pub fn too_close(threshold: Threshold, level: f64) -> Option<TooClose> {
    let counts = matches!(threshold.operator, Operator::Equal | Operator::NotEqual) || threshold.value == 0.0;
    let distance = (level - threshold.value).abs() / threshold.value.abs();
    (!counts && distance < NEAREST).then_some(TooClose { distance })
}

/// Expected events in the shortest window of events a rule reads, recording rules followed; none when it reads no window.
/// `config` is what runs (scaled), `events` are real events a second that match the rule's selectors.
#[must_use]
pub fn event_budget(config: &PrometheusConfig, rule: &Rule, events: f64) -> Option<EventBudget> {
    let window = shortest(config, &rule.ast, 0)?;
    Some(EventBudget { window, expected: events * window.as_secs_f64() })
}

fn shortest(config: &PrometheusConfig, expr: &Expr, depth: usize) -> Option<Duration> {
    let counting = ["rate", "increase", "irate"];
    let own = promql::windows(expr)
        .into_iter()
        .filter(|window| counting.contains(&window.function.as_str()))
        .map(|window| window.range);
    let names = promql::selectors(expr).into_iter().filter_map(|(selector, _)| selector.name.clone());
    let records =
        names.filter(|_| depth < 16).filter_map(|name| shortest(config, &config.record(&name)?.1.ast, depth + 1));
    own.chain(records).min()
}
