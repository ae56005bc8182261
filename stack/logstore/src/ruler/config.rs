//! The `ruler` section of Loki's configuration file: what the embedded ruler obeys, what means nothing to a single process,
//! and what is refused because it would be evaluated in another way than Loki does. The rest of the file is not read.

use std::path::PathBuf;
use std::time::Duration;

use super::yaml::{self, Node, Value};
use crate::clock::Nanos;
use crate::label::Labels;
use crate::logql::parse_duration;

/// How rules are evaluated; the defaults are Loki's.
#[derive(Clone, Debug, PartialEq)]
pub struct Settings {
    /// `storage.local.directory`: holds one folder for each tenant.
    pub directory: PathBuf,
    /// `rule_path`: where Loki copies rule files to; here only part of the group's name in metrics.
    pub rule_path: String,
    /// `alertmanager_url`, split at commas.
    pub alertmanagers: Vec<String>,
    /// `evaluation_interval`: of groups without one of their own.
    pub evaluation_interval: Nanos,
    /// `resend_delay`: after which a firing alert is sent again.
    pub resend_delay: Nanos,
    /// `notification_timeout`: of one request.
    pub notification_timeout: Duration,
    /// `notification_queue_capacity`: alerts that may wait.
    pub queue_capacity: usize,
    /// `external_labels`: added to alerts that do not have them.
    pub external_labels: Labels,
    /// `external_url`: the first part of links.
    pub external_url: String,
    /// `datasource_uid`: Grafana's name for this store, in links.
    pub datasource_uid: String,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            directory: PathBuf::new(),
            rule_path: "/rules".to_owned(),
            alertmanagers: Vec::new(),
            evaluation_interval: 60 * crate::clock::SECOND,
            resend_delay: 60 * crate::clock::SECOND,
            notification_timeout: Duration::from_secs(10),
            queue_capacity: 10_000,
            external_labels: Labels::default(),
            external_url: String::new(),
            datasource_uid: String::new(),
        }
    }
}

/// What has no meaning in a single process without tenants, or for the embedded ruler.
const WITHOUT_EFFECT: [&str; 18] = [
    "alertmanager_refresh_interval",
    "enable_api",
    "enable_sharding",
    "flush_period",
    "for_grace_period",
    "for_outage_tolerance",
    "poll_interval",
    "query_stats_enabled",
    "ring",
    "ruler_client",
    "search_pending_for",
    "sharding_algo",
    "sharding_strategy",
    "wal",
    "wal_cleaner",
    "disable_rule_group_label",
    "enabled_tenants",
    "disabled_tenants",
];

/// The whole of Loki's tenant where there are no tenants.
pub(super) const TENANT: &str = "fake";

