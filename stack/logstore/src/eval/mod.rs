//! Answers queries from snapshots of the store. Fed by `http`; knows nothing of requests and of locks.

mod binary;
mod budget;
mod filter;
mod function;
mod json;
mod line;
mod logfmt;
mod merge;
mod range;
mod sample;
mod stage;
mod stream;
mod template;
mod vector;

use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::{Metric, MetricKind, Query, Unsupported};
use crate::store::Store;

pub use budget::{Budget, Statistics};
pub(crate) use json::member as json_member;
pub(crate) use logfmt::pairs as logfmt_pairs;
pub(crate) use stream::transform;
pub use stream::{LineResult, StreamResult};
pub(crate) use template::{ALERT_VARIABLES, AlertData, render_alert};

/// What to evaluate and where.
#[derive(Clone, Debug)]
pub struct Request {
    /// The first time of interest: inclusive for lines.
    pub start: Nanos,
    /// The last time of interest: exclusive for lines, inclusive for numbers.
    pub end: Nanos,
    /// The distance of the evaluations between; zero for one evaluation at `end`.
    pub step: Nanos,
    /// The least distance of two lines in the answer; zero for all lines.
    pub interval: Nanos,
    /// Which end of the lines comes first.
    pub direction: Direction,
    /// How many lines at most.
    pub limit: usize,
    /// How many series at most.
    pub max_series: usize,
    /// Whether labels are told apart by where they come from.
    pub labels: LabelStyle,
}

/// Which end of the lines comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// The oldest.
    Forward,
    /// The newest.
    Backward,
}

/// Whether labels are told apart by where they come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LabelStyle {
    /// One set for all.
    Merged,
    /// The stream's own on the stream, the others on each line.
    Categorized,
}

/// An answer.
#[derive(Clone, Debug)]
pub enum Answer {
    /// Lines by stream.
    Streams(Vec<StreamResult>),
    /// One number for each series.
    Vector(Vec<Sample>),
    /// Numbers over time for each series.
    Matrix(Vec<Series>),
    /// One number.
    Scalar(Nanos, f64),
}

/// A number of a series.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// The series.
    pub labels: Labels,
    /// When.
    pub at: Nanos,
    /// How much.
    pub value: f64,
}

/// A series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Labels,
    /// By time.
    pub points: Vec<(Nanos, f64)>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum EvalError {
    /// Loki would answer; logstore does not.
    #[error(transparent)]
    Unsupported(#[from] Unsupported),
    /// A line of the result has an `__error__`.
    #[error(
        "pipeline error: '{error}' for series: '{series}'.\nUse a label filter to intentionally skip this error. (e.g | \
         __error__!=\"{error}\").\nTo skip all potential errors you can match empty errors.(e.g __error__=\"\")\nThe label \
         filter can also be specified after unwrap. (e.g | unwrap latency | __error__=\"\" )\n"
    )]
    Pipeline {
        /// The kind.
        error: String,
        /// The labels.
        series: Labels,
    },
    /// Too many series.
    #[error("maximum of series ({0}) reached for a single query")]
    TooManySeries(usize),
    /// More numbers on the way to the answer than memory should hold.
    #[error(
        "logstore does not hold more than {0} points for one query; ask for fewer steps, a shorter time or fewer series \
         (sum by fewer labels)"
    )]
    TooManyPoints(usize),
    /// Series of both sides of an operator do not find each other as they must.
    #[error("{0}")]
    Matching(String),
    /// It took too long.
    #[error(
        "request timed out, decrease the duration of the request or add more label matchers (prefer exact match over regex match) to reduce the amount of data processed"
    )]
    TimedOut,
    /// Nobody waits for it any more.
    #[error("the client closed the request")]
    Cancelled,
}

/// Answers a query.
///
/// # Errors
/// See [`EvalError`].
pub fn evaluate(store: &Store, query: &Query, request: &Request, budget: &mut Budget) -> Result<Answer, EvalError> {
    if let Some(unsupported) = query.unsupported() {
        return Err(unsupported.into());
    }
    match query {
        Query::Log(query) => stream::evaluate(store, query, request, budget).map(Answer::Streams),
        Query::Metric(metric) => evaluate_metric(store, metric, request, budget),
    }
}

fn evaluate_metric(
    store: &Store,
    metric: &Metric,
    request: &Request,
    budget: &mut Budget,
) -> Result<Answer, EvalError> {
    let instant = request.step == 0;
    let steps = steps(request);
    if let MetricKind::Literal(value) | MetricKind::VectorLiteral(value) = metric.kind {
        if !instant {
            let points = steps.iter().map(|at| (*at, value)).collect();
            return Ok(Answer::Matrix(vec![Series { labels: Labels::default(), points }]));
        }
        if let MetricKind::Literal(_) = metric.kind {
            return Ok(Answer::Scalar(request.end, value));
        }
    }
    let frames = vector::evaluate(store, metric, &steps, budget)?;
    if instant {
        let mut samples = frames.into_iter().next().unwrap_or_default();
        if samples.len() > request.max_series {
            return Err(EvalError::TooManySeries(request.max_series));
        }
        if !vector::sorts_by_value(metric) {
            samples.sort_by(|a, b| a.0.cmp(&b.0));
        }
        let sample = |(labels, value)| Sample { labels, at: request.end, value };
        return Ok(Answer::Vector(samples.into_iter().map(sample).collect()));
    }
    let mut series: std::collections::BTreeMap<Labels, Vec<(Nanos, f64)>> = std::collections::BTreeMap::new();
    for (at, frame) in steps.iter().zip(frames) {
        for (labels, value) in frame {
            series.entry(labels).or_default().push((*at, value));
        }
        if series.len() > request.max_series {
            return Err(EvalError::TooManySeries(request.max_series));
        }
    }
    Ok(Answer::Matrix(series.into_iter().map(|(labels, points)| Series { labels, points }).collect()))
}

/// The times at which a metric query is evaluated.
fn steps(request: &Request) -> Vec<Nanos> {
    if request.step == 0 {
        return vec![request.end];
    }
    let mut steps = Vec::new();
    let mut at = request.start;
    while at <= request.end {
        steps.push(at);
        match at.checked_add(request.step) {
            Some(next) => at = next,
            None => break,
        }
    }
    steps
}
