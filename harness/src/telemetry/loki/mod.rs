//! The client of Loki's HTTP API, and of anything that speaks it: lines, counts, labels, and what was discarded.
//!
//! Fed by a log store on the wire; read by `expect`. Every parameter that has a surprising default is sent (T46), lines are
//! paged until there are no more (T47, B32), and what cannot be read completely comes with a warning.

mod paging;
mod ruler;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::document::Node;
use super::exposition::Exposition;
use super::http::{Endpoint, Reply, Settings};
use super::prometheus::query::{self, Sample, Series, Value as QueryValue};
use super::{Answer, Error, Labels};
use crate::clock::Stamp;
use paging::{Pages, Step};
pub use ruler::Ruler;

/// Loki's default for `max_entries_limit_per_query`.
pub const LARGEST_PAGE: usize = 5000;

/// A log store.
#[derive(Clone)]
pub struct Loki {
    endpoint: Endpoint,
}

/// A log line.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Entry {
    /// Nanoseconds since the epoch.
    pub ts: i64,
    /// Stream labels, and labels a parser in the query extracted.
    pub labels: Labels,
    /// The line.
    pub line: String,
}

/// From `start`, included, to `end`, excluded; nanoseconds since the epoch.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Window {
    /// Included.
    pub start: i64,
    /// Excluded.
    pub end: i64,
}

impl Window {
    /// The window between two stamps.
    #[must_use]
    pub const fn between(start: Stamp, end: Stamp) -> Self {
        Self { start: start.0.saturating_mul(1000), end: end.0.saturating_mul(1000) }
    }
}

/// How much to read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Lines in one request; lowered when the server's maximum is lower.
    pub page: usize,
    /// Lines altogether; more than these are left out with a warning.
    pub total: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { page: LARGEST_PAGE, total: 1_000_000 }
    }
}

impl Loki {
    /// A client for the server at `base`, without `/loki`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::new(base, settings)? })
    }

    /// Whether it says it is ready; Loki waits 15 s after it is (T45).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.endpoint.get("ready", &[]).await.map(drop)
    }

    /// Every line of a log query in a window, oldest first, without duplicates.
    ///
    /// # Errors
    /// [`Error::Query`] when the query cannot be evaluated or is a metric query; see [`Error`].
    pub async fn query_range(&self, query: &str, window: Window, limits: Limits) -> Result<Answer<Vec<Entry>>, Error> {
        let mut pages = Pages::new(window, limits);
        let mut warnings = Vec::new();
        while let Step::Ask { start, limit } = pages.next_step() {
            match self.page(query, Window { start, ..window }, limit).await {
                Ok(page) => {
                    warnings.extend(page.warnings);
                    pages.take(page.value);
                }
                Err(error) => pages.shrink(&error).then_some(()).ok_or(error)?,
            }
        }
        let (entries, incomplete) = pages.finish();
        warnings.extend(incomplete);
        Ok(Answer { value: entries, warnings })
    }

    /// How many lines a log query has in a window, counted by the server (`count_over_time`), to be compared with the lines
    /// read (T46).
    ///
    /// # Errors
    /// [`Error::Query`] when the query cannot be evaluated; see [`Error`].
    pub async fn count(&self, query: &str, window: Window) -> Result<Answer<u64>, Error> {
        let length = window.end.saturating_sub(window.start);
        if length <= 0 {
            return Ok(Answer { value: 0, warnings: Vec::new() });
        }
        // A range vector is open on the left and closed on the right; a window is the other way round.
        let counting = format!("sum(count_over_time({query} [{}]))", duration(length));
        let answer = self.instant(&counting, window.end - 1).await?;
        let total: f64 = answer.value.iter().map(|sample| sample.value).sum();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count of lines")]
        Ok(Answer { value: total as u64, warnings: answer.warnings })
    }

    /// Evaluates a metric query at a time in nanoseconds.
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated or is a log query; see [`Error`].
    pub async fn instant(&self, query: &str, at: i64) -> Result<Answer<Vec<Sample>>, Error> {
        let parameters = [("query", query.to_owned()), ("time", at.to_string())];
        let (reply, document) = self.ask("loki/api/v1/query", &parameters).await?;
        let (data, warnings) = envelope(&document, &reply.url)?;
        if data.member("resultType")?.text()? == "streams" {
            return Err(wrong_type("a log query", "a metric query such as `count_over_time(… [1m])`"));
        }
        let value = match query::read_value(&data)? {
            QueryValue::Vector(samples) => samples,
            QueryValue::Scalar { value, at } => vec![Sample { labels: Labels::new(), value, at }],
            other => return Err(wrong_type(&format!("a {}", other.kind()), "a vector")),
        };
        Ok(Answer { value, warnings })
    }

    /// Evaluates a metric query at every step of a window.
    ///
    /// # Errors
    /// [`Error::Query`] when it cannot be evaluated or is a log query; see [`Error`].
    pub async fn metric_range(
        &self,
        query: &str,
        window: Window,
        step: std::time::Duration,
    ) -> Result<Answer<Vec<Series>>, Error> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", window.start.to_string()),
            ("end", window.end.to_string()),
            ("step", step.as_secs_f64().to_string()),
        ];
        let (reply, document) = self.ask("loki/api/v1/query_range", &parameters).await?;
        let (data, warnings) = envelope(&document, &reply.url)?;
        if data.member("resultType")?.text()? == "streams" {
            return Err(wrong_type("a log query", "a metric query"));
        }
        match query::read_value(&data)? {
            QueryValue::Matrix(series) => Ok(Answer { value: series, warnings }),
            other => Err(wrong_type(&format!("a {}", other.kind()), "a matrix")),
        }
    }

    /// The label names with values in a window.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn labels(&self, window: Window) -> Result<Vec<String>, Error> {
        self.names("loki/api/v1/labels", window).await
    }

    /// The values of a label in a window.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn label_values(&self, label: &str, window: Window) -> Result<Vec<String>, Error> {
        self.names(&format!("loki/api/v1/label/{label}/values"), window).await
    }

    /// Its own `/metrics`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_metrics(&self) -> Result<Exposition, Error> {
        super::http::exposition(&self.endpoint, "metrics").await
    }

    async fn names(&self, path: &str, window: Window) -> Result<Vec<String>, Error> {
        let parameters = [("start", window.start.to_string()), ("end", window.end.to_string())];
        let (reply, document) = self.ask(path, &parameters).await?;
        let root = Node::root(&document, &reply.url);
        root.optional_items("data")?.iter().map(|name| name.text().map(str::to_owned)).collect()
    }

    async fn page(&self, query: &str, window: Window, limit: usize) -> Result<Answer<Vec<Entry>>, Error> {
        let parameters = [
            ("query", query.to_owned()),
            ("start", window.start.to_string()),
            ("end", window.end.to_string()),
            ("limit", limit.to_string()),
            ("direction", "forward".to_owned()),
        ];
        let (reply, document) = self.ask("loki/api/v1/query_range", &parameters).await?;
        let (data, warnings) = envelope(&document, &reply.url)?;
        if data.member("resultType")?.text()? != "streams" {
            return Err(wrong_type("a metric query", "a log query"));
        }
        Ok(Answer { value: read_streams(&data.member("result")?)?, warnings })
    }

    /// Asks; Loki states a query's error as plain text with 400.
    async fn ask(&self, path: &str, parameters: &[(&str, String)]) -> Result<(Reply, Value), Error> {
        match self.endpoint.query(path, parameters).await {
            Err(Error::Refused { status: 400 | 422, body, .. }) => {
                Err(Error::Query { kind: "bad_data".to_owned(), message: body })
            }
            other => {
                let reply = other?;
                let document = reply.json()?;
                Ok((reply, document))
            }
        }
    }
}

