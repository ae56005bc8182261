//! What `prometheus.yml` and its rule files say, with defaults applied as Prometheus applies them. Fed by
//! `scale::source`; read by the renderer, `plan::bound` and `lint`.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::alertmanager::{self, AlertmanagerConfig};
use super::promql::{self, Context};
use super::rule::{self, Rule, RuleGroup, RuleKind};
use super::ruler::RulerConfig;
use super::source::{self, ConfigError, SourceFile};
use super::yaml::{Node, Value};
use crate::source::Location;

/// Prometheus's default for `scrape_interval` and `evaluation_interval`.
pub const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);
/// Prometheus's default for `scrape_timeout`.
pub const DEFAULT_SCRAPE_TIMEOUT: Duration = Duration::from_secs(10);

/// The configuration under test, as one set.
#[derive(Clone, Debug)]
pub struct ConfigSet {
    /// `prometheus.yml` and its rules.
    pub prometheus: PrometheusConfig,
    /// `alertmanager.yml`, if there is one.
    pub alertmanager: Option<AlertmanagerConfig>,
    /// Loki's configuration and the rules of its ruler, if it has one.
    pub ruler: Option<RulerConfig>,
}

/// Who evaluates an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Evaluator {
    /// Prometheus.
    Prometheus,
    /// The log store's ruler.
    Ruler,
}

impl ConfigSet {
    /// Who evaluates the alert of this name, by the rule files; Prometheus where no file has it. A name that both have is
    /// refused when the stack is read ([`Self::ambiguous`]).
    #[must_use]
    pub fn evaluator(&self, alert: &str) -> Evaluator {
        match &self.ruler {
            Some(ruler) if ruler.makes(alert) => Evaluator::Ruler,
            _ => Evaluator::Prometheus,
        }
    }

    /// The first alert that both Prometheus and the ruler make, with its place: nobody could tell which of them fired.
    #[must_use]
    pub fn ambiguous(&self) -> Option<(&str, &Location)> {
        let alerts = self.ruler.iter().flat_map(RulerConfig::alerts);
        let mut twice = alerts.filter(|(_, alert)| !self.prometheus.alerts_named(&alert.name).is_empty());
        twice.next().map(|(_, alert)| (alert.name.as_str(), &alert.location))
    }
}

/// `prometheus.yml` and its rules.
#[derive(Clone, Debug)]
pub struct PrometheusConfig {
    /// The file itself.
    pub file: SourceFile,
    /// The rule files, in the order Prometheus loads them.
    pub rule_files: Vec<SourceFile>,
    /// Global scrape interval.
    pub scrape_interval: Duration,
    /// Global scrape timeout, never above the interval.
    pub scrape_timeout: Duration,
    /// Global evaluation interval.
    pub evaluation_interval: Duration,
    /// Labels added to everything that leaves Prometheus.
    pub external_labels: BTreeMap<String, String>,
    /// Entries of `rule_files` that match no file, which Prometheus passes over in silence.
    pub unmatched_rule_files: Vec<(Location, String)>,
    /// Scrape jobs.
    pub jobs: Vec<ScrapeJob>,
    /// Rule groups of all files.
    pub groups: Vec<RuleGroup>,
    /// Targets of the `alerting:` block, as written.
    pub alertmanagers: Vec<String>,
    /// The files that `file_sd_configs` name.
    pub target_files: Vec<SourceFile>,
    /// Entries of `file_sd_configs` that match no file, which Prometheus passes over in silence.
    pub unmatched_target_files: Vec<(Location, String)>,
}

/// A scrape job.
#[derive(Clone, Debug)]
pub struct ScrapeJob {
    /// Its name.
    pub name: String,
    /// How often.
    pub interval: Duration,
    /// How long an answer may take, never above the interval.
    pub timeout: Duration,
    /// The path, `/metrics` by default.
    pub metrics_path: String,
    /// Targets of `static_configs` and of the files of `file_sd_configs`, as written.
    pub targets: Vec<String>,
    /// Kinds of discovery other than static and by file, which a drill cannot follow.
    pub discovery: Vec<String>,
    /// Whether samples keep the exporter's own time stamps (then staleness markers are missing).
    pub honors_timestamps: bool,
    /// Where it stands.
    pub location: Location,
}

