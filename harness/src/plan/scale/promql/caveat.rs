//! What loses meaning when an expression is scaled, with the arithmetic (`facts`: one alert in ten). Nothing is
//! guessed silently: thresholds on counts and rates stay the author's, and the reader is told what that means.

use promql_parser::parser::{Expr, VectorSelector};

use super::literal::{
    compared_with_elapsed, constant_value, is_comparison, is_constant, is_divisible, is_elapsed_time, walk,
};
use super::{Context, windows};
use crate::plan::scale::duration::{self, Rounding, Scale};

/// A construct that does not keep its meaning under a scale.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// Which kind of construct.
    pub kind: DoubtKind,
    /// What it means here, with numbers.
    pub message: String,
}

/// Kinds of constructs that a scale changes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DoubtKind {
    /// A count of events in a window is compared with a number: real traffic leaves fewer events in a shorter window.
    CountInWindow,
    /// A rate threshold under one event in the window.
    FewEvents,
    /// A slope per real second.
    Slope,
    /// Days of the week, hours, absolute times.
    Calendar,
    /// A gauge whose exporter owns the clock.
    ExporterAge,
    /// Elapsed time is compared with something that is no plain constant.
    Constant,
}

impl Doubt {
    pub(super) fn new(kind: DoubtKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into() }
    }
}

const CALENDAR: [&str; 8] =
    ["hour", "minute", "month", "year", "day_of_month", "day_of_week", "day_of_year", "days_in_month"];
const COUNTS: [&str; 6] = ["increase", "delta", "idelta", "changes", "resets", "count_over_time"];
const RATES: [&str; 2] = ["rate", "irate"];
const AGES: [&str; 10] = [
    "_age",
    "_lag",
    "uptime",
    "seconds_behind",
    "expires",
    "expiry",
    "_since_",
    "staleness",
    "idle_seconds",
    "delay_seconds",
];

/// Every doubt about an expression under `scale`.
pub(super) fn doubts(expr: &Expr, scale: Scale, context: &Context) -> Vec<Doubt> {
    let mut found = Vec::new();
    walk(expr, &mut |node| match node {
        Expr::Call(call) if CALENDAR.contains(&call.func.name) => {
            found.push(Doubt::new(
                DoubtKind::Calendar,
                format!("`{}()` reads the calendar, which no scale compresses", call.func.name),
            ));
        }
        Expr::VectorSelector(VectorSelector { at: Some(_), .. }) => {
            found.push(Doubt::new(DoubtKind::Calendar, "`@` names an absolute time, which no scale compresses"));
        }
        Expr::Binary(binary) if is_comparison(binary) => {
            for (side, other) in [(&binary.lhs, &binary.rhs), (&binary.rhs, &binary.lhs)] {
                if is_elapsed_time(side, context) && !is_constant(other) {
                    let message = "an elapsed time is compared with another series: that comparison is not scaled";
                    found.push(Doubt::new(DoubtKind::Constant, message));
                } else if let Some(threshold) = constant_value(other).filter(|_| !is_constant(side)) {
                    found.extend(against_constant(side, threshold, scale));
                }
            }
            if compared_with_elapsed(binary, context).is_some_and(|constant| !is_divisible(constant)) {
                found.push(Doubt::new(
                    DoubtKind::Constant,
                    "the constant compared with an elapsed time is not scaled: write it as a product",
                ));
            }
        }
        _ => {}
    });
    found.dedup();
    found
}

fn against_constant(side: &Expr, threshold: f64, scale: Scale) -> Vec<Doubt> {
    if threshold == 0.0 || !threshold.is_finite() {
        return Vec::new();
    }
    let mut found = Vec::new();
    if let Some(name) = plain_metric(side).filter(|name| AGES.iter().any(|word| name.contains(word))) {
        let message = format!(
            "`{name}` is an age that its exporter measures in real time: the comparison with {threshold} is not scaled"
        );
        found.push(Doubt::new(DoubtKind::ExporterAge, message));
    }
    let Some(call) = innermost_range_call(side) else { return found };
    let Some(window) = windows(call).into_iter().next() else { return found };
    let Expr::Call(called) = call else { return found };
    let short = scale.shorten(window.range, Rounding::Down).duration;
    let (long_text, short_text) = (duration::print(window.range), duration::print(short));
    let function = called.func.name;
    if COUNTS.contains(&function) {
        let needed = threshold / short.as_secs_f64();
        let production = threshold / window.range.as_secs_f64();
        found.push(Doubt::new(
            DoubtKind::CountInWindow,
            format!(
                "`{function}(…[{long_text}])` counts events in {short_text} now: {threshold} takes {} real events a second, in production {}; \
                 the threshold is not changed, so size the fault by this rate",
                rounded(needed),
                rounded(production)
            ),
        ));
    } else if RATES.contains(&function) && threshold > 0.0 && threshold * short.as_secs_f64() < 1.0 {
        let one = 1.0 / short.as_secs_f64();
        found.push(Doubt::new(
            DoubtKind::FewEvents,
            format!(
                "one event in {short_text} is already a rate of {} a second, above the threshold {threshold} \
                 (in production {} events in {long_text}): keep the healthy rate at zero and the fault far above",
                rounded(one),
                rounded(threshold * window.range.as_secs_f64())
            ),
        ));
    } else if function == "deriv" {
        let message = format!("`deriv` is a slope per real second: the threshold {threshold} is not changed");
        found.push(Doubt::new(DoubtKind::Slope, message));
    }
    found
}

fn rounded(value: f64) -> String {
    if value >= 100.0 { format!("{value:.0}") } else { format!("{}", (value * 10_000.0).round() / 10_000.0) }
}

fn plain_metric(expr: &Expr) -> Option<&str> {
    match expr {
        Expr::VectorSelector(selector) => selector.name.as_deref(),
        Expr::Paren(paren) => plain_metric(&paren.expr),
        Expr::Aggregate(aggregate) => plain_metric(&aggregate.expr),
        _ => None,
    }
}

/// The range function of a side that is one (sums and factors around it allowed); none for ratios and quantiles.
fn innermost_range_call(expr: &Expr) -> Option<&Expr> {
    match expr {
        Expr::Paren(paren) => innermost_range_call(&paren.expr),
        Expr::Aggregate(aggregate) if !matches!(aggregate.op.to_string().as_str(), "count" | "group") => {
            innermost_range_call(&aggregate.expr)
        }
        Expr::Call(call) => {
            let ranged = call
                .args
                .args
                .iter()
                .any(|argument| matches!(argument.as_ref(), Expr::MatrixSelector(_) | Expr::Subquery(_)));
            if ranged { Some(expr) } else { None }
        }
        _ => None,
    }
}
