//! What the log store's ruler is told: the `ruler` section of Loki's configuration and the rule files it names. Fed by
//! `scale::source`; read by the renderer, the planner, `lint` and the run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::config::DEFAULT_INTERVAL;
use super::logql;
use super::rule::texts;
use super::source::{ConfigError, SourceFile};
use super::yaml::Node;
use crate::source::Location;

/// The tenant of a Loki without tenants, and so the name of the folder its rules lie in.
const TENANT: &str = "fake";

/// Loki's configuration and its rules.
#[derive(Clone, Debug)]
pub struct RulerConfig {
    /// Loki's configuration file.
    pub file: SourceFile,
    /// The rule files, by name.
    pub rule_files: Vec<SourceFile>,
    /// Of groups without an interval of their own.
    pub evaluation_interval: Duration,
    /// Rule groups of all files.
    pub groups: Vec<LogGroup>,
}

/// A group of rules on log lines.
#[derive(Clone, Debug)]
pub struct LogGroup {
    /// The file's name, as the ruler knows it.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its own interval.
    pub interval: Option<Duration>,
    /// Its alerting rules in order; recorded series leave Loki and are none of a drill's.
    pub alerts: Vec<LogAlert>,
}

/// An alert on log lines.
#[derive(Clone, Debug)]
pub struct LogAlert {
    /// Its name.
    pub name: String,
    /// The expression as written.
    pub expr: String,
    /// The longest window the expression reads.
    pub window: Duration,
    /// How far back in all: the longest window with its offset.
    pub reach: Duration,
    /// What makes the expression true.
    pub waits: Waits,
    /// How long it must be true before it fires; zero when absent.
    pub hold: Duration,
    /// How long it goes on firing afterwards; zero when absent.
    pub keep_firing: Duration,
    /// Labels added, templates unexpanded.
    pub labels: BTreeMap<String, String>,
    /// Where the rule stands.
    pub location: Location,
}

/// What makes an expression on log lines true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Waits {
    /// The lines of its windows.
    ForLines,
    /// That there are none.
    ForSilence,
}

impl RulerConfig {
    /// Every alert with its group.
    pub fn alerts(&self) -> impl Iterator<Item = (&LogGroup, &LogAlert)> {
        self.groups.iter().flat_map(|group| group.alerts.iter().map(move |alert| (group, alert)))
    }

    /// Whether some rule makes an alert of this name.
    #[must_use]
    pub fn makes(&self, alert: &str) -> bool {
        self.alerts().any(|(_, it)| it.name == alert)
    }

    /// How often a group is evaluated.
    #[must_use]
    pub fn interval_of(&self, group: &LogGroup) -> Duration {
        group.interval.unwrap_or(self.evaluation_interval)
    }

    /// The longest time between two evaluations of a group.
    #[must_use]
    pub fn slowest(&self) -> Duration {
        self.groups.iter().map(|group| self.interval_of(group)).max().unwrap_or(self.evaluation_interval)
    }

    /// The longest window that the rules of this name read.
    #[must_use]
    pub fn window(&self, alert: &str) -> Duration {
        self.alerts().filter(|(_, it)| it.name == alert).map(|(_, it)| it.window).max().unwrap_or_default()
    }
}

/// The `ruler` section of Loki's configuration.
pub(super) fn section(file: &SourceFile) -> Option<&Node> {
    file.document.as_ref()?.get("ruler")
}

/// The folder of the tenant's rules beside the configuration: what `directory` says, or its default where the environment
/// decides (`${LOKI_RULES:-/etc/loki/rules}`), below the folder that a container has it mounted at. None without a ruler.
pub(super) fn folder(file: &SourceFile) -> Option<PathBuf> {
    let storage = section(file)?.get("storage")?;
    let written = storage.get("local")?.get("directory")?.text()?;
    let inner = written.strip_prefix("${").and_then(|rest| rest.strip_suffix('}'));
    let place = inner.map_or(Some(written), |inner| inner.split_once(":-").map(|(_, default)| default))?;
    let beside = place.strip_prefix("/etc/loki/").unwrap_or(place);
    let base = file.path.parent().unwrap_or_else(|| Path::new(""));
    Some(base.join(beside).join(TENANT))
}

/// Builds the ruler's part from files that were read.
///
/// # Errors
/// When a file does not say what it must.
pub(in crate::plan) fn parse(file: SourceFile, rule_files: Vec<SourceFile>) -> Result<RulerConfig, ConfigError> {
    let own = section(&file).map(|ruler| file.duration_of(ruler, "evaluation_interval")).transpose()?.flatten();
    let mut groups = Vec::new();
    for rules in &rule_files {
        let document = rules.document.as_ref();
        let nodes = document.and_then(|document| document.get("groups")).map(Node::items).unwrap_or_default();
        for node in nodes {
            groups.push(group(rules, node)?);
        }
    }
    Ok(RulerConfig { evaluation_interval: own.unwrap_or(DEFAULT_INTERVAL), file, rule_files, groups })
}

fn group(file: &SourceFile, node: &Node) -> Result<LogGroup, ConfigError> {
    let rules = node.get("rules").map(Node::items).unwrap_or_default();
    let alerts = rules.iter().filter(|rule| rule.get("alert").is_some());
    Ok(LogGroup {
        file: file.path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        name: file.text_of(node, "name")?.ok_or_else(|| file.error(node, "a rule group needs a `name`"))?,
        interval: file.duration_of(node, "interval")?.filter(|interval| !interval.is_zero()),
        alerts: alerts.map(|rule| alert(file, rule)).collect::<Result<_, _>>()?,
    })
}

fn alert(file: &SourceFile, node: &Node) -> Result<LogAlert, ConfigError> {
    let Some(expr_node) = node.get("expr") else { return Err(file.error(node, "a rule needs an `expr`")) };
    let expr = file.text_of(node, "expr")?.unwrap_or_default();
    let windows = logql::windows(&expr).map_err(|error| file.error(expr_node, error))?;
    let reach =
        |(window, offset): &(Duration, i64)| *window + Duration::from_nanos(u64::try_from(*offset).unwrap_or(0));
    Ok(LogAlert {
        name: file.text_of(node, "alert")?.unwrap_or_default(),
        reach: windows.iter().map(reach).max().unwrap_or_default(),
        window: windows.into_iter().map(|(window, _)| window).max().unwrap_or_default(),
        waits: if logql::waits_for_silence(&expr) { Waits::ForSilence } else { Waits::ForLines },
        expr,
        hold: file.duration_of(node, "for")?.unwrap_or_default(),
        keep_firing: file.duration_of(node, "keep_firing_for")?.unwrap_or_default(),
        labels: texts(file, node.get("labels"))?,
        location: file.location(node),
    })
}
