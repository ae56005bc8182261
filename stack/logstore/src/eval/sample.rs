//! Range queries, first half: lines become numbers, by series.

use std::collections::HashMap;

use super::filter;
use super::line::{ERROR, Line, LineError};
use super::merge::StreamEntries;
use super::stage::{self, Keep, Parsers};
use super::{Budget, Direction, EvalError};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{
    Grouping, GroupingMode, LabelFilter, LabelFormatSource, RangeAggregation, RangeOperator, Stage, StageKind, Unwrap,
    UnwrapConversion,
};
use crate::store::Store;

/// The numbers of one series, by time.
pub(super) type Samples = HashMap<Labels, Vec<(Nanos, f64)>>;

/// How the labels of a series are reduced.
pub(super) struct Reduction {
    grouping: Option<Grouping>,
    parsers: Parsers,
}

impl Reduction {
    /// `outer` is the grouping of a `sum` around the aggregation, which Loki applies while extracting.
    pub(super) fn new(aggregation: &RangeAggregation, outer: Option<&Grouping>) -> Self {
        let single = aggregation.operator == RangeOperator::Absent;
        let none = || Grouping { mode: GroupingMode::By, labels: Vec::new() };
        let mut grouping = if single { Some(none()) } else { aggregation.grouping.clone().or_else(|| outer.cloned()) };
        if let Some(unwrap) = &aggregation.unwrap {
            match &mut grouping {
                None => {
                    let labels = vec![unwrap.label.clone()];
                    grouping = Some(Grouping { mode: GroupingMode::Without, labels });
                }
                Some(Grouping { mode: GroupingMode::Without, labels }) => labels.push(unwrap.label.clone()),
                Some(_) => {}
            }
        }
        let no_labels = grouping.as_ref().is_some_and(|g| g.mode == GroupingMode::By && g.labels.is_empty());
        let skip = no_labels && aggregation.unwrap.is_none() && !aggregation.query.stages.iter().any(needs_labels);
        Self { grouping, parsers: if skip { Parsers::Skip } else { Parsers::Run } }
    }

    fn reduce(&self, line: &Line<'_>) -> Labels {
        let labels = line.series();
        match &self.grouping {
            Some(grouping) if line.error().is_none() => group(&labels, grouping),
            _ => labels,
        }
    }
}

/// Whether a stage reads labels that a parser may have made.
fn needs_labels(stage: &Stage) -> bool {
    match &stage.kind {
        StageKind::LabelFilter(_) => true,
        StageKind::LineFormat(template) => template.reads_labels(),
        StageKind::LabelFormat(formats) => formats.iter().any(|format| match &format.source {
            LabelFormatSource::Rename(_) => true,
            LabelFormatSource::Template(template) => template.reads_labels(),
        }),
        _ => false,
    }
}

/// The labels that a grouping leaves.
pub(super) fn group(labels: &Labels, grouping: &Grouping) -> Labels {
    let wanted = grouping.mode == GroupingMode::By;
    let pairs = labels.pairs().iter().filter(|(name, _)| grouping.labels.iter().any(|l| **l == **name) == wanted);
    Labels::with_empty(pairs.cloned())
}

/// All numbers with `from < time <= to`.
pub(super) fn collect(
    store: &Store,
    aggregation: &RangeAggregation,
    reduction: &Reduction,
    (from, to): (Nanos, Nanos),
    budget: &mut Budget,
) -> Result<Samples, EvalError> {
    let (from, to) = (from.saturating_add(1), to.saturating_add(1));
    let selected = store.select(&aggregation.query.selector, from, to);
    let mut samples: Samples = HashMap::new();
    for stream in &selected {
        // most lines of a stream keep its labels: their series is found once
        let plain = reduction.reduce(&Line::new(0, "", &stream.labels, None));
        for entry in StreamEntries::new(stream, from, to, Direction::Forward) {
            budget.line(entry.line.len())?;
            let mut line = Line::new(entry.at, entry.line, &stream.labels, entry.metadata);
            if stage::run(&aggregation.query.stages, &mut line, reduction.parsers) == Keep::No {
                continue;
            }
            let Some(value) = value(aggregation, &mut line) else { continue };
            let labels = if line.is_unchanged() { plain.clone() } else { reduction.reduce(&line) };
            samples.entry(labels).or_default().push((entry.at, value));
        }
    }
    if samples.len() > 1 || selected.len() > 1 {
        for points in samples.values_mut() {
            points.sort_by_key(|(at, _)| *at);
        }
    }
    refuse_errors(&samples)?;
    Ok(samples)
}

/// A number of a line that went wrong must not be mixed with the others unseen.
fn refuse_errors(samples: &Samples) -> Result<(), EvalError> {
    let broken = samples.keys().filter_map(|labels| labels.get(ERROR).map(|error| (labels, error)));
    match broken.min() {
        None => Ok(()),
        Some((labels, error)) => Err(EvalError::Pipeline { error: error.to_owned(), series: labels.clone() }),
    }
}

/// The number of a line; `None` if it has none.
#[expect(clippy::cast_precision_loss, reason = "line lengths are far below 2^52")]
fn value(aggregation: &RangeAggregation, line: &mut Line<'_>) -> Option<f64> {
    match &aggregation.unwrap {
        Some(unwrap) => unwrapped(unwrap, line),
        None => match aggregation.operator {
            RangeOperator::Bytes | RangeOperator::BytesRate => Some(line.text.len() as f64),
            _ => Some(1.0),
        },
    }
}

#[expect(clippy::cast_precision_loss, reason = "Loki converts sizes and durations to floats as well")]
fn unwrapped(unwrap: &Unwrap, line: &mut Line<'_>) -> Option<f64> {
    let text = line.get(&unwrap.label).map(|(value, _)| value).filter(|value| !value.is_empty())?;
    let converted = match unwrap.conversion {
        None => filter::parse_float(text),
        Some(UnwrapConversion::Bytes) => filter::parse_size(text).map(|bytes| bytes as f64),
        Some(UnwrapConversion::Duration | UnwrapConversion::DurationSeconds) => {
            filter::parse_go_duration(text).map(|nanos| nanos as f64 / 1e9)
        }
    };
    let value = converted.unwrap_or_else(|details| {
        line.fail(LineError::SampleExtraction, details);
        0.0
    });
    let keep = unwrap.filters.iter().all(|filter: &LabelFilter| filter::label_filter(filter, line));
    keep.then_some(value)
}