/// Reads the settings out of the text of Loki's configuration; none if it has no ruler with a folder of rules.
///
/// # Errors
/// What is wrong or not supported, with its line.
pub(super) fn read(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<Option<Settings>, String> {
    let document = yaml::parse(&expand(text, environment)?)?;
    let Some(ruler) = document.get("ruler") else { return Ok(None) };
    if document.get("auth_enabled").is_none_or(|node| node.text("auth_enabled").ok() != Some("false")) {
        return Err("the embedded ruler knows no tenants: set `auth_enabled: false`".to_owned());
    }
    let delay = document.get("limits_config").and_then(|limits| limits.get("ruler_evaluation_delay_duration"));
    if let Some(node) = delay.filter(|node| !node.text("it").is_ok_and(is_zero)) {
        let line = node.line;
        return Err(format!("line {line}: logstore does not support `ruler_evaluation_delay_duration`: leave it out"));
    }
    settings(ruler)
}

fn is_zero(text: &str) -> bool {
    parse_duration(text) == Some(0)
}

fn settings(ruler: &Node) -> Result<Option<Settings>, String> {
    let mut settings = Settings::default();
    for (key, line, node) in ruler.entries("`ruler`")? {
        if node.is_null() || WITHOUT_EFFECT.contains(&key.as_str()) {
            continue;
        }
        let text = || node.text(key).map(str::to_owned);
        match key.as_str() {
            "storage" => settings.directory = directory(node)?,
            "rule_path" => settings.rule_path = text()?,
            "alertmanager_url" => {
                let urls = text()?;
                let urls = urls.split(',').map(str::trim).filter(|url| !url.is_empty());
                settings.alertmanagers = urls.map(|url| url.trim_end_matches('/').to_owned()).collect();
            }
            "evaluation_interval" => settings.evaluation_interval = positive(key, node)?,
            "resend_delay" => settings.resend_delay = positive(key, node)?,
            "notification_timeout" => {
                settings.notification_timeout =
                    Duration::from_nanos(u64::try_from(positive(key, node)?).unwrap_or(u64::MAX));
            }
            "notification_queue_capacity" => {
                let capacity = text()?.parse().ok().filter(|capacity| *capacity > 0);
                settings.queue_capacity =
                    capacity.ok_or_else(|| format!("line {line}: `{key}` must be a whole number above zero"))?;
            }
            "external_labels" => {
                let pairs =
                    node.entries(key)?.iter().map(|(name, _, value)| Ok((name.clone(), value.text(name)?.to_owned())));
                settings.external_labels = Labels::new(pairs.collect::<Result<Vec<_>, String>>()?);
            }
            "external_url" => settings.external_url = text()?.trim_end_matches('/').to_owned(),
            "datasource_uid" => settings.datasource_uid = text()?,
            _ => tolerated(key, *line, node)?,
        }
    }
    Ok((!settings.directory.as_os_str().is_empty()).then_some(settings))
}

/// Refuses what logstore does not do and what Loki does not know; lets pass what says that it is not wanted.
fn tolerated(key: &str, line: usize, node: &Node) -> Result<(), String> {
    let is = |node: &Node, word: &str| node.text(key).is_ok_and(|text| text == word);
    let says = |inner: &str, word: &str| node.get(inner).is_some_and(|node| is(node, word));
    match key {
        "enable_alertmanager_v2" if is(node, "true") => Ok(()),
        "enable_alertmanager_v2" => Err(format!("line {line}: Alertmanager has no API v1 any more: set `{key}: true`")),
        "enable_alertmanager_discovery" if is(node, "false") => Ok(()),
        "remote_write" if !says("enabled", "true") => Ok(()),
        "evaluation" if node.get("mode").is_none() || says("mode", "local") => Ok(()),
        "alert_relabel_configs" if matches!(&node.value, Value::List(items) if items.is_empty()) => Ok(()),
        "enable_alertmanager_discovery"
        | "remote_write"
        | "evaluation"
        | "alert_relabel_configs"
        | "alertmanager_client" => {
            Err(format!("line {line}: logstore does not support `ruler.{key}`: leave it out, or use Grafana Loki"))
        }
        _ => Err(format!("line {line}: `{key}` is no setting of Loki's ruler")),
    }
}

/// `storage.local.directory`; empty where no kind of storage is named, which Loki takes for no rules.
fn directory(storage: &Node) -> Result<PathBuf, String> {
    let kind = storage.get("type").map_or(Ok(""), |node| node.text("storage.type"))?;
    match kind {
        "local" | "" => {}
        other => {
            let line = storage.line;
            return Err(format!(
                "line {line}: logstore reads rules from a folder only, not from {other}: use `type: local`"
            ));
        }
    }
    let folder = storage.get("local").and_then(|local| local.get("directory"));
    Ok(PathBuf::from(folder.map_or(Ok(""), |node| node.text("storage.local.directory"))?))
}

fn positive(key: &str, node: &Node) -> Result<Nanos, String> {
    let text = node.text(key)?;
    let duration = parse_duration(text).filter(|duration| *duration > 0);
    duration.ok_or_else(|| format!("line {}: `{key}: {text}` is no duration above zero, such as 1m", node.line))
}

/// Replaces `${NAME}` and `${NAME:-default}`, as Loki does with `-config.expand-env`.
fn expand(text: &str, environment: impl Fn(&str) -> Option<String>) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let (before, tail) = rest.split_at(start);
        out.push_str(before);
        let line = || text[..text.len() - tail.len()].matches('\n').count() + 1;
        let end = tail.find('}').ok_or_else(|| format!("line {}: `${{` without `}}`", line()))?;
        let inner = &tail[2..end];
        let (name, default) = match inner.find(":-").or_else(|| inner.find(":=")) {
            Some(at) => (&inner[..at], Some(&inner[at + 2..])),
            None => (inner, None),
        };
        if name.is_empty() || !name.chars().all(|c| c == '_' || c.is_alphanumeric()) {
            let line = line();
            return Err(format!(
                "line {line}: bad substitution `${{{inner}}}`, also in a comment: write ${{NAME}} or ${{NAME:-default}}"
            ));
        }
        let value = environment(name).filter(|value| !value.is_empty());
        out.push_str(value.as_deref().or(default).unwrap_or_default());
        rest = &tail[end + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_from(text: &str) -> Result<Option<Settings>, String> {
        read(text, |name| (name == "AM").then(|| "http://am:9093/".to_owned()))
    }

    #[test]
    fn what_a_ruler_obeys_is_read_with_the_environment_in_place() {
        let text = "auth_enabled: false\nruler:\n  storage: {type: local, local: {directory: '${RULES:-/etc/rules}'}}\n  \
                    alertmanager_url: ${AM:-none}, http://b:1\n  evaluation_interval: 250ms\n  resend_delay: 3s\n  \
                    external_labels: {cluster: eu}\n  external_url: http://loki/\n  rule_path: /tmp/rules\n  \
                    enable_alertmanager_v2: true\n  ring: {kvstore: {store: inmemory}}\n  remote_write: {enabled: false}\n";
        let settings = read_from(text).unwrap().unwrap();
        assert_eq!(settings.directory, PathBuf::from("/etc/rules"));
        assert_eq!(settings.alertmanagers, ["http://am:9093", "http://b:1"]);
        assert_eq!((settings.evaluation_interval, settings.resend_delay), (250_000_000, 3_000_000_000));
        assert_eq!(settings.external_labels, Labels::new([("cluster", "eu")]));
        assert_eq!((settings.external_url.as_str(), settings.rule_path.as_str()), ("http://loki", "/tmp/rules"));
    }

    #[test]
    fn a_configuration_without_a_ruler_or_without_rules_has_none() {
        assert_eq!(read_from("auth_enabled: false\nlimits_config: {}\n"), Ok(None));
        assert_eq!(read_from("auth_enabled: false\nruler: {enable_api: true}\n"), Ok(None));
    }

    #[test]
    fn what_would_be_evaluated_otherwise_is_refused_with_its_line() {
        for (text, expected) in [
            ("ruler: {enable_api: true}", "auth_enabled: false"),
            (
                "auth_enabled: false\nruler:\n  storage: {type: s3}",
                "line 3: logstore reads rules from a folder only, not from s3",
            ),
            (
                "auth_enabled: false\nruler:\n  alert_relabel_configs: [{action: drop}]",
                "line 3: logstore does not support `ruler.alert_relabel_configs`",
            ),
            ("auth_enabled: false\nruler:\n  remote_write: {enabled: true}", "does not support `ruler.remote_write`"),
            ("auth_enabled: false\nruler:\n  evaluation: {mode: remote}", "does not support `ruler.evaluation`"),
            (
                "auth_enabled: false\nruler:\n  evaluation_interval: soon",
                "line 3: `evaluation_interval: soon` is no duration",
            ),
            ("auth_enabled: false\nruler:\n  evaluation_intervall: 1m", "no setting of Loki's ruler"),
            (
                "auth_enabled: false\nlimits_config: {ruler_evaluation_delay_duration: 1m}\nruler: {enable_api: true}",
                "ruler_evaluation_delay_duration",
            ),
            ("# ${…} is expanded\nauth_enabled: false", "line 1: bad substitution `${…}`"),
            ("a: ${A", "line 1: `${` without `}`"),
        ] {
            let error = read_from(text).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
    }
}
