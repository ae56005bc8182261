//! Range queries, second half: the numbers of each window become one.

use super::sample::{self, Reduction};
use super::vector::Frame;
use super::{Budget, EvalError};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{Grouping, Matcher, MatcherOperator, RangeAggregation, RangeOperator};
use crate::store::Store;

/// How many numbers one range aggregation may make: about 100 MB.
const MAX_POINTS: usize = 4_000_000;

/// One frame for each step.
pub(super) fn evaluate(
    store: &Store,
    aggregation: &RangeAggregation,
    outer: Option<&Grouping>,
    steps: &[Nanos],
    budget: &mut Budget,
) -> Result<Vec<Frame>, EvalError> {
    let (Some(first), Some(last)) = (steps.first(), steps.last()) else { return Ok(Vec::new()) };
    let shift = |at: Nanos| at.saturating_sub(aggregation.offset);
    let from = shift(*first).saturating_sub(aggregation.range);
    let reduction = Reduction::new(aggregation, outer);
    let samples = sample::collect(store, aggregation, &reduction, (from, shift(*last)), budget)?;
    let mut series: Vec<_> = samples.into_iter().collect();
    series.sort_by(|a, b| a.0.cmp(&b.0));
    let mut frames = vec![Frame::new(); steps.len()];
    let mut made = 0;
    for (labels, points) in &series {
        budget.check()?;
        if made > MAX_POINTS {
            return Err(EvalError::TooManyPoints(MAX_POINTS));
        }
        let (mut low, mut high) = (0, 0);
        for (frame, step) in frames.iter_mut().zip(steps) {
            let end = shift(*step);
            let start = end.saturating_sub(aggregation.range);
            while high < points.len() && points[high].0 <= end {
                high += 1;
            }
            while low < high && points[low].0 <= start {
                low += 1;
            }
            if low < high {
                frame.push((labels.clone(), aggregate(aggregation, &points[low..high], end)));
                made += 1;
            }
        }
    }
    if aggregation.operator == RangeOperator::Absent {
        let labels = absent_labels(&aggregation.query.selector);
        for frame in &mut frames {
            *frame = if frame.is_empty() { vec![(labels.clone(), 1.0)] } else { Frame::new() };
        }
    }
    Ok(frames)
}

/// The labels that a selector fixes: those with exactly one matcher, which is an equality.
fn absent_labels(selector: &[Matcher]) -> Labels {
    let fixed = selector.iter().filter(|matcher| {
        let alone = selector.iter().filter(|other| other.name == matcher.name).count() == 1;
        alone && matcher.operator == MatcherOperator::Equal
    });
    Labels::new(fixed.map(|matcher| (matcher.name.as_str(), matcher.value.as_str())))
}

#[expect(clippy::cast_precision_loss, reason = "counts and nanoseconds of a window are far below 2^52")]
fn aggregate(aggregation: &RangeAggregation, points: &[(Nanos, f64)], end: Nanos) -> f64 {
    let values = || points.iter().map(|(_, value)| *value);
    let count = points.len() as f64;
    let seconds = aggregation.range as f64 / 1e9;
    match aggregation.operator {
        RangeOperator::Count => count,
        RangeOperator::Rate if aggregation.unwrap.is_none() => count / seconds,
        RangeOperator::Rate | RangeOperator::BytesRate => values().sum::<f64>() / seconds,
        RangeOperator::Bytes | RangeOperator::Sum => values().sum(),
        RangeOperator::RateCounter => counter_rate(points, aggregation.range, end),
        RangeOperator::Avg => mean(values()),
        RangeOperator::Min => values().reduce(|a, b| if b < a || a.is_nan() { b } else { a }).unwrap_or(f64::NAN),
        RangeOperator::Max => values().reduce(|a, b| if b > a || a.is_nan() { b } else { a }).unwrap_or(f64::NAN),
        RangeOperator::Stdvar => variance(values()),
        RangeOperator::Stddev => variance(values()).sqrt(),
        RangeOperator::Quantile => quantile(aggregation.parameter.unwrap_or(f64::NAN), values().collect()),
        RangeOperator::First => points[0].1,
        RangeOperator::Last => points[points.len() - 1].1,
        RangeOperator::Absent => 1.0,
    }
}

