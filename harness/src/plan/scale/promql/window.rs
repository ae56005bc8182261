//! The range windows and selectors of an expression. Read by `plan::bound`, by findings and by the caveats.

use std::time::Duration;

use promql_parser::parser::{Expr, Offset, VectorSelector};

use super::literal::children;

/// A range over which samples are read.
#[derive(Clone, Debug, PartialEq)]
pub struct Window {
    /// The length of the range, subqueries around it added.
    pub range: Duration,
    /// How far it is moved into the past.
    pub offset: Duration,
    /// The function around it (`rate`, `increase`, `avg_over_time` …); empty for none.
    pub function: String,
    /// The metric's name, if it has one.
    pub metric: Option<String>,
    /// Whether it is evaluated as a subquery rather than over raw samples.
    pub subquery: bool,
}

/// Every range of the expression; a subquery adds its range to what it contains.
#[must_use]
pub fn windows(expr: &Expr) -> Vec<Window> {
    let mut found = Vec::new();
    collect(expr, "", (Duration::ZERO, Duration::ZERO), &mut found);
    found
}

/// Every selector of the expression with the range read before now: its windows and offsets added up.
#[must_use]
pub fn selectors(expr: &Expr) -> Vec<(&VectorSelector, Duration)> {
    let mut found = Vec::new();
    reach(expr, Duration::ZERO, &mut found);
    found
}

fn reach<'a>(expr: &'a Expr, outer: Duration, found: &mut Vec<(&'a VectorSelector, Duration)>) {
    match expr {
        Expr::VectorSelector(selector) => found.push((selector, outer + shift(selector.offset.as_ref()))),
        Expr::MatrixSelector(matrix) => {
            found.push((&matrix.vs, outer + matrix.range + shift(matrix.vs.offset.as_ref())))
        }
        Expr::Subquery(subquery) => {
            reach(&subquery.expr, outer + subquery.range + shift(subquery.offset.as_ref()), found)
        }
        other => children(other).into_iter().for_each(|child| reach(child, outer, found)),
    }
}

fn shift(offset: Option<&Offset>) -> Duration {
    match offset {
        Some(Offset::Pos(duration)) => *duration,
        _ => Duration::ZERO,
    }
}

fn collect(expr: &Expr, function: &str, outer: (Duration, Duration), found: &mut Vec<Window>) {
    match expr {
        Expr::MatrixSelector(matrix) => found.push(Window {
            range: outer.0 + matrix.range,
            offset: outer.1 + shift(matrix.vs.offset.as_ref()),
            function: function.to_owned(),
            metric: matrix.vs.name.clone(),
            subquery: false,
        }),
        Expr::Subquery(subquery) => {
            let inner = (outer.0 + subquery.range, outer.1 + shift(subquery.offset.as_ref()));
            let before = found.len();
            collect(&subquery.expr, function, inner, found);
            if found.len() == before {
                let function = function.to_owned();
                found.push(Window { range: inner.0, offset: inner.1, function, metric: None, subquery: true });
            }
        }
        Expr::Call(call) => call.args.args.iter().for_each(|argument| collect(argument, call.func.name, outer, found)),
        other => children(other).into_iter().for_each(|child| collect(child, function, outer, found)),
    }
}
