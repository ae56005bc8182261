//! Log queries: lines that pass the pipeline, by stream.

use std::collections::BTreeMap;

use super::line::{Category, Line};
use super::merge::Merged;
use super::stage::{self, Keep, Parsers};
use super::{Budget, Direction, EvalError, LabelStyle, Request};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{LogQuery, Stage};
use crate::store::{Entry, Store};

/// The lines of one label set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamResult {
    /// The labels.
    pub labels: Labels,
    /// In the order asked for.
    pub lines: Vec<LineResult>,
}

/// A line of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LineResult {
    /// Nanoseconds since the epoch.
    pub at: Nanos,
    /// The text after the pipeline.
    pub text: String,
    /// Structured metadata; only where labels are told apart.
    pub metadata: Labels,
    /// Labels that the pipeline made; only where labels are told apart.
    pub parsed: Labels,
}

pub(super) fn evaluate(
    store: &Store,
    query: &LogQuery,
    request: &Request,
    budget: &mut Budget,
) -> Result<Vec<StreamResult>, EvalError> {
    let selected = store.select(&query.selector, request.start, request.end);
    let mut found: BTreeMap<Labels, Vec<LineResult>> = BTreeMap::new();
    let (mut count, mut last) = (0, None);
    for (index, entry) in Merged::new(&selected, request.start, request.end, request.direction) {
        if count == request.limit {
            break;
        }
        budget.line(entry.line.len())?;
        let Some((labels, line)) = transform(&query.stages, &selected[index].labels, entry, request.labels) else {
            continue;
        };
        if !is_due(entry.at, last, request) {
            continue;
        }
        found.entry(labels).or_default().push(line);
        last = Some(entry.at);
        count += 1;
    }
    Ok(found.into_iter().map(|(labels, lines)| StreamResult { labels, lines }).collect())
}

/// Whether a line is far enough from the last one taken.
fn is_due(at: Nanos, last: Option<Nanos>, request: &Request) -> bool {
    let Some(last) = last else { return true };
    match request.direction {
        _ if request.interval == 0 => true,
        Direction::Forward => at >= last.saturating_add(request.interval),
        Direction::Backward => at <= last.saturating_sub(request.interval),
    }
}

/// An entry after the pipeline, with the labels it is listed under; `None` if it is dropped.
pub(crate) fn transform(
    stages: &[Stage],
    stream: &Labels,
    entry: Entry<'_>,
    style: LabelStyle,
) -> Option<(Labels, LineResult)> {
    let mut line = Line::new(entry.at, entry.line, stream, entry.metadata);
    if stage::run(stages, &mut line, Parsers::Run) == Keep::No {
        return None;
    }
    let (labels, metadata, parsed) = match style {
        LabelStyle::Merged => (line.series(), Labels::default(), Labels::default()),
        LabelStyle::Categorized => {
            (line.category(Category::Stream), line.category(Category::Metadata), line.category(Category::Parsed))
        }
    };
    Some((labels, LineResult { at: entry.at, text: line.text.into_owned(), metadata, parsed }))
}