/// The mean, kept as a running mean so that large values do not overflow.
pub(super) fn mean(values: impl Iterator<Item = f64>) -> f64 {
    let (mut mean, mut count) = (0.0, 0.0);
    for value in values {
        count += 1.0;
        if f64::is_infinite(mean) && (value.is_infinite() && mean.signum() == value.signum() || value.is_finite()) {
            continue;
        }
        mean += value / count - mean / count;
    }
    mean
}

/// The population variance (Welford).
pub(super) fn variance(values: impl Iterator<Item = f64>) -> f64 {
    let (mut sum, mut count, mut mean) = (0.0, 0.0, 0.0);
    for value in values {
        count += 1.0;
        let delta = value - mean;
        mean += delta / count;
        sum += delta * (value - mean);
    }
    sum / count
}

/// The quantile with linear interpolation between the two nearest values.
#[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "the rank lies within the values")]
fn quantile(q: f64, mut values: Vec<f64>) -> f64 {
    if values.is_empty() || q.is_nan() {
        return f64::NAN;
    }
    if q < 0.0 {
        return f64::NEG_INFINITY;
    }
    if q > 1.0 {
        return f64::INFINITY;
    }
    values.sort_by(f64::total_cmp);
    let rank = q * (values.len() as f64 - 1.0);
    let lower = (rank.floor() as usize).min(values.len() - 1);
    let upper = (lower + 1).min(values.len() - 1);
    let weight = rank - rank.floor();
    values[lower] * (1.0 - weight) + values[upper] * weight
}

/// The rate of a counter: resets are added up, and the edges of the window are extrapolated as Prometheus does.
#[expect(clippy::cast_precision_loss, reason = "nanoseconds of a window are far below 2^52")]
fn counter_rate(points: &[(Nanos, f64)], range: Nanos, end: Nanos) -> f64 {
    let [first, .., last] = points else { return 0.0 };
    let resets: f64 = points.windows(2).filter(|pair| pair[1].1 < pair[0].1).map(|pair| pair[0].1).sum();
    let increase = last.1 - first.1 + resets;
    let seconds = |nanos: Nanos| nanos as f64 / 1e9;
    let mut to_start = seconds(first.0 - (end - range));
    let mut to_end = seconds(end - last.0);
    let sampled = seconds(last.0 - first.0);
    let between = sampled / (points.len() as f64 - 1.0);
    let threshold = between * 1.1;
    if to_start >= threshold {
        to_start = between / 2.0;
    }
    if increase > 0.0 && first.1 >= 0.0 {
        to_start = to_start.min(sampled * (first.1 / increase));
    }
    if to_end >= threshold {
        to_end = between / 2.0;
    }
    let factor = (sampled + to_start + to_end) / sampled;
    increase * factor / seconds(range)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_interpolate() {
        assert_eq!(quantile(0.5, vec![3.0, 1.0]), 2.0);
        assert_eq!(quantile(1.0, vec![3.0, 1.0, 2.0]), 3.0);
        assert_eq!(quantile(-1.0, vec![1.0]), f64::NEG_INFINITY);
    }

    #[test]
    fn spread_is_that_of_the_population() {
        assert_eq!(variance([2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0].into_iter()), 4.0);
        assert_eq!(mean([1.0, 2.0, 6.0].into_iter()), 3.0);
    }

    #[test]
    fn a_counter_that_resets_still_rises() {
        let points: Vec<_> =
            [0.0, 10.0, 2.0, 12.0].iter().enumerate().map(|(i, v)| (i as i64 * 15_000_000_000 + 1, *v)).collect();
        let rate = counter_rate(&points, 60_000_000_000, 60_000_000_000);
        assert!((rate - 22.0 / 45.0).abs() < 0.2, "{rate}");
        assert_eq!(counter_rate(&points[..1], 60_000_000_000, 60_000_000_000), 0.0);
    }
}
