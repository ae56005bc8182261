//! Binary operations between series and numbers.

use std::collections::BTreeMap;

use super::vector::{self, Frame};
use super::{Budget, EvalError};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{Binary, BinaryOperator, Cardinality, Matching, MatchingMode, MetricKind};
use crate::store::Store;

pub(super) fn evaluate(
    store: &Store,
    operation: &Binary,
    steps: &[Nanos],
    budget: &mut Budget,
) -> Result<Vec<Frame>, EvalError> {
    let (left, right) = (&operation.left, &operation.right);
    match (&left.kind, &right.kind) {
        (MetricKind::Literal(number), _) => {
            let frames = vector::evaluate(store, right, steps, budget)?;
            Ok(frames.into_iter().map(|frame| with_scalar(operation, frame, |value| (*number, value))).collect())
        }
        (_, MetricKind::Literal(number)) => {
            let frames = vector::evaluate(store, left, steps, budget)?;
            Ok(frames.into_iter().map(|frame| with_scalar(operation, frame, |value| (value, *number))).collect())
        }
        _ => {
            let lefts = vector::evaluate(store, left, steps, budget)?;
            let rights = vector::evaluate(store, right, steps, budget)?;
            lefts.into_iter().zip(rights).map(|(left, right)| with_vector(operation, left, right)).collect()
        }
    }
}

/// Each series with a number; comparisons filter and keep the series' value unless they answer 0 or 1.
fn with_scalar(operation: &Binary, frame: Frame, sides: impl Fn(f64) -> (f64, f64)) -> Frame {
    let mut result = Frame::new();
    for (labels, value) in frame {
        let (left, right) = sides(value);
        let computed = operation.operator.apply(left, right);
        if operation.operator.comparison().is_none() || operation.returns_bool {
            result.push((labels, computed));
        } else if computed != 0.0 {
            result.push((labels, value));
        }
    }
    result
}

/// The labels on which series match.
fn signature(labels: &Labels, matching: &Matching) -> Labels {
    let on = matching.mode == MatchingMode::On;
    let pairs = labels.pairs().iter().filter(|(name, _)| matching.labels.iter().any(|l| **l == **name) == on);
    Labels::new(pairs.cloned())
}

fn with_vector(operation: &Binary, left: Frame, right: Frame) -> Result<Frame, EvalError> {
    let signature = |labels: &Labels| signature(labels, &operation.matching);
    match operation.operator {
        BinaryOperator::And | BinaryOperator::Unless => {
            let wanted = operation.operator == BinaryOperator::And;
            let known: std::collections::BTreeSet<_> = right.iter().map(|(labels, _)| signature(labels)).collect();
            Ok(left.into_iter().filter(|(labels, _)| known.contains(&signature(labels)) == wanted).collect())
        }
        BinaryOperator::Or => {
            let known: std::collections::BTreeSet<_> = left.iter().map(|(labels, _)| signature(labels)).collect();
            let added = right.into_iter().filter(|(labels, _)| !known.contains(&signature(labels)));
            Ok(left.iter().cloned().chain(added).collect())
        }
        _ => arithmetic(operation, left, right),
    }
}

fn arithmetic(operation: &Binary, left: Frame, right: Frame) -> Result<Frame, EvalError> {
    let matching = &operation.matching;
    // the "one" side is looked up, the "many" side is walked through
    let swapped = matching.cardinality == Cardinality::OneToMany;
    let (many, one) = if swapped { (right, left) } else { (left, right) };
    let mut ones: BTreeMap<Labels, (Labels, f64)> = BTreeMap::new();
    for (labels, value) in one {
        let key = signature(&labels, matching);
        if ones.contains_key(&key) {
            let side = if swapped { "left" } else { "right" };
            let message = format!(
                "found duplicate series on the {side} hand-side;many-to-many matching not allowed: matching labels must be \
                 unique on one side"
            );
            return Err(EvalError::Matching(message));
        }
        ones.insert(key, (labels, value));
    }
    let mut seen: BTreeMap<Labels, ()> = BTreeMap::new();
    let mut result = Frame::new();
    for (labels, value) in many {
        let key = signature(&labels, matching);
        let Some((other, number)) = ones.get(&key) else { continue };
        let (a, b) = if swapped { (*number, value) } else { (value, *number) };
        let computed = operation.operator.apply(a, b);
        let filters = operation.operator.comparison().is_some() && !operation.returns_bool;
        if filters && computed == 0.0 {
            continue;
        }
        let made = result_labels(operation, &labels, other);
        let unique = if matching.cardinality == Cardinality::OneToOne { key } else { made.clone() };
        if seen.insert(unique, ()).is_some() {
            let message = match matching.cardinality {
                Cardinality::OneToOne => {
                    "multiple matches for labels: many-to-one matching must be explicit (group_left/group_right)"
                }
                _ => "multiple matches for labels: grouping labels must ensure unique matches",
            };
            return Err(EvalError::Matching(message.to_owned()));
        }
        result.push((made, if filters { a } else { computed }));
    }
    Ok(result)
}

/// The labels of a result: those that matched, or all of the "many" side with what is included from the other.
fn result_labels(operation: &Binary, many: &Labels, one: &Labels) -> Labels {
    let matching = &operation.matching;
    let mut pairs: Vec<(String, String)> = match matching.cardinality {
        Cardinality::OneToOne => signature(many, matching).iter().map(owned).collect(),
        _ => many.iter().map(owned).collect(),
    };
    for name in &matching.include {
        pairs.retain(|(known, _)| known != name);
        if let Some(value) = one.get(name) {
            pairs.push((name.clone(), value.to_owned()));
        }
    }
    Labels::new(pairs)
}

fn owned((name, value): (&str, &str)) -> (String, String) {
    (name.to_owned(), value.to_owned())
}
