//! Numbers in an expression that are times: constants compared with `time() - x`, and the horizon of `predict_linear`.
//! Numbers are known by their index in reading order, the same in the syntax tree and in the text.

use std::collections::BTreeSet;

use promql_parser::parser::token::{T_ADD, T_DIV, T_EQLC, T_GTE, T_GTR, T_LSS, T_LTE, T_MUL, T_NEQ, T_SUB};
use promql_parser::parser::{BinaryExpr, Expr};

use super::token::{Kind, Token};
use super::{Context, number};
use crate::plan::scale::duration;

/// The children of a node in the order of the text.
pub(super) fn children(expr: &Expr) -> Vec<&Expr> {
    match expr {
        Expr::Aggregate(aggregate) => {
            aggregate.param.iter().map(AsRef::as_ref).chain([aggregate.expr.as_ref()]).collect()
        }
        Expr::Unary(unary) => vec![&unary.expr],
        Expr::Binary(binary) => vec![&binary.lhs, &binary.rhs],
        Expr::Paren(paren) => vec![&paren.expr],
        Expr::Subquery(subquery) => vec![&subquery.expr],
        Expr::Call(call) => call.args.args.iter().map(AsRef::as_ref).collect(),
        _ => Vec::new(),
    }
}

/// Every node, parents before children, in the order of the text.
pub fn walk<'a>(expr: &'a Expr, visit: &mut impl FnMut(&'a Expr)) {
    visit(expr);
    for child in children(expr) {
        walk(child, visit);
    }
}

/// The finite numbers of a tree in reading order.
fn numbers(expr: &Expr) -> Vec<&Expr> {
    let mut found = Vec::new();
    walk(expr, &mut |node| {
        if matches!(node, Expr::NumberLiteral(literal) if literal.val.is_finite()) {
            found.push(node);
        }
    });
    found
}

/// The tokens that are the numbers of the tree, in the same order; none when text and tree disagree.
pub(super) fn number_tokens(text: &str, tokens: &[Token], expr: &Expr) -> Option<Vec<Token>> {
    let candidates: Vec<Token> =
        tokens.iter().filter(|token| matches!(token.kind, Kind::Number | Kind::DurationNumber)).cloned().collect();
    let literals = numbers(expr);
    let same = |token: &Token, literal: &Expr| {
        let written = &text[token.span.clone()];
        let value = number(written).or_else(|| duration::parse(written).map(|duration| duration.as_secs_f64()));
        matches!(literal, Expr::NumberLiteral(literal) if value.is_some_and(|value| (value - literal.val.abs()).abs() <= value.abs() * 1e-12))
    };
    let agree = candidates.len() == literals.len()
        && candidates.iter().zip(&literals).all(|(token, literal)| same(token, literal));
    agree.then_some(candidates)
}

/// The indices of the numbers that must be divided with the durations.
pub(super) fn temporal(expr: &Expr, context: &Context) -> BTreeSet<usize> {
    let mut chosen: Vec<&Expr> = Vec::new();
    walk(expr, &mut |node| match node {
        Expr::Binary(binary) if is_comparison(binary) => {
            chosen.extend(compared_with_elapsed(binary, context).and_then(terms).unwrap_or_default());
        }
        Expr::Call(call) if call.func.name == "predict_linear" => {
            chosen.extend(call.args.args.get(1).and_then(|horizon| terms(horizon)).unwrap_or_default());
        }
        _ => {}
    });
    let all = numbers(expr);
    all.iter()
        .enumerate()
        .filter(|(_, literal)| chosen.iter().any(|wanted| std::ptr::eq(*wanted, **literal)))
        .map(|(index, _)| index)
        .collect()
}

/// Whether the operator compares.
pub(super) fn is_comparison(binary: &BinaryExpr) -> bool {
    [T_EQLC, T_NEQ, T_GTR, T_LSS, T_GTE, T_LTE].contains(&binary.op.id())
}

/// The constant side of a comparison whose other side is an elapsed time.
pub(super) fn compared_with_elapsed<'a>(binary: &'a BinaryExpr, context: &Context) -> Option<&'a Expr> {
    match (is_constant(&binary.lhs), is_constant(&binary.rhs)) {
        (false, true) if is_elapsed_time(&binary.lhs, context) => Some(&binary.rhs),
        (true, false) if is_elapsed_time(&binary.rhs, context) => Some(&binary.lhs),
        _ => None,
    }
}