/// `loki_discarded_samples_total` by reason. A refused request counts even if a retry succeeds: a reason, not a loss (T50).
#[must_use]
pub fn discarded(metrics: &Exposition) -> BTreeMap<String, f64> {
    let mut by_reason = BTreeMap::new();
    for sample in metrics.samples().filter(|sample| sample.name == "loki_discarded_samples_total") {
        let reason = sample.labels.get("reason").cloned().unwrap_or_default();
        *by_reason.entry(reason).or_default() += sample.value;
    }
    by_reason
}

fn envelope<'a>(document: &'a Value, url: &'a str) -> Result<(Node<'a>, Vec<String>), Error> {
    let root = Node::root(document, url);
    let status = root.member("status")?;
    match status.text()? {
        "success" => {}
        "error" => {
            let (kind, message) = (root.text_or_empty("errorType")?, root.text_or_empty("error")?);
            return Err(Error::Query { kind, message });
        }
        _ => return Err(status.expected("`success` or `error`")),
    }
    let warnings = root.optional_items("warnings")?;
    let warnings = warnings.iter().map(|warning| warning.text().map(str::to_owned)).collect::<Result<_, _>>()?;
    Ok((root.member("data")?, warnings))
}

fn read_streams(result: &Node<'_>) -> Result<Vec<Entry>, Error> {
    let mut entries = Vec::new();
    for stream in result.items()? {
        let labels = stream.member("stream")?.labels()?;
        for value in stream.member("values")?.items()? {
            let fields = value.items()?;
            // A third field holds structured metadata, which the stream's labels already contain.
            let [ts, line, ..] = fields.as_slice() else { return Err(value.expected("a pair of time and line")) };
            let ts = ts.text()?.parse().ok().filter(|ts: &i64| *ts >= 0);
            let ts = ts.ok_or_else(|| value.expected("nanoseconds since the epoch"))?;
            entries.push(Entry { ts, labels: labels.clone(), line: line.text()?.to_owned() });
        }
    }
    Ok(entries)
}

/// A LogQL range, rounded up: Loki knows nothing shorter than a millisecond in `[…]`.
fn duration(nanoseconds: i64) -> String {
    match nanoseconds {
        seconds if seconds % 1_000_000_000 == 0 => format!("{}s", seconds / 1_000_000_000),
        other => format!("{}ms", other.unsigned_abs().div_ceil(1_000_000)),
    }
}

fn wrong_type(found: &str, wanted: &str) -> Error {
    Error::Query { kind: "type".to_owned(), message: format!("this is {found}, and {wanted} is needed here") }
}

#[cfg(test)]
mod tests;
