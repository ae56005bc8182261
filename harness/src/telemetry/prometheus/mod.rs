//! The client of Prometheus's HTTP API: queries, rules and alerts, targets and status, and its own metrics.
//!
//! Fed by a Prometheus 2.x or 3.x on the wire; read by `expect` (values), `run` (readiness, alert history) and reports
//! (versions). Times are Prometheus's own, with the precision it gives.

pub(super) mod query;
mod remote;
mod rules;
mod status;

use std::time::Duration;

use serde_json::Value;

pub use query::{Point, Sample, Series, Value as QueryValue};
pub use remote::{Pick, RawSample, RawSeries, STALE};
pub use rules::{ActiveAlert, AlertPhase, Group, Health, Rule, RuleKind};
pub use status::{AlertmanagerTarget, BuildInfo, Metadata, OwnCounters, RuntimeInfo, Target};

use super::document::Node;
use super::exposition::Exposition;
use super::http::{Endpoint, Reply, Settings};
use super::{Answer, Error};
use crate::clock::{Clock, Stamp};

/// A Prometheus server.
#[derive(Clone)]
pub struct Prometheus {
    endpoint: Endpoint,
}

/// A server's clock against the harness's own (T20, B62).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ClockOffset {
    /// Server minus harness in seconds, taken at the middle of the round trip.
    pub seconds: f64,
    /// Half the round trip in seconds: the offset is known only this well.
    pub uncertainty: f64,
}

impl ClockOffset {
    /// The offset of a server that said `server` between `sent` and `received`.
    #[must_use]
    pub fn between(server: Stamp, sent: Stamp, received: Stamp) -> Self {
        let half = received.seconds_from(sent) / 2.0;
        Self { seconds: server.seconds_from(sent) - half, uncertainty: half }
    }
}

impl Prometheus {
    /// A client for the server at `base`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::new(base, settings)? })
    }

    /// The same server, asked with another deadline and limit on the answer in bytes.
    #[must_use]
    pub fn patient(&self, deadline: Duration, limit: usize) -> Self {
        Self { endpoint: self.endpoint.patient(deadline, limit) }
    }

    /// Whether it says it is ready.
    ///
    /// # Errors
    /// [`Error::Refused`] while it is not, [`Error::Unreachable`] when it does not answer.
    pub async fn ready(&self) -> Result<(), Error> {
        self.endpoint.get("-/ready", &[]).await.map(drop)
    }

    /// Its own `/metrics`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_metrics(&self) -> Result<Exposition, Error> {
        super::http::exposition(&self.endpoint, "metrics").await
    }

    /// Its clock against ours, by `time()` around one round trip (T20).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn clock_offset(&self, clock: &Clock) -> Result<ClockOffset, Error> {
        let (reply, document) = self.call("api/v1/query", &[("query", "time()".to_owned())]).await?;
        let value = query::read_value(&data(&document, &reply.url)?)?;
        let QueryValue::Scalar { value, .. } = value else {
            return Err(Node::root(&document, &reply.url).expected("a scalar"));
        };
        let (sent, received) = (clock.stamp(reply.sent), clock.stamp(reply.received));
        Ok(ClockOffset::between(Stamp::from_seconds(value), sent, received))
    }

    /// Asks and checks the envelope; a body with `status: "error"` is [`Error::Query`] whatever the HTTP status (B54).
    async fn call(&self, path: &str, parameters: &[(&str, String)]) -> Result<(Reply, Value), Error> {
        let reply = match self.endpoint.query(path, parameters).await {
            Err(Error::Refused { url, status, body }) => return Err(refused(url, status, body)),
            other => other?,
        };
        let document = reply.json()?;
        match query_error(&document) {
            Some(error) => Err(error),
            None => Ok((reply, document)),
        }
    }

    /// Asks and reads `data`, keeping the warnings.
    async fn read<T>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        read: impl FnOnce(&Node<'_>) -> Result<T, Error>,
    ) -> Result<Answer<T>, Error> {
        let (reply, document) = self.call(path, parameters).await?;
        let value = read(&data(&document, &reply.url)?)?;
        Ok(Answer { value, warnings: warnings(&document, &reply.url)? })
    }
}

/// The `data` of an answer whose status is `success`.
fn data<'a>(document: &'a Value, url: &'a str) -> Result<Node<'a>, Error> {
    let root = Node::root(document, url);
    let status = root.member("status")?;
    if status.text()? != "success" {
        return Err(status.expected("`success` or `error`"));
    }
    root.member("data")
}

fn warnings(document: &Value, url: &str) -> Result<Vec<String>, Error> {
    let root = Node::root(document, url);
    let lists = [root.optional_items("warnings")?, root.optional_items("infos")?];
    lists.concat().iter().map(|warning| warning.text().map(str::to_owned)).collect()
}

/// The error an API body states, if it does.
fn query_error(document: &Value) -> Option<Error> {
    if document.get("status").and_then(Value::as_str) != Some("error") {
        return None;
    }
    let field = |key| document.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    Some(Error::Query { kind: field("errorType"), message: field("error") })
}

/// 400 and 422 carry the query's own error (B25); 503 with such a body is a timeout and stays a refusal (T16).
fn refused(url: String, status: u16, body: String) -> Error {
    let stated = serde_json::from_str(&body).ok().as_ref().and_then(query_error);
    match stated {
        Some(error) if matches!(status, 400 | 422) => error,
        _ => Error::Refused { url, status, body },
    }
}

#[cfg(test)]
mod tests;
