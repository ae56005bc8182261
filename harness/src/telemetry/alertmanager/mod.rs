//! The client of Alertmanager's API v2: alerts, groups, silences, status, and its own metrics.
//!
//! Fed by an Alertmanager 0.25 or later on the wire; read by `expect` (where on its way a page stopped) and `run`
//! (readiness, versions). The only writes are in [`silence`], for the silence fault, and the reload of a
//! configuration that a fault has changed.

pub mod silence;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::document::Node;
use super::exposition::Exposition;
use super::http::{Endpoint, Settings};
use super::{Error, Labels};
use crate::clock::Stamp;

/// An Alertmanager.
#[derive(Clone)]
pub struct Alertmanager {
    endpoint: Endpoint,
}

/// Whether alerts of a kind are listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listed {
    /// They are.
    Yes,
    /// They are not.
    No,
}

impl Listed {
    fn parameter(self) -> String {
        (self == Self::Yes).to_string()
    }
}

/// Which alerts to list. All four states are always sent, because their defaults surprise (T40).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertFilter {
    /// Neither silenced nor inhibited.
    pub active: Listed,
    /// Silenced.
    pub silenced: Listed,
    /// Inhibited.
    pub inhibited: Listed,
    /// Not yet seen by the dispatcher; only for alerts, not for groups.
    pub unprocessed: Listed,
    /// Only alerts for the receiver with exactly this name.
    pub receiver: Option<String>,
    /// Only alerts that match all of these, for example `alertname="X"`.
    pub matchers: Vec<String>,
}

impl AlertFilter {
    /// Every alert that has not ended.
    #[must_use]
    pub const fn everything() -> Self {
        let (active, silenced, inhibited, unprocessed) = (Listed::Yes, Listed::Yes, Listed::Yes, Listed::Yes);
        Self { active, silenced, inhibited, unprocessed, receiver: None, matchers: Vec::new() }
    }

    fn parameters(&self) -> Vec<(&'static str, String)> {
        let mut parameters = vec![
            ("active", self.active.parameter()),
            ("silenced", self.silenced.parameter()),
            ("inhibited", self.inhibited.parameter()),
        ];
        // The parameter is a fully anchored regular expression, and names may contain dots.
        parameters.extend(self.receiver.iter().map(|name| ("receiver", regex::escape(name))));
        parameters.extend(self.matchers.iter().map(|matcher| ("filter", matcher.clone())));
        parameters
    }
}

/// An alert as Alertmanager holds it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ReceivedAlert {
    /// After external labels and relabelling on the way (T41).
    pub labels: Labels,
    /// Rendered.
    pub annotations: Labels,
    /// As the sender said.
    pub starts_at: Option<Stamp>,
    /// For a firing alert, when it resolves unless it is sent again (T37).
    pub ends_at: Option<Stamp>,
    /// When it last came in.
    pub updated_at: Option<Stamp>,
    /// Hash of the labels.
    pub fingerprint: String,
    /// The receivers its routes lead to.
    pub receivers: Vec<String>,
    /// What is done with it.
    pub state: AlertDisposition,
    /// Ids of the silences that cover it.
    pub silenced_by: Vec<String>,
    /// Fingerprints of the alerts that inhibit it.
    pub inhibited_by: Vec<String>,
}

/// What Alertmanager does with an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum AlertDisposition {
    /// Not yet looked at.
    Unprocessed,
    /// On its way.
    Active,
    /// Silenced or inhibited.
    Suppressed,
}

/// Alerts that are notified together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AlertGroup {
    /// The labels of `group_by`.
    pub labels: Labels,
    /// Who is told.
    pub receiver: String,
    /// Its alerts.
    pub alerts: Vec<ReceivedAlert>,
}

/// What the server says about itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The configuration in effect, defaults filled in, secrets hidden (T42).
    pub config_yaml: String,
    /// For example `0.28.1`.
    pub version: String,
    /// When the process started; another value than before means a restart.
    pub started: Option<Stamp>,
    /// `ready`, `settling` or `disabled`.
    pub cluster: String,
}

/// What became of the notifications of one integration (`webhook`, `email` …), by Alertmanager's own counters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Deliveries {
    /// Notifications attempted.
    pub attempted: f64,
    /// Notifications given up.
    pub failed: f64,
    /// The failures by reason, where the version says it (0.26 and later).
    pub failed_by_reason: BTreeMap<String, f64>,
}

