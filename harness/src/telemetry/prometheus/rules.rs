//! `/api/v1/rules` and `/api/v1/alerts`: what Prometheus itself says about its rules (T23, T24).

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::super::document::Node;
use super::super::{Answer, Error, Labels, parse_number};
use super::Prometheus;
use crate::clock::Stamp;

/// A rule group.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Group {
    /// Unique in its file.
    pub name: String,
    /// The rule file as Prometheus knows it.
    pub file: String,
    /// Evaluation interval.
    pub interval: Duration,
    /// When the last evaluation began, by Prometheus's wall clock.
    pub last_evaluation: Option<Stamp>,
    /// How long it took.
    pub evaluation_time: Duration,
    /// In evaluation order.
    pub rules: Vec<Rule>,
}

/// A rule.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rule {
    /// The alert's name or the recorded metric.
    pub name: String,
    /// Which of the two.
    pub kind: RuleKind,
    /// Whether the last evaluation worked; a rule that errors freezes its alerts (T24).
    pub health: Health,
    /// Prometheus's error text, empty if healthy.
    pub last_error: String,
    /// When the last evaluation of this rule began, by Prometheus's wall clock; none before the first. It lies up to some
    /// milliseconds after the evaluation's own timestamp.
    pub last_evaluation: Option<Stamp>,
    /// How long it took.
    pub evaluation_time: Duration,
    /// `for`.
    pub hold: Duration,
    /// `keep_firing_for`.
    pub keep_firing: Duration,
    /// The rule's own labels, templates not rendered.
    pub labels: Labels,
    /// Templates not rendered.
    pub annotations: Labels,
    /// The expression, as Prometheus prints it.
    pub query: String,
    /// Pending and firing alerts; inactive ones are not listed.
    pub alerts: Vec<ActiveAlert>,
}

/// Recording or alerting.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum RuleKind {
    /// Makes alerts.
    Alerting,
    /// Makes series.
    Recording,
}

/// How the last evaluation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Health {
    /// Not evaluated yet.
    Unknown,
    /// It worked.
    Ok,
    /// It failed.
    Error,
}

impl Health {
    /// The word Prometheus uses.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Ok => "ok",
            Self::Error => "err",
        }
    }
}

/// An alert that is not inactive.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ActiveAlert {
    /// `alertname` and the rule's labels included; external labels are not.
    pub labels: Labels,
    /// Rendered.
    pub annotations: Labels,
    /// Pending or firing.
    pub state: AlertPhase,
    /// The timestamp of the evaluation that made it pending; exactly on the group's evaluation grid.
    pub active_at: Option<Stamp>,
    /// The expression's value at the last evaluation.
    pub value: Option<f64>,
    /// Since when it fires only because of `keep_firing_for`.
    pub keep_firing_since: Option<Stamp>,
}

/// The states of an alert that is listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AlertPhase {
    /// True, not yet for the whole `for`.
    Pending,
    /// Sent to Alertmanager.
    Firing,
}

impl Prometheus {
    /// All rule groups with their alerts.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn rules(&self) -> Result<Answer<Vec<Group>>, Error> {
        self.read("api/v1/rules", &[], read_groups).await
    }

    /// All alerts that are pending or firing.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn alerts(&self) -> Result<Answer<Vec<ActiveAlert>>, Error> {
        self.read("api/v1/alerts", &[], |data| data.member("alerts")?.items()?.iter().map(read_alert).collect()).await
    }
}

/// Reads the `data` of `/api/v1/rules`.
pub(super) fn read_groups(data: &Node<'_>) -> Result<Vec<Group>, Error> {
    data.member("groups")?.items()?.iter().map(read_group).collect()
}

fn read_group(node: &Node<'_>) -> Result<Group, Error> {
    Ok(Group {
        name: node.member("name")?.text()?.to_owned(),
        file: node.text_or_empty("file")?,
        interval: node.member("interval")?.seconds()?,
        last_evaluation: node.time_or_never("lastEvaluation")?,
        evaluation_time: node.seconds_or_zero("evaluationTime")?,
        rules: node.optional_items("rules")?.iter().map(read_rule).collect::<Result<_, _>>()?,
    })
}

fn read_rule(node: &Node<'_>) -> Result<Rule, Error> {
    Ok(Rule {
        name: node.member("name")?.text()?.to_owned(),
        kind: read_kind(&node.member("type")?)?,
        health: read_health(&node.member("health")?)?,
        last_error: node.text_or_empty("lastError")?,
        last_evaluation: node.time_or_never("lastEvaluation")?,
        evaluation_time: node.seconds_or_zero("evaluationTime")?,
        hold: node.seconds_or_zero("duration")?,
        keep_firing: node.seconds_or_zero("keepFiringFor")?,
        labels: node.labels_or_empty("labels")?,
        annotations: node.labels_or_empty("annotations")?,
        query: node.member("query")?.text()?.to_owned(),
        alerts: node.optional_items("alerts")?.iter().map(read_alert).collect::<Result<_, _>>()?,
    })
}

fn read_kind(node: &Node<'_>) -> Result<RuleKind, Error> {
    match node.text()? {
        "alerting" => Ok(RuleKind::Alerting),
        "recording" => Ok(RuleKind::Recording),
        _ => Err(node.expected("`alerting` or `recording`")),
    }
}

fn read_health(node: &Node<'_>) -> Result<Health, Error> {
    match node.text()? {
        "ok" => Ok(Health::Ok),
        "err" => Ok(Health::Error),
        "unknown" => Ok(Health::Unknown),
        _ => Err(node.expected("`ok`, `err` or `unknown`")),
    }
}

fn read_alert(node: &Node<'_>) -> Result<ActiveAlert, Error> {
    let state = node.member("state")?;
    Ok(ActiveAlert {
        labels: node.member("labels")?.labels()?,
        annotations: node.labels_or_empty("annotations")?,
        state: match state.text()? {
            "pending" => AlertPhase::Pending,
            "firing" => AlertPhase::Firing,
            _ => return Err(state.expected("`pending` or `firing`")),
        },
        active_at: node.time_or_never("activeAt")?,
        value: parse_number(&node.text_or_empty("value")?),
        keep_firing_since: node.time_or_never("keepFiringSince")?,
    })
}