impl PrometheusConfig {
    /// Adds the files that `file_sd_configs` name, and their targets to the jobs that name them.
    ///
    /// # Errors
    /// When a file is no list of target groups.
    pub fn add_target_files(&mut self, files: Vec<SourceFile>) -> Result<(), ConfigError> {
        for file in &files {
            let list = file.document.as_ref();
            if let Some(node) = list.filter(|node| !matches!(node.value, Value::Sequence(..))) {
                let message = "a file of targets is a list: `- targets: [\"host:port\"]`";
                return Err(file.error(node, message));
            }
        }
        let document = self.file.document.clone();
        let jobs = document.as_ref().and_then(|document| document.get("scrape_configs")).map(Node::items);
        for (job, node) in self.jobs.iter_mut().zip(jobs.unwrap_or_default()) {
            for file in files_of(&self.file, node, &files) {
                job.targets.extend(file_targets(file).into_iter().filter_map(Node::text).map(str::to_owned));
            }
        }
        self.target_files = files;
        Ok(())
    }

    /// Every alerting rule with its group.
    pub fn alerts(&self) -> impl Iterator<Item = (&RuleGroup, &Rule)> {
        self.groups
            .iter()
            .flat_map(|group| group.rules.iter().map(move |rule| (group, rule)))
            .filter(|(_, rule)| rule.is_alert())
    }

    /// The alerting rules of this name; several are usual (severity tiers).
    #[must_use]
    pub fn alerts_named(&self, name: &str) -> Vec<(&RuleGroup, &Rule)> {
        self.alerts().filter(|(_, rule)| rule.name() == name).collect()
    }

    /// How often a group is evaluated.
    #[must_use]
    pub fn interval_of(&self, group: &RuleGroup) -> Duration {
        group.interval.unwrap_or(self.evaluation_interval)
    }

    /// The rule that records `metric`, with its group.
    #[must_use]
    pub fn record(&self, metric: &str) -> Option<(&RuleGroup, &Rule)> {
        let mut rules = self.groups.iter().flat_map(|group| group.rules.iter().map(move |rule| (group, rule)));
        rules.find(|(_, rule)| rule.kind == RuleKind::Record(metric.to_owned()))
    }

    /// What the rewriter must know of the rules as one set: which recorded series are elapsed times.
    #[must_use]
    pub fn context(&self) -> Context {
        context_of(&self.groups)
    }
}

/// What the rewriter must know of rules that belong together.
#[must_use]
pub fn context_of(groups: &[RuleGroup]) -> Context {
    let mut context = Context::default();
    loop {
        let records = groups.iter().flat_map(|group| &group.rules).filter(|rule| !rule.is_alert());
        let found: BTreeSet<String> = records
            .filter(|rule| promql::is_elapsed_time(&rule.ast, &context))
            .map(|rule| rule.name().to_owned())
            .collect();
        if found == context.elapsed {
            return context;
        }
        context.elapsed = found;
    }
}

/// The entries of `rule_files`.
#[must_use]
pub fn rule_file_patterns(file: &SourceFile) -> Vec<&Node> {
    file.document
        .as_ref()
        .and_then(|document| document.get("rule_files"))
        .map(|list| list.items().iter().collect())
        .unwrap_or_default()
}

/// Builds the set from files that were read.
///
/// # Errors
/// When a file does not say what it must.
pub fn parse(
    prometheus: SourceFile,
    rule_files: Vec<SourceFile>,
    alertmanager: Option<SourceFile>,
    templates: Vec<SourceFile>,
) -> Result<ConfigSet, ConfigError> {
    let alertmanager = alertmanager.map(|file| alertmanager::parse(file, templates)).transpose()?;
    Ok(ConfigSet { prometheus: parse_prometheus(prometheus, rule_files)?, alertmanager, ruler: None })
}

fn parse_prometheus(file: SourceFile, rule_files: Vec<SourceFile>) -> Result<PrometheusConfig, ConfigError> {
    let Some(document) = file.document.clone().filter(Node::is_mapping) else {
        let location = Location::of(&file.name(), &file.text, 0);
        return Err(ConfigError::Meaning {
            location,
            message: "`prometheus.yml` is empty: it needs `scrape_configs`".to_owned(),
        });
    };
    let global = document.get("global").cloned().unwrap_or_else(|| empty(&document));
    let scrape_interval = interval(&file, &global, "scrape_interval")?.unwrap_or(DEFAULT_INTERVAL);
    let scrape_timeout =
        file.duration_of(&global, "scrape_timeout")?.unwrap_or(DEFAULT_SCRAPE_TIMEOUT).min(scrape_interval);
    let jobs = document.get("scrape_configs").map(Node::items).unwrap_or_default();
    let mut groups = Vec::new();
    for rule_file in &rule_files {
        groups.extend(rule::parse(rule_file)?);
    }
    Ok(PrometheusConfig {
        scrape_interval,
        scrape_timeout,
        evaluation_interval: interval(&file, &global, "evaluation_interval")?.unwrap_or(DEFAULT_INTERVAL),
        external_labels: rule::texts(&file, global.get("external_labels"))?,
        unmatched_rule_files: Vec::new(),
        unmatched_target_files: Vec::new(),
        target_files: Vec::new(),
        jobs: jobs.iter().map(|node| job(&file, node, scrape_interval, scrape_timeout)).collect::<Result<_, _>>()?,
        groups,
        alertmanagers: alertmanager_targets(&document).into_iter().filter_map(Node::text).map(str::to_owned).collect(),
        file,
        rule_files,
    })
}

