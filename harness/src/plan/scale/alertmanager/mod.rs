//! What `alertmanager.yml` says, with its defaults and inheritance. Fed by `scale::source`; read by the renderer,
//! `plan::bound`, routing checks and the inboxes' set-up.

mod matcher;
mod route;

use std::collections::BTreeMap;
use std::time::Duration;

use super::source::{ConfigError, SourceFile};
use super::yaml::Node;
use crate::source::Location;

pub use matcher::{Matcher, MatcherError, MatcherOperator};
pub use route::{GroupBy, ResolvedRoute, Route};

/// Alertmanager's default `group_wait`.
pub const DEFAULT_GROUP_WAIT: Duration = Duration::from_secs(30);
/// Alertmanager's default `group_interval`.
pub const DEFAULT_GROUP_INTERVAL: Duration = Duration::from_mins(5);
/// Alertmanager's default `repeat_interval`.
pub const DEFAULT_REPEAT_INTERVAL: Duration = Duration::from_hours(4);
/// Alertmanager's default `resolve_timeout`.
pub const DEFAULT_RESOLVE_TIMEOUT: Duration = Duration::from_mins(5);

/// `alertmanager.yml`.
#[derive(Clone, Debug)]
pub struct AlertmanagerConfig {
    /// The file itself.
    pub file: SourceFile,
    /// Template files it names.
    pub templates: Vec<SourceFile>,
    /// When an alert without an end counts as resolved.
    pub resolve_timeout: Duration,
    /// The routing tree.
    pub route: Route,
    /// Receivers in order.
    pub receivers: Vec<Receiver>,
    /// Inhibition rules in order.
    pub inhibit_rules: Vec<InhibitRule>,
    /// Names of mute and time intervals.
    pub time_intervals: Vec<String>,
}

/// A receiver and its integrations.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receiver {
    /// Its name.
    pub name: String,
    /// Where notifications go; empty for a black hole.
    pub integrations: Vec<Integration>,
    /// Where it stands.
    pub location: Location,
}

/// One entry of a receiver.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Integration {
    /// `webhook`, `slack`, `pagerduty`, `email` …, the key without `_configs`.
    pub kind: String,
    /// Its place among the entries of its kind, from 0.
    pub index: usize,
    /// Whether it tells that an alert has resolved, the kind's own default applied.
    pub send_resolved: bool,
    /// A webhook's or pager's limit of alerts in a message, if it has one.
    pub max_alerts: Option<u64>,
}

/// An inhibition rule.
#[derive(Clone, Debug)]
pub struct InhibitRule {
    /// What inhibits.
    pub source: Vec<Matcher>,
    /// What is inhibited.
    pub target: Vec<Matcher>,
    /// Labels that must be equal; empty inhibits everywhere.
    pub equal: Vec<String>,
    /// Where it stands.
    pub location: Location,
}

/// Whether a kind tells of resolution when its entry does not say.
#[must_use]
pub fn sends_resolved_by_default(kind: &str) -> bool {
    !matches!(kind, "slack" | "email" | "wechat" | "rocketchat")
}

impl AlertmanagerConfig {
    /// The routes an alert with these labels takes, as Alertmanager walks its tree: depth first, the first matching child
    /// wins unless it says `continue`, a node without a matching child takes the alert itself.
    #[must_use]
    pub fn route(&self, labels: &BTreeMap<String, String>) -> Vec<ResolvedRoute> {
        self.route.resolve(labels)
    }

    /// The receiver of this name.
    #[must_use]
    pub fn receiver(&self, name: &str) -> Option<&Receiver> {
        self.receivers.iter().find(|receiver| receiver.name == name)
    }

    /// The inhibition rules under which `source` silences `target`.
    #[must_use]
    pub fn inhibitions(
        &self,
        source: &BTreeMap<String, String>,
        target: &BTreeMap<String, String>,
    ) -> Vec<&InhibitRule> {
        self.inhibit_rules.iter().filter(|rule| rule.inhibits(source, target)).collect()
    }
}