impl Alertmanager {
    /// A client for the server at `base`, without `/api/v2`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::new(base, settings)? })
    }

    /// Whether it says it is ready.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn ready(&self) -> Result<(), Error> {
        self.endpoint.get("-/ready", &[]).await.map(drop)
    }

    /// Alerts that have not ended.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn alerts(&self, filter: &AlertFilter) -> Result<Vec<ReceivedAlert>, Error> {
        let mut parameters = filter.parameters();
        parameters.push(("unprocessed", filter.unprocessed.parameter()));
        self.list("api/v2/alerts", &parameters, read_alert).await
    }

    /// Alerts in their notification groups.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn groups(&self, filter: &AlertFilter) -> Result<Vec<AlertGroup>, Error> {
        self.list("api/v2/alerts/groups", &filter.parameters(), read_group).await
    }

    /// Configuration, version, start time.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn status(&self) -> Result<Status, Error> {
        let reply = self.endpoint.get("api/v2/status", &[]).await?;
        let document = reply.json()?;
        let root = Node::root(&document, &reply.url);
        Ok(Status {
            config_yaml: root.member("config")?.member("original")?.text()?.to_owned(),
            version: root.member("versionInfo")?.member("version")?.text()?.to_owned(),
            started: root.time_or_never("uptime")?,
            cluster: root.member("cluster")?.text_or_empty("status")?,
        })
    }

    /// Its own `/metrics`.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn own_metrics(&self) -> Result<Exposition, Error> {
        super::http::exposition(&self.endpoint, "metrics").await
    }

    /// Has it read its configuration again.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not take it, and goes on with the old one; see [`Error`].
    pub async fn reload(&self) -> Result<(), Error> {
        self.endpoint.post("-/reload", &serde_json::Value::Null).await.map(drop)
    }

    async fn list<T>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        read: impl Fn(&Node<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        let reply = match self.endpoint.get(path, parameters).await {
            Err(Error::Refused { status: 400, body, .. }) => {
                return Err(Error::Query { kind: "bad_data".to_owned(), message: body });
            }
            other => other?,
        };
        let document = reply.json()?;
        // Go writes a nil slice as null: no alerts, not a malformed answer (T40).
        if document.is_null() {
            return Ok(Vec::new());
        }
        Node::root(&document, &reply.url).items()?.iter().map(read).collect()
    }
}

/// The delivery counters in an exposition, by integration.
#[must_use]
pub fn deliveries(metrics: &Exposition) -> BTreeMap<String, Deliveries> {
    let mut by_integration: BTreeMap<String, Deliveries> = BTreeMap::new();
    for sample in metrics.samples() {
        let Some(integration) = sample.labels.get("integration") else { continue };
        match sample.name.as_str() {
            "alertmanager_notifications_total" => {
                by_integration.entry(integration.clone()).or_default().attempted += sample.value;
            }
            "alertmanager_notifications_failed_total" => {
                let deliveries = by_integration.entry(integration.clone()).or_default();
                deliveries.failed += sample.value;
                if let Some(reason) = sample.labels.get("reason") {
                    *deliveries.failed_by_reason.entry(reason.clone()).or_default() += sample.value;
                }
            }
            _ => {}
        }
    }
    by_integration
}

fn read_alert(node: &Node<'_>) -> Result<ReceivedAlert, Error> {
    let status = node.member("status")?;
    let texts = |node: &Node<'_>, key| -> Result<Vec<String>, Error> {
        node.optional_items(key)?.iter().map(|item| item.text().map(str::to_owned)).collect()
    };
    let name = |receiver: &Node<'_>| receiver.member("name")?.text().map(str::to_owned);
    Ok(ReceivedAlert {
        labels: node.member("labels")?.labels()?,
        annotations: node.labels_or_empty("annotations")?,
        starts_at: node.time_or_never("startsAt")?,
        ends_at: node.time_or_never("endsAt")?,
        updated_at: node.time_or_never("updatedAt")?,
        fingerprint: node.text_or_empty("fingerprint")?,
        receivers: node.optional_items("receivers")?.iter().map(name).collect::<Result<_, _>>()?,
        state: read_state(&status.member("state")?)?,
        silenced_by: texts(&status, "silencedBy")?,
        inhibited_by: texts(&status, "inhibitedBy")?,
    })
}

fn read_state(node: &Node<'_>) -> Result<AlertDisposition, Error> {
    match node.text()? {
        "unprocessed" => Ok(AlertDisposition::Unprocessed),
        "active" => Ok(AlertDisposition::Active),
        "suppressed" => Ok(AlertDisposition::Suppressed),
        _ => Err(node.expected("`unprocessed`, `active` or `suppressed`")),
    }
}

fn read_group(node: &Node<'_>) -> Result<AlertGroup, Error> {
    Ok(AlertGroup {
        labels: node.labels_or_empty("labels")?,
        receiver: node.member("receiver")?.member("name")?.text()?.to_owned(),
        alerts: node.optional_items("alerts")?.iter().map(read_alert).collect::<Result<_, _>>()?,
    })
}

#[cfg(test)]
mod tests;