fn empty(near: &Node) -> Node {
    let value = super::yaml::Value::Mapping([].into(), super::yaml::Flow::Block);
    Node { span: 0..0, at: 0..0, line: near.line, value }
}

fn interval(file: &SourceFile, mapping: &Node, key: &str) -> Result<Option<Duration>, ConfigError> {
    let found = file.duration_of(mapping, key)?;
    match (found, mapping.get(key)) {
        (Some(Duration::ZERO), Some(node)) => Err(file.error(node, format!("`{key}` must be longer than zero"))),
        _ => Ok(found),
    }
}

fn job(file: &SourceFile, node: &Node, global: Duration, global_timeout: Duration) -> Result<ScrapeJob, ConfigError> {
    let name = file.text_of(node, "job_name")?.ok_or_else(|| file.error(node, "a scrape job needs a `job_name`"))?;
    let interval = interval(file, node, "scrape_interval")?.unwrap_or(global);
    let timeout = file.duration_of(node, "scrape_timeout")?.unwrap_or(global_timeout).min(interval);
    let discovery =
        node.entries().into_iter().filter_map(|(key, _)| key.text()).filter(|key| is_foreign_discovery(key));
    Ok(ScrapeJob {
        name,
        interval,
        timeout,
        metrics_path: file.text_of(node, "metrics_path")?.unwrap_or_else(|| "/metrics".to_owned()),
        targets: job_targets(node).into_iter().filter_map(Node::text).map(str::to_owned).collect(),
        discovery: discovery.map(str::to_owned).collect(),
        honors_timestamps: file.text_of(node, "honor_timestamps")?.is_none_or(|text| text != "false"),
        location: file.location(node),
    })
}

/// The lists of targets in a job's `static_configs`.
pub(super) fn target_lists(job: &Node) -> Vec<&Node> {
    let groups = job.get("static_configs").map(Node::items).unwrap_or_default();
    groups.iter().filter_map(|group| group.get("targets")).collect()
}

/// The target scalars of a job's `static_configs`.
pub(super) fn job_targets(job: &Node) -> Vec<&Node> {
    target_lists(job).into_iter().flat_map(Node::items).collect()
}

/// The lists of targets in a file of `file_sd_configs`.
pub(super) fn file_target_lists(file: &SourceFile) -> Vec<&Node> {
    let groups = file.document.as_ref().map(Node::items).unwrap_or_default();
    groups.iter().filter_map(|group| group.get("targets")).collect()
}

fn file_targets(file: &SourceFile) -> Vec<&Node> {
    file_target_lists(file).into_iter().flat_map(Node::items).collect()
}

/// The `files` of a job's `file_sd_configs`.
pub(super) fn target_file_patterns(job: &Node) -> Vec<&Node> {
    let entries = job.get("file_sd_configs").map(Node::items).unwrap_or_default();
    entries.iter().filter_map(|entry| entry.get("files")).flat_map(Node::items).collect()
}

/// The patterns of all jobs.
pub(super) fn all_target_file_patterns(file: &SourceFile) -> Vec<&Node> {
    let jobs = file.document.as_ref().and_then(|document| document.get("scrape_configs")).map(Node::items);
    jobs.unwrap_or_default().iter().flat_map(target_file_patterns).collect()
}

/// Those of `files` that a job names.
pub(super) fn files_of<'a>(prometheus: &SourceFile, job: &Node, files: &'a [SourceFile]) -> Vec<&'a SourceFile> {
    let patterns = target_file_patterns(job);
    let named = |file: &&SourceFile| {
        let mut patterns = patterns.iter().filter_map(|pattern| pattern.text());
        patterns.any(|pattern| source::names(prometheus, pattern, &file.relative))
    };
    files.iter().filter(named).collect()
}

/// Whether a key of a job brings targets that a drill cannot know.
pub(super) fn is_foreign_discovery(key: &str) -> bool {
    key.ends_with("_sd_configs") && key != "file_sd_configs"
}

/// The target scalars of the `alerting:` block.
pub(super) fn alertmanager_targets(document: &Node) -> Vec<&Node> {
    let managers = document
        .get("alerting")
        .and_then(|alerting| alerting.get("alertmanagers"))
        .map(Node::items)
        .unwrap_or_default();
    managers.iter().flat_map(|manager| job_targets(manager)).collect()
}