impl InhibitRule {
    /// Whether a firing alert with the labels `source` silences one with the labels `target`.
    #[must_use]
    pub fn inhibits(&self, source: &BTreeMap<String, String>, target: &BTreeMap<String, String>) -> bool {
        let all = |matchers: &[Matcher], labels| matchers.iter().all(|matcher| matcher.matches(labels));
        let value = |labels: &BTreeMap<String, String>, name: &String| labels.get(name).cloned().unwrap_or_default();
        // an alert that matches both sides cannot be inhibited by one of which the same is true (nor by itself)
        let both = all(&self.source, target) && all(&self.target, source);
        all(&self.source, source)
            && all(&self.target, target)
            && !both
            && self.equal.iter().all(|name| value(source, name) == value(target, name))
    }
}

/// The entries of `templates`.
#[must_use]
pub fn template_patterns(file: &SourceFile) -> Vec<&Node> {
    file.document
        .as_ref()
        .and_then(|document| document.get("templates"))
        .map(|list| list.items().iter().collect())
        .unwrap_or_default()
}

/// Reads `alertmanager.yml`.
///
/// # Errors
/// When it does not have a route, names a receiver that does not exist, or a value is malformed.
pub fn parse(file: SourceFile, templates: Vec<SourceFile>) -> Result<AlertmanagerConfig, ConfigError> {
    let Some(document) = file.document.clone().filter(Node::is_mapping) else {
        let location = Location::of(&file.name(), &file.text, 0);
        return Err(ConfigError::Meaning {
            location,
            message: "`alertmanager.yml` is empty: it needs `route` and `receivers`".to_owned(),
        });
    };
    let resolve_timeout = match document.get("global") {
        Some(global) => file.duration_of(global, "resolve_timeout")?.unwrap_or(DEFAULT_RESOLVE_TIMEOUT),
        None => DEFAULT_RESOLVE_TIMEOUT,
    };
    let Some(root) = document.get("route") else { return Err(file.error(&document, "`route` is missing")) };
    let receivers =
        list(&document, "receivers").iter().map(|node| receiver(&file, node)).collect::<Result<Vec<_>, _>>()?;
    let route = route::parse_root(&file, root, &receivers)?;
    let inhibit_rules =
        list(&document, "inhibit_rules").iter().map(|node| inhibit_rule(&file, node)).collect::<Result<_, _>>()?;
    let intervals = list(&document, "time_intervals").iter().chain(list(&document, "mute_time_intervals"));
    let time_intervals = intervals.filter_map(|node| node.get("name")?.text().map(str::to_owned)).collect();
    Ok(AlertmanagerConfig { file, templates, resolve_timeout, route, receivers, inhibit_rules, time_intervals })
}

fn list<'a>(mapping: &'a Node, key: &str) -> &'a [Node] {
    mapping.get(key).map(Node::items).unwrap_or_default()
}

fn receiver(file: &SourceFile, node: &Node) -> Result<Receiver, ConfigError> {
    let name = file.text_of(node, "name")?.ok_or_else(|| file.error(node, "a receiver needs a `name`"))?;
    let mut integrations = Vec::new();
    for (key, value) in node.entries() {
        let Some(kind) = key.text().and_then(|key| key.strip_suffix("_configs")) else { continue };
        for (index, entry) in value.items().iter().enumerate() {
            let explicit = file.text_of(entry, "send_resolved")?;
            let max_alerts =
                file.text_of(entry, "max_alerts")?.and_then(|text| text.parse().ok()).filter(|limit| *limit > 0);
            integrations.push(Integration {
                kind: kind.to_owned(),
                index,
                send_resolved: explicit.map_or_else(|| sends_resolved_by_default(kind), |text| is_true(&text)),
                max_alerts,
            });
        }
    }
    Ok(Receiver { name, integrations, location: file.location(node) })
}

/// A YAML boolean as Alertmanager's parser reads it.
pub(super) fn is_true(text: &str) -> bool {
    matches!(text.to_ascii_lowercase().as_str(), "true" | "yes" | "on" | "y")
}

fn inhibit_rule(file: &SourceFile, node: &Node) -> Result<InhibitRule, ConfigError> {
    Ok(InhibitRule {
        source: matcher::of_node(file, node, "source_match", "source_match_re", "source_matchers")?,
        target: matcher::of_node(file, node, "target_match", "target_match_re", "target_matchers")?,
        equal: list(node, "equal").iter().filter_map(Node::text).map(str::to_owned).collect(),
        location: file.location(node),
    })
}

#[cfg(test)]
mod tests;
