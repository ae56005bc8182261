//! The client of Grafana's HTTP API: health, dashboards, data sources, queries through them, provisioned alert rules and
//! contact points.
//!
//! Fed by a Grafana on the wire; read by `expect` (does every panel answer, from a data source that exists) and `run`
//! (readiness, fault windows as [`annotation`]s, which is the only write).

pub mod annotation;
mod frame;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

pub use frame::{Cell, Field, Frame};

use super::document::Node;
use super::http::{Endpoint, Settings};
use super::{Error, Labels};
use crate::clock::Stamp;

/// Dashboards in one page of a search.
const PAGE: usize = 1000;

/// A Grafana server.
#[derive(Clone)]
pub struct Grafana {
    endpoint: Endpoint,
}

/// What `/api/health` says. It says nothing on queries (T59).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Health {
    /// For example `12.1.0`; empty where anonymous users are not told.
    pub version: String,
    /// `ok`, or what is wrong with Grafana's own database.
    pub database: String,
}

/// A dashboard as a search finds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FoundDashboard {
    /// Stable id.
    pub uid: String,
    /// Title.
    pub title: String,
    /// Folder's title; empty at the top.
    pub folder: String,
}

/// A dashboard.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Dashboard {
    /// Stable id.
    pub uid: String,
    /// Title.
    pub title: String,
    /// Whether it comes from a file.
    pub provisioned: bool,
    /// The model as Grafana stores it: panels, targets, variables.
    pub model: Value,
}

/// A data source.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataSource {
    /// What panels refer to; a wrong one shows an empty panel, not an error (T58).
    pub uid: String,
    /// Name, which old panels refer to.
    pub name: String,
    /// `prometheus`, `loki` …
    pub kind: String,
    /// Where Grafana finds it.
    pub url: String,
    /// Whether panels without a data source use it.
    pub is_default: bool,
    /// The scrape interval it is told, empty for 15 s; `$__rate_interval` is computed from it (T57).
    pub scrape_interval: String,
}

/// One query of a panel.
#[derive(Clone, Debug, PartialEq)]
pub struct PanelQuery {
    /// Its letter.
    pub id: String,
    /// The data source's uid.
    pub data_source: String,
    /// The target's other keys (`expr`, `instant`, `format` …), variables already replaced.
    pub model: serde_json::Map<String, Value>,
    /// Milliseconds between points, from which Grafana computes `$__interval` and `$__rate_interval`.
    pub interval_ms: u64,
    /// Points a panel of this width asks for.
    pub max_data_points: u64,
}

/// What a data source answered to one query: its frames, or its error in words.
pub type PanelResult = Result<Vec<Frame>, String>;

/// An alert rule that Grafana itself evaluates.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ManagedRule {
    /// Stable id.
    pub uid: String,
    /// Title, which is also `alertname`.
    pub title: String,
    /// Folder's uid.
    pub folder: String,
    /// Evaluation group.
    pub group: String,
    /// `for`, as written.
    pub hold: String,
    /// Its labels.
    pub labels: Labels,
}

/// Where Grafana's own notifications go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ContactPoint {
    /// Stable id; empty for the default one in old versions.
    pub uid: String,
    /// Name; several integrations can share it.
    pub name: String,
    /// `webhook`, `email` …
    pub kind: String,
}

impl Grafana {
    /// A client for the server at `base`.
    ///
    /// # Errors
    /// [`Error::Address`] when it is no `http://` address.
    pub fn new(base: &str, settings: Settings) -> Result<Self, Error> {
        Ok(Self { endpoint: Endpoint::new(base, settings)? })
    }

