//! Instant and range queries, and raw samples with their exact timestamps.

use super::super::document::Node;
use super::super::{Answer, Error, Labels};
use super::Prometheus;
use crate::clock::Stamp;
use std::time::Duration;

/// One series at one time.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// All labels, `__name__` included where the query keeps it.
    pub labels: Labels,
    /// May be NaN or infinite.
    pub value: f64,
    /// The evaluation time, *not* the time of the underlying sample (T01).
    pub at: Stamp,
}

/// One value of a series.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Point {
    /// For raw samples the scrape's or evaluation's own timestamp (milliseconds).
    pub at: Stamp,
    /// May be NaN or infinite.
    pub value: f64,
}

/// A series over time.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// All labels, `__name__` included where the query keeps it.
    pub labels: Labels,
    /// In the order of time.
    pub points: Vec<Point>,
}

/// What a query evaluates to.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Any number of series, also none.
    Vector(Vec<Sample>),
    /// Series over time.
    Matrix(Vec<Series>),
    /// A number without labels.
    Scalar {
        /// The number.
        value: f64,
        /// The evaluation time.
        at: Stamp,
    },
    /// A string literal.
    Text {
        /// The string.
        value: String,
        /// The evaluation time.
        at: Stamp,
    },
}

impl Value {
    /// What it is called in PromQL.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Vector(_) => "instant vector",
            Self::Matrix(_) => "range vector",
            Self::Scalar { .. } => "scalar",
            Self::Text { .. } => "string",
        }
    }
}

impl Prometheus {
    /// Evaluates a query at a time, whatever its type.
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated; see [`Error`].
    pub async fn evaluate(&self, query: &str, at: Stamp) -> Result<Answer<Value>, Error> {
        let parameters = [("query", query.to_owned()), ("time", seconds(at))];
        self.read("api/v1/query", &parameters, read_value).await
    }

    /// Evaluates a query at a time to series with values. A scalar is one series without labels (B23).
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated or evaluates to a range vector or a string (B22); see [`Error`].
    pub async fn instant(&self, query: &str, at: Stamp) -> Result<Answer<Vec<Sample>>, Error> {
        let answer = self.evaluate(query, at).await?;
        match answer.value {
            Value::Vector(samples) => Ok(Answer { value: samples, warnings: answer.warnings }),
            Value::Scalar { value, at } => {
                let sample = Sample { labels: Labels::new(), value, at };
                Ok(Answer { value: vec![sample], warnings: answer.warnings })
            }
            other => Err(wrong_type(other.kind(), "an instant vector or a scalar")),
        }
    }

    /// The raw samples of a range selector such as `up{job="x"}[30s]`, up to and including `at`, with the timestamps they
    /// were stored with (T07, T15). Stale markers are not among them.
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated or is no range selector; see [`Error`].
    pub async fn range_raw(&self, selector: &str, at: Stamp) -> Result<Answer<Vec<Series>>, Error> {
        let answer = self.evaluate(selector, at).await?;
        match answer.value {
            Value::Matrix(series) => Ok(Answer { value: series, warnings: answer.warnings }),
            other => Err(wrong_type(other.kind(), "a range vector such as `x[30s]`")),
        }
    }

    /// Evaluates a query at every `step` from `start` to `end`, both included. For graphs; for judging, raw samples are
    /// exact where steps alias (T15).
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated or has more than 11,000 steps; see [`Error`].
    pub async fn query_range(
        &self,
        query: &str,
        start: Stamp,
        end: Stamp,
        step: Duration,
    ) -> Result<Answer<Vec<Series>>, Error> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", seconds(start)),
            ("end", seconds(end)),
            ("step", format!("{}.{:06}", step.as_secs(), step.subsec_micros())),
        ];
        let answer = self.read("api/v1/query_range", &parameters, read_value).await?;
        match answer.value {
            Value::Matrix(series) => Ok(Answer { value: series, warnings: answer.warnings }),
            other => Err(wrong_type(other.kind(), "a range vector")),
        }
    }

    /// The label sets that match a selector and have samples between `start` and `end`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn series(&self, selector: &str, start: Stamp, end: Stamp) -> Result<Answer<Vec<Labels>>, Error> {
        let parameters = [("match[]", selector.to_owned()), ("start", seconds(start)), ("end", seconds(end))];
        self.read("api/v1/series", &parameters, |data| data.items()?.iter().map(Node::labels).collect()).await
    }
}

/// Seconds with microseconds, exactly.
fn seconds(at: Stamp) -> String {
    let sign = if at.0 < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", at.0.unsigned_abs() / 1_000_000, at.0.unsigned_abs() % 1_000_000)
}

fn wrong_type(found: &str, wanted: &str) -> Error {
    Error::Query { kind: "type".to_owned(), message: format!("the query is a {found}, and {wanted} is needed here") }
}

/// Reads `{resultType, result}`.
pub(in crate::telemetry) fn read_value(data: &Node<'_>) -> Result<Value, Error> {
    let kind = data.member("resultType")?;
    let result = data.member("result")?;
    match kind.text()? {
        "vector" => Ok(Value::Vector(result.items()?.iter().map(read_sample).collect::<Result<_, _>>()?)),
        "matrix" => Ok(Value::Matrix(result.items()?.iter().map(read_series).collect::<Result<_, _>>()?)),
        "scalar" => read_point(&result).map(|Point { at, value }| Value::Scalar { value, at }),
        "string" => {
            let (at, value) = read_pair(&result)?;
            Ok(Value::Text { value: value.text()?.to_owned(), at })
        }
        _ => Err(kind.expected("`vector`, `matrix`, `scalar` or `string`")),
    }
}

fn read_sample(node: &Node<'_>) -> Result<Sample, Error> {
    refuse_histogram(node, "histogram")?;
    let Point { at, value } = read_point(&node.member("value")?)?;
    Ok(Sample { labels: node.member("metric")?.labels()?, value, at })
}

fn read_series(node: &Node<'_>) -> Result<Series, Error> {
    refuse_histogram(node, "histograms")?;
    let points = node.member("values")?.items()?.iter().map(read_point).collect::<Result<_, _>>()?;
    Ok(Series { labels: node.member("metric")?.labels()?, points })
}

/// Native histograms come under another key and are no number (T14).
fn refuse_histogram(node: &Node<'_>, key: &str) -> Result<(), Error> {
    if node.optional(key).is_none() {
        return Ok(());
    }
    let message =
        "the query answers with native histograms; use histogram_quantile(), histogram_count() or histogram_sum()";
    Err(Error::Query { kind: "native-histogram".to_owned(), message: message.to_owned() })
}

fn read_point(node: &Node<'_>) -> Result<Point, Error> {
    let (at, value) = read_pair(node)?;
    Ok(Point { at, value: value.sample_value()? })
}

fn read_pair<'a>(node: &Node<'a>) -> Result<(Stamp, Node<'a>), Error> {
    match <[Node<'a>; 2]>::try_from(node.items()?) {
        Ok([at, value]) => Ok((Stamp::from_seconds(at.number()?), value)),
        Err(_) => Err(node.expected("a pair of time and value")),
    }
}
