//! Targets, discovered Alertmanagers, and what the server says about itself.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::document::Node;
use super::super::exposition::Exposition;
use super::super::{Answer, Error, Labels};
use super::Prometheus;
use crate::clock::Stamp;

/// A scrape target.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// The job's name.
    pub pool: String,
    /// After relabelling.
    pub labels: Labels,
    /// Before relabelling.
    pub discovered_labels: Labels,
    /// What is scraped.
    pub url: String,
    /// `up`, `down` or `unknown`.
    pub health: String,
    /// Prometheus's words, empty after a good scrape.
    pub last_error: String,
    /// When the last scrape began; none before the first.
    pub last_scrape: Option<Stamp>,
    /// How long it took.
    pub last_duration: Duration,
    /// As Prometheus writes it (`1m0s`); empty before 2.34.
    pub interval: String,
    /// As Prometheus writes it; empty before 2.34.
    pub timeout: String,
}

/// An Alertmanager that Prometheus sends to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AlertmanagerTarget {
    /// The full address alerts are posted to.
    pub url: String,
}

/// Version facts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BuildInfo {
    /// For example `2.53.3`.
    pub version: String,
    /// Commit.
    pub revision: String,
}

/// What changes at a restart or reload.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RuntimeInfo {
    /// When the process started; another value than before means a restart.
    pub started: Option<Stamp>,
    /// Whether the last reload worked.
    pub reload_succeeded: bool,
    /// When the configuration was last loaded.
    pub last_reload: Option<Stamp>,
}

/// What the exposition says about a metric.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Metadata {
    /// `counter`, `gauge`, `histogram` …
    pub kind: String,
    /// Help text.
    pub help: String,
    /// Unit, mostly empty.
    pub unit: String,
}

/// Prometheus's own counts of what it did not do: proof for negatives (T26) and for the way of a page (T32). A counter that
/// it does not serve is `None`, which is not zero.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct OwnCounters {
    /// Alerts it could not send to any Alertmanager.
    pub notifications_dropped: Option<f64>,
    /// Attempts to send to an Alertmanager that failed.
    pub notification_errors: Option<f64>,
    /// Evaluations due, by rule group (`<file>;<group>`).
    pub iterations: BTreeMap<String, f64>,
    /// Of these, evaluations left out because the one before took too long.
    pub iterations_missed: BTreeMap<String, f64>,
    /// Rule evaluations that failed, by rule group.
    pub evaluation_failures: BTreeMap<String, f64>,
}

impl OwnCounters {
    /// Reads them out of [`Prometheus::own_metrics`].
    #[must_use]
    pub fn of(metrics: &Exposition) -> Self {
        Self::prefixed(metrics, "")
    }

    /// The same of a server that puts `prefix` before Prometheus's names, as Loki's ruler does.
    #[must_use]
    pub fn prefixed(metrics: &Exposition, prefix: &str) -> Self {
        let named = |name: &str| format!("{prefix}{name}");
        let by_group = |name: &str| {
            let mut groups = BTreeMap::new();
            for sample in metrics.samples().filter(|sample| sample.name == named(name)) {
                let group = sample.labels.get("rule_group").cloned().unwrap_or_default();
                *groups.entry(group).or_default() += sample.value;
            }
            groups
        };
        Self {
            notifications_dropped: metrics.sum(&named("prometheus_notifications_dropped_total"), &[]),
            notification_errors: metrics.sum(&named("prometheus_notifications_errors_total"), &[]),
            iterations: by_group("prometheus_rule_group_iterations_total"),
            iterations_missed: by_group("prometheus_rule_group_iterations_missed_total"),
            evaluation_failures: by_group("prometheus_rule_evaluation_failures_total"),
        }
    }
}

impl Prometheus {
    /// Active targets.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn targets(&self) -> Result<Answer<Vec<Target>>, Error> {
        let parameters = [("state", "active".to_owned())];
        self.read("api/v1/targets", &parameters, |data| {
            data.member("activeTargets")?.items()?.iter().map(read_target).collect()
        })
        .await
    }

    /// Alertmanagers that are discovered; alerts sent before there is one are lost (T32).
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn alertmanagers(&self) -> Result<Answer<Vec<AlertmanagerTarget>>, Error> {
        self.read("api/v1/alertmanagers", &[], |data| {
            let url = |node: &Node<'_>| Ok(AlertmanagerTarget { url: node.member("url")?.text()?.to_owned() });
            data.optional_items("activeAlertmanagers")?.iter().map(url).collect()
        })
        .await
    }

    /// The version.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn build_info(&self) -> Result<BuildInfo, Error> {
        let answer = self.read("api/v1/status/buildinfo", &[], |data| {
            Ok(BuildInfo {
                version: data.member("version")?.text()?.to_owned(),
                revision: data.text_or_empty("revision")?,
            })
        });
        Ok(answer.await?.value)
    }

    /// The command-line flags in effect.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn flags(&self) -> Result<BTreeMap<String, String>, Error> {
        Ok(self.read("api/v1/status/flags", &[], |data| data.labels()).await?.value)
    }

    /// The configuration in effect, with defaults filled in and secrets hidden.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn config_yaml(&self) -> Result<String, Error> {
        let answer = self.read("api/v1/status/config", &[], |data| Ok(data.member("yaml")?.text()?.to_owned()));
        Ok(answer.await?.value)
    }

    /// Start time and reload state.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn runtime_info(&self) -> Result<RuntimeInfo, Error> {
        let answer = self.read("api/v1/status/runtimeinfo", &[], |data| {
            Ok(RuntimeInfo {
                started: data.time_or_never("startTime")?,
                reload_succeeded: data.member("reloadConfigSuccess")?.truth()?,
                last_reload: data.time_or_never("lastConfigTime")?,
            })
        });
        Ok(answer.await?.value)
    }

    /// What the targets say about a metric; several entries when they disagree, none when nobody serves it.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn metadata(&self, metric: &str) -> Result<Vec<Metadata>, Error> {
        let parameters = [("metric", metric.to_owned())];
        let answer = self.read("api/v1/metadata", &parameters, |data| {
            data.optional_items(metric)?.iter().map(read_metadata).collect()
        });
        Ok(answer.await?.value)
    }
}

fn read_metadata(node: &Node<'_>) -> Result<Metadata, Error> {
    Ok(Metadata {
        kind: node.member("type")?.text()?.to_owned(),
        help: node.text_or_empty("help")?,
        unit: node.text_or_empty("unit")?,
    })
}

fn read_target(node: &Node<'_>) -> Result<Target, Error> {
    Ok(Target {
        pool: node.text_or_empty("scrapePool")?,
        labels: node.member("labels")?.labels()?,
        discovered_labels: node.labels_or_empty("discoveredLabels")?,
        url: node.member("scrapeUrl")?.text()?.to_owned(),
        health: node.member("health")?.text()?.to_owned(),
        last_error: node.text_or_empty("lastError")?,
        last_scrape: node.time_or_never("lastScrape")?,
        last_duration: node.seconds_or_zero("lastScrapeDuration")?,
        interval: node.text_or_empty("scrapeInterval")?,
        timeout: node.text_or_empty("scrapeTimeout")?,
    })
}
