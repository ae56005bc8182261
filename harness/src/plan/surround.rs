//! What a scenario's names must exist in, gathered from the stack file and the configuration it names, for `scenario::lint`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::bound::{self, AlertBound, Conditions, Interval, Term};
use super::provision::Provisioned;
use super::scale::alertmanager::AlertmanagerConfig;
use super::scale::{ConfigSet, RulerConfig, Scale, source};
use crate::scenario::surroundings::{AlertBounds, AlertRule, Between, Component, Link, Surroundings};
use crate::stack::spec::Spec;

/// Rule files are looked for in the stack's folder this deep.
const DEPTH: usize = 4;

/// Gathers it. `scaled` is what would run; its bounds are turned back into production time.
#[must_use]
pub fn surroundings(
    spec: &Spec,
    config: &ConfigSet,
    scaled: &ConfigSet,
    scale: Scale,
    provisioned: Option<&Provisioned>,
) -> Surroundings {
    let receivers = config
        .alertmanager
        .as_ref()
        .map(|manager| manager.receivers.iter().map(|receiver| receiver.name.clone()).collect::<BTreeSet<String>>());
    Surroundings {
        root: Some(spec.root.clone()),
        service: Some(spec.service.component.get_ref().clone()),
        components: Some(components(spec)),
        links: Some(links(spec)),
        seeds: Some(spec.seed.keys().cloned().collect()),
        alerts: Some(alerts(spec, config)),
        receivers,
        intervals: config.alertmanager.as_ref().map(intervals),
        jobs: Some(config.prometheus.jobs.iter().map(|job| job.name.clone()).collect()),
        dashboards: provisioned.map(|it| it.titles.clone()),
        dimensions: dimensions(spec),
        bounds: bounds(scaled, scale),
        logql: Some(|query| logstore::logql::parse(query).map(drop).map_err(|error| (error.offset, error.message))),
    }
}

fn components(spec: &Spec) -> BTreeMap<String, Component> {
    let component = |it: &crate::stack::spec::Component| Component {
        ports: it.ports.keys().cloned().collect(),
        switches: it.switches.keys().cloned().collect(),
        replicas: it.replicas,
    };
    spec.components.iter().map(|(name, it)| (name.clone(), component(it))).collect()
}

fn links(spec: &Spec) -> Vec<Link> {
    let bare = |text: &str| text.split(':').next().unwrap_or(text).to_owned();
    spec.links.iter().map(|link| Link { from: bare(link.from.get_ref()), to: bare(link.to.get_ref()) }).collect()
}

fn dimensions(spec: &Spec) -> Option<BTreeSet<String>> {
    let signal = spec.signals.requests.as_ref()?;
    let named = [("route", &signal.route), ("method", &signal.method), ("status", &signal.status)];
    Some(named.into_iter().filter(|(_, label)| label.is_some()).map(|(name, _)| name.to_owned()).collect())
}

/// The alerts of every rule file in the stack's folder, also of those that Prometheus does not load.
fn alerts(spec: &Spec, config: &ConfigSet) -> BTreeMap<String, Vec<AlertRule>> {
    let mut alerts: BTreeMap<String, Vec<AlertRule>> = BTreeMap::new();
    let mut add = |groups: &[super::scale::RuleGroup], file: &Path| {
        for rule in groups.iter().flat_map(|group| &group.rules).filter(|rule| rule.is_alert()) {
            let entry = AlertRule { labels: rule.labels.clone(), file: file.display().to_string() };
            alerts.entry(rule.name().to_owned()).or_default().push(entry);
        }
    };
    add(&config.prometheus.groups, Path::new("the loaded rules"));
    let loaded: BTreeSet<&PathBuf> = config.prometheus.rule_files.iter().map(|file| &file.path).collect();
    for file in yaml_files(&spec.folder, DEPTH) {
        if loaded.contains(&file) {
            continue;
        }
        let Ok(text) = std::fs::read_to_string(&file) else { continue };
        if !text.contains("alert:") || !text.contains("groups:") {
            continue;
        }
        if let Ok(groups) = source::rules_from_text(&file, &text) {
            add(&groups, &file);
        }
    }
    for (_, alert) in config.ruler.iter().flat_map(RulerConfig::alerts) {
        let entry = AlertRule { labels: alert.labels.clone(), file: "the rules of the log store's ruler".to_owned() };
        alerts.entry(alert.name.clone()).or_default().push(entry);
    }
    alerts
}

fn yaml_files(folder: &Path, depth: usize) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut files: Vec<PathBuf> = entries
        .flat_map(|entry| {
            let path = entry.path();
            let yaml = path.extension().is_some_and(|extension| extension == "yml" || extension == "yaml");
            match entry.file_type() {
                Ok(kind) if kind.is_dir() && depth > 0 => yaml_files(&path, depth - 1),
                Ok(kind) if kind.is_file() && yaml => vec![path],
                _ => Vec::new(),
            }
        })
        .collect();
    files.sort();
    files
}

fn bounds(scaled: &ConfigSet, scale: Scale) -> BTreeMap<String, AlertBounds> {
    let mut all: BTreeMap<String, AlertBounds> = BTreeMap::new();
    let of_metrics = scaled.prometheus.alerts().map(|(_, rule)| rule.name());
    let of_lines = scaled.ruler.iter().flat_map(RulerConfig::alerts).map(|(_, alert)| alert.name.as_str());
    for name in of_metrics.chain(of_lines) {
        let computed = bound::bounds(scaled, name, &BTreeMap::new(), Conditions::default());
        // of several rules of one name the quickest decides: a promise that it keeps can be kept
        if let Some(quickest) = computed.iter().min_by_key(|bound| bound.firing.ceiling) {
            all.insert(name.to_owned(), production(quickest, scale));
        }
    }
    all
}

fn production(bound: &AlertBound, scale: Scale) -> AlertBounds {
    let first = bound.routes.iter().min_by_key(|route| route.notified.ceiling);
    let between = |interval: Interval, terms: &[&[Term]]| Between {
        floor: stretch(interval.floor, scale),
        ceiling: stretch(interval.ceiling, scale),
        arithmetic: arithmetic(terms, scale),
    };
    AlertBounds {
        fires: Some(between(bound.firing, &[&bound.firing_terms])),
        notified: first.map(|route| between(route.notified, &[&bound.firing_terms, &route.notified_terms])),
        resolves: Some(between(bound.resolved, &[&bound.resolved_terms])),
        repeats: bound
            .routes
            .iter()
            .map(|route| (route.receiver.clone(), stretch(route.repeated_every, scale)))
            .collect(),
        shortest_fault: None,
    }
}

/// The time intervals that some route names.
fn intervals(manager: &AlertmanagerConfig) -> BTreeSet<String> {
    let nodes = manager.route.nodes().into_iter();
    nodes.flat_map(|node| node.target.muted_in.iter().chain(&node.target.active_in)).cloned().collect()
}

/// Real time as production time, to the millisecond.
fn stretch(real: Duration, scale: Scale) -> Duration {
    let seconds = real.as_secs_f64() * scale.factor();
    Duration::from_secs_f64((seconds * 1e3).round() / 1e3)
}

fn arithmetic(terms: &[&[Term]], scale: Scale) -> String {
    let parts = terms.iter().flat_map(|terms| terms.iter()).filter(|term| !term.ceiling.is_zero());
    let words: Vec<String> = parts
        .map(|term| {
            let length = crate::expect::look::show_duration(term.ceiling.as_secs_f64() * scale.factor());
            format!("{} {length}", term.name)
        })
        .collect();
    words.join(" + ")
}
