//! Metric expressions: the series at each step, aggregated and combined.

use std::collections::BTreeMap;

use super::range::{self, mean, variance};
use super::sample::group;
use super::{Budget, EvalError, binary};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{Grouping, GroupingMode, Metric, MetricKind, RangeOperator, VectorAggregation, VectorOperator};
use crate::store::Store;

/// The series at one step.
pub(super) type Frame = Vec<(Labels, f64)>;

/// One frame for each step.
pub(super) fn evaluate(
    store: &Store,
    metric: &Metric,
    steps: &[Nanos],
    budget: &mut Budget,
) -> Result<Vec<Frame>, EvalError> {
    budget.check()?;
    match &metric.kind {
        MetricKind::Literal(value) | MetricKind::VectorLiteral(value) => {
            Ok(steps.iter().map(|_| vec![(Labels::default(), *value)]).collect())
        }
        MetricKind::Range(aggregation) => range::evaluate(store, aggregation, None, steps, budget),
        MetricKind::Vector(aggregation) => {
            let frames = match (&aggregation.inner.kind, outer_grouping(aggregation)) {
                (MetricKind::Range(inner), Some(grouping)) => {
                    range::evaluate(store, inner, Some(&grouping), steps, budget)?
                }
                _ => evaluate(store, &aggregation.inner, steps, budget)?,
            };
            Ok(frames.into_iter().map(|frame| aggregate(aggregation, frame)).collect())
        }
        MetricKind::Binary(operation) => binary::evaluate(store, operation, steps, budget),
        MetricKind::LabelReplace { inner, destination, replacement, source, regex, .. } => {
            let mut frames = evaluate(store, inner, steps, budget)?;
            for (labels, _) in frames.iter_mut().flatten() {
                *labels = replace(labels, destination, replacement, source, regex);
            }
            Ok(frames)
        }
    }
}

/// The grouping of a `sum` that may be applied while lines become numbers: it changes neither sums nor counts.
fn outer_grouping(aggregation: &VectorAggregation) -> Option<Grouping> {
    let MetricKind::Range(inner) = &aggregation.inner.kind else { return None };
    let additive = matches!(
        inner.operator,
        RangeOperator::Bytes
            | RangeOperator::BytesRate
            | RangeOperator::Sum
            | RangeOperator::Rate
            | RangeOperator::Count
    );
    let applies = aggregation.operator == VectorOperator::Sum && additive && inner.grouping.is_none();
    applies.then(|| effective(aggregation.grouping.as_ref()))
}

/// No grouping is grouping by nothing.
fn effective(grouping: Option<&Grouping>) -> Grouping {
    grouping.cloned().unwrap_or(Grouping { mode: GroupingMode::By, labels: Vec::new() })
}

/// Whether the answer of an instant query is ordered by value.
pub(super) fn sorts_by_value(metric: &Metric) -> bool {
    match &metric.kind {
        MetricKind::Vector(aggregation) => match aggregation.operator {
            VectorOperator::Sort | VectorOperator::SortDesc => true,
            _ => sorts_by_value(&aggregation.inner),
        },
        MetricKind::Binary(operation) => sorts_by_value(&operation.left) || sorts_by_value(&operation.right),
        MetricKind::LabelReplace { inner, .. } => sorts_by_value(inner),
        _ => false,
    }
}

#[expect(clippy::cast_precision_loss, reason = "numbers of series are far below 2^52")]
fn aggregate(aggregation: &VectorAggregation, frame: Frame) -> Frame {
    let grouping = effective(aggregation.grouping.as_ref());
    let mut groups: BTreeMap<Labels, Frame> = BTreeMap::new();
    for (labels, value) in frame {
        groups.entry(group(&labels, &grouping)).or_default().push((labels, value));
    }
    let mut result = Frame::new();
    for (labels, members) in groups {
        let values = || members.iter().map(|(_, value)| *value);
        let value = match aggregation.operator {
            VectorOperator::Sum => values().sum(),
            VectorOperator::Avg => mean(values()),
            VectorOperator::Count => members.len() as f64,
            VectorOperator::Max => values().reduce(|a, b| if b > a || a.is_nan() { b } else { a }).unwrap_or(f64::NAN),
            VectorOperator::Min => values().reduce(|a, b| if b < a || a.is_nan() { b } else { a }).unwrap_or(f64::NAN),
            VectorOperator::Stddev => variance(values()).sqrt(),
            VectorOperator::Stdvar => variance(values()),
            VectorOperator::Topk | VectorOperator::Bottomk | VectorOperator::ApproxTopk => {
                result.extend(extremes(aggregation, members));
                continue;
            }
            VectorOperator::Sort | VectorOperator::SortDesc => {
                result.extend(sorted(members, aggregation.operator == VectorOperator::SortDesc));
                continue;
            }
        };
        result.push((labels, value));
    }
    result
}

fn sorted(mut members: Frame, descending: bool) -> Frame {
    // not-a-number comes last either way
    members.sort_by(|(_, a), (_, b)| match (a.is_nan(), b.is_nan()) {
        (true, true) => std::cmp::Ordering::Equal,
        (true, false) => std::cmp::Ordering::Greater,
        (false, true) => std::cmp::Ordering::Less,
        (false, false) if descending => b.total_cmp(a),
        (false, false) => a.total_cmp(b),
    });
    members
}

/// The k greatest or least; of equal values the first by labels.
fn extremes(aggregation: &VectorAggregation, mut members: Frame) -> Frame {
    members.sort_by(|a, b| a.0.cmp(&b.0));
    let mut members = sorted(members, aggregation.operator != VectorOperator::Bottomk);
    members.truncate(usize::try_from(aggregation.parameter.unwrap_or(0)).unwrap_or(usize::MAX));
    members
}

fn replace(labels: &Labels, destination: &str, replacement: &str, source: &str, regex: &regex::Regex) -> Labels {
    let value = labels.get(source).unwrap_or_default();
    let Some(captures) = regex.captures(value) else { return labels.clone() };
    let mut made = String::new();
    captures.expand(replacement, &mut made);
    let others = labels.iter().filter(|(name, _)| *name != destination);
    Labels::new(others.chain([(destination, made.as_str())]))
}