/// Whether it holds neither series nor calls.
pub(super) fn is_constant(expr: &Expr) -> bool {
    match expr {
        Expr::NumberLiteral(_) => true,
        Expr::Paren(paren) => is_constant(&paren.expr),
        Expr::Unary(unary) => is_constant(&unary.expr),
        Expr::Binary(binary) => is_constant(&binary.lhs) && is_constant(&binary.rhs),
        _ => false,
    }
}

/// The value of a constant expression made of `+ - * /`.
#[must_use]
pub fn constant_value(expr: &Expr) -> Option<f64> {
    match expr {
        Expr::NumberLiteral(literal) => Some(literal.val),
        Expr::Paren(paren) => constant_value(&paren.expr),
        Expr::Unary(unary) => constant_value(&unary.expr).map(|value| -value),
        Expr::Binary(binary) => {
            let (left, right) = (constant_value(&binary.lhs)?, constant_value(&binary.rhs)?);
            match binary.op.id() {
                T_ADD => Some(left + right),
                T_SUB => Some(left - right),
                T_MUL => Some(left * right),
                T_DIV => Some(left / right),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Whether an expression is a difference of two times, in whatever unit: `time() - x`, `(x - timestamp(y)) / 3600`,
/// `max by (job) (time() - x)`, or a recorded series that is one.
#[must_use]
pub fn is_elapsed_time(expr: &Expr, context: &Context) -> bool {
    match expr {
        Expr::Paren(paren) => is_elapsed_time(&paren.expr, context),
        Expr::Unary(unary) => is_elapsed_time(&unary.expr, context),
        Expr::Binary(binary) => match binary.op.id() {
            T_SUB => reads_clock(&binary.lhs) || reads_clock(&binary.rhs) || is_elapsed_time(&binary.lhs, context),
            T_DIV => is_elapsed_time(&binary.lhs, context) && is_constant(&binary.rhs),
            T_MUL => {
                (is_elapsed_time(&binary.lhs, context) && is_constant(&binary.rhs))
                    || (is_constant(&binary.lhs) && is_elapsed_time(&binary.rhs, context))
            }
            _ => is_comparison(binary) && is_elapsed_time(&binary.lhs, context) && !binary.return_bool(),
        },
        Expr::Aggregate(aggregate) => {
            let keeps_unit =
                !matches!(aggregate.op.to_string().as_str(), "count" | "group" | "count_values" | "stdvar");
            keeps_unit && is_elapsed_time(&aggregate.expr, context)
        }
        Expr::Call(call) => {
            let keeps_unit = [
                "abs",
                "ceil",
                "floor",
                "round",
                "clamp_min",
                "clamp_max",
                "scalar",
                "vector",
                "sort",
                "sort_desc",
                "label_replace",
                "label_join",
            ];
            keeps_unit.contains(&call.func.name)
                && call.args.args.first().is_some_and(|first| is_elapsed_time(first, context))
        }
        Expr::VectorSelector(selector) => selector.name.as_ref().is_some_and(|name| context.elapsed.contains(name)),
        _ => false,
    }
}

/// Whether an operand of a difference is a point in time: `time()` or `timestamp(x)`, possibly aggregated.
pub(super) fn reads_clock(expr: &Expr) -> bool {
    match expr {
        Expr::Call(call) if matches!(call.func.name, "time" | "timestamp") => true,
        Expr::Call(call) if matches!(call.func.name, "scalar" | "vector" | "abs" | "floor" | "round") => {
            call.args.args.first().is_some_and(|first| reads_clock(first))
        }
        Expr::Aggregate(aggregate) => reads_clock(&aggregate.expr),
        Expr::Paren(paren) => reads_clock(&paren.expr),
        _ => false,
    }
}

/// The literals whose division divides a constant expression; none when no such set exists (`2 ^ 3`, `a % b`).
fn terms(expr: &Expr) -> Option<Vec<&Expr>> {
    match expr {
        Expr::NumberLiteral(literal) => Some(if literal.val.is_finite() { vec![expr] } else { Vec::new() }),
        Expr::Paren(paren) => terms(&paren.expr),
        Expr::Unary(unary) => terms(&unary.expr),
        Expr::Binary(binary) if is_constant(expr) => match binary.op.id() {
            T_MUL => terms(&binary.rhs),
            T_DIV => terms(&binary.lhs),
            T_ADD | T_SUB => Some(terms(&binary.lhs)?.into_iter().chain(terms(&binary.rhs)?).collect()),
            _ => None,
        },
        _ => None,
    }
}

/// Whether the times of a constant can be divided.
pub(super) fn is_divisible(expr: &Expr) -> bool {
    terms(expr).is_some()
}