    /// Whether it runs.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn health(&self) -> Result<Health, Error> {
        self.read("api/health", &[], |root| {
            Ok(Health {
                version: root.text_or_empty("version")?,
                database: root.member("database")?.text()?.to_owned(),
            })
        })
        .await
    }

    /// All dashboards.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn dashboards(&self) -> Result<Vec<FoundDashboard>, Error> {
        let mut dashboards = Vec::new();
        for page in 1.. {
            let parameters = [("type", "dash-db".to_owned()), ("limit", PAGE.to_string()), ("page", page.to_string())];
            let found: Vec<_> = self.list("api/search", &parameters, read_found).await?;
            let full = found.len() >= PAGE;
            dashboards.extend(found);
            if !full {
                break;
            }
        }
        Ok(dashboards)
    }

    /// A dashboard by its uid.
    ///
    /// # Errors
    /// [`Error::Refused`] with 404 when there is none; see [`Error`].
    pub async fn dashboard(&self, uid: &str) -> Result<Dashboard, Error> {
        self.read(&format!("api/dashboards/uid/{uid}"), &[], |root| {
            let model = root.member("dashboard")?;
            let provisioned = root.member("meta")?.optional("provisioned").map_or(Ok(false), |node| node.truth())?;
            Ok(Dashboard {
                uid: model.member("uid")?.text()?.to_owned(),
                title: model.text_or_empty("title")?,
                provisioned,
                model: model.value().clone(),
            })
        })
        .await
    }

    /// All data sources.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn data_sources(&self) -> Result<Vec<DataSource>, Error> {
        self.list("api/datasources", &[], read_data_source).await
    }

    /// Whether Grafana reaches a data source: its own words for yes.
    ///
    /// # Errors
    /// [`Error::Refused`] when it does not (Grafana answers 400 or 500 with the cause), or when the kind has no such check
    /// (404); see [`Error`].
    pub async fn data_source_health(&self, uid: &str) -> Result<String, Error> {
        self.read(&format!("api/datasources/uid/{uid}/health"), &[], |root| root.text_or_empty("message")).await
    }

    /// Asks queries through their data sources, as a panel does. One of them failing does not hide the others: the map has
    /// an entry for each query Grafana answered.
    ///
    /// # Errors
    /// [`Error::Refused`] when Grafana did not take the request; see [`Error`].
    pub async fn query(
        &self,
        queries: &[PanelQuery],
        from: Stamp,
        to: Stamp,
    ) -> Result<BTreeMap<String, PanelResult>, Error> {
        let queries: Vec<Value> = queries.iter().map(PanelQuery::document).collect();
        let request = json!({"from": milliseconds(from), "to": milliseconds(to), "queries": queries});
        let (url, document) = match self.endpoint.post("api/ds/query", &request).await {
            Ok(reply) => (reply.url.clone(), reply.json()?),
            // When all queries fail the status is theirs, and the body still says which failed how.
            Err(Error::Refused { url, status, body }) => match serde_json::from_str(&body) {
                Ok(document @ Value::Object(_)) if Value::get(&document, "results").is_some() => (url, document),
                _ => return Err(Error::Refused { url, status, body }),
            },
            Err(error) => return Err(error),
        };
        let results = Node::root(&document, &url).member("results")?.members()?;
        results.into_iter().map(|(id, node)| Ok((id.to_owned(), read_result(&node)?))).collect()
    }

    /// The alert rules Grafana evaluates itself.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn alert_rules(&self) -> Result<Vec<ManagedRule>, Error> {
        self.list("api/v1/provisioning/alert-rules", &[], |node| {
            Ok(ManagedRule {
                uid: node.member("uid")?.text()?.to_owned(),
                title: node.member("title")?.text()?.to_owned(),
                folder: node.text_or_empty("folderUID")?,
                group: node.text_or_empty("ruleGroup")?,
                hold: node.text_or_empty("for")?,
                labels: node.labels_or_empty("labels")?,
            })
        })
        .await
    }

    /// Where Grafana's own notifications go.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn contact_points(&self) -> Result<Vec<ContactPoint>, Error> {
        self.list("api/v1/provisioning/contact-points", &[], |node| {
            Ok(ContactPoint {
                uid: node.text_or_empty("uid")?,
                name: node.member("name")?.text()?.to_owned(),
                kind: node.member("type")?.text()?.to_owned(),
            })
        })
        .await
    }

    async fn read<T>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        read: impl FnOnce(&Node<'_>) -> Result<T, Error>,
    ) -> Result<T, Error> {
        let reply = self.endpoint.get(path, parameters).await?;
        let document = reply.json()?;
        read(&Node::root(&document, &reply.url))
    }

    async fn list<T>(
        &self,
        path: &str,
        parameters: &[(&str, String)],
        read: impl Fn(&Node<'_>) -> Result<T, Error>,
    ) -> Result<Vec<T>, Error> {
        self.read(path, parameters, |root| root.items()?.iter().map(&read).collect()).await
    }
}

impl PanelQuery {
    fn document(&self) -> Value {
        let mut document = self.model.clone();
        document.insert("refId".to_owned(), json!(self.id));
        document.insert("datasource".to_owned(), json!({"uid": self.data_source}));
        document.insert("intervalMs".to_owned(), json!(self.interval_ms));
        document.insert("maxDataPoints".to_owned(), json!(self.max_data_points));
        Value::Object(document)
    }
}

fn milliseconds(at: Stamp) -> String {
    at.0.div_euclid(1000).to_string()
}

fn read_found(node: &Node<'_>) -> Result<FoundDashboard, Error> {
    Ok(FoundDashboard {
        uid: node.member("uid")?.text()?.to_owned(),
        title: node.member("title")?.text()?.to_owned(),
        folder: node.text_or_empty("folderTitle")?,
    })
}

fn read_data_source(node: &Node<'_>) -> Result<DataSource, Error> {
    let scrape_interval =
        node.optional("jsonData").map_or_else(|| Ok(String::new()), |data| data.text_or_empty("timeInterval"))?;
    Ok(DataSource {
        uid: node.member("uid")?.text()?.to_owned(),
        name: node.member("name")?.text()?.to_owned(),
        kind: node.member("type")?.text()?.to_owned(),
        url: node.text_or_empty("url")?,
        is_default: node.optional("isDefault").map_or(Ok(false), |node| node.truth())?,
        scrape_interval,
    })
}

fn read_result(node: &Node<'_>) -> Result<PanelResult, Error> {
    let error = node.text_or_empty("error")?;
    if !error.is_empty() {
        return Ok(Err(error));
    }
    let frames = node.optional_items("frames")?.iter().map(frame::read).collect::<Result<_, _>>()?;
    Ok(Ok(frames))
}

#[cfg(test)]
mod tests;
