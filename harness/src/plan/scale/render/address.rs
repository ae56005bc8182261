//! Addresses in `prometheus.yml`: targets are found under the names the author wrote and scraped where they listen here,
//! with the `instance` label kept as written. Relabelling rules are appended, so that the author's own rules see what they
//! see in production. Fed by `render`.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::super::config::{self, PrometheusConfig};
use super::super::edit::{Edits, column, end_of_block};
use super::super::problem::{Caveat, ScaleProblem};
use super::super::source::{SourceFile, mounted};
use super::super::yaml::{Flow, Node, Value};
use super::Work;

/// Blocks that would send data out of this machine.
const OUTBOUND: [&str; 3] = ["remote_write", "remote_read", "tracing"];

impl Work {
    pub(super) fn readdress(
        &mut self,
        config: &PrometheusConfig,
        addresses: &BTreeMap<String, String>,
        edits: &mut Edits,
    ) {
        let Some(document) = &config.file.document else { return };
        for node in config::alertmanager_targets(document) {
            match addresses.get(node.text().unwrap_or_default()) {
                Some(address) if Some(address.as_str()) != node.text() => edits.set(node, address),
                Some(_) => {}
                None => self.unknown(&config.file, node, addresses),
            }
        }
        let managers = document
            .get("alerting")
            .and_then(|alerting| alerting.get("alertmanagers"))
            .map(Node::items)
            .unwrap_or_default();
        managers.iter().chain([document]).for_each(|holder| self.discovery(&config.file, holder));
        for job in document.get("scrape_configs").map(Node::items).unwrap_or_default() {
            self.discovery(&config.file, job);
            let used = self.used(&config.file, job, addresses);
            let rules: Vec<String> = used
                .iter()
                .filter(|(written, actual)| written != actual)
                .flat_map(|(written, actual)| relabel(written, actual))
                .collect();
            let probes = probe_rules(job, addresses);
            append_relabelling(&config.file.text, job, &[rules, probes].concat(), edits);
        }
        for (key, value) in
            document.own_entries().iter().filter(|(key, _)| key.text().is_some_and(|key| OUTBOUND.contains(&key)))
        {
            edits.remove_entry(&config.file.text, document, key, value);
            self.caveats.push(Caveat {
                location: Some(config.file.location(key)),
                subject: key.text().unwrap_or_default().to_owned(),
                message: "left out: a drill sends nothing out of this machine".to_owned(),
            });
        }
    }

    fn discovery(&mut self, file: &SourceFile, job: &Node) {
        for (key, _) in job.entries() {
            let name = key.text().unwrap_or_default();
            if name.ends_with("_sd_configs") || name == "scrape_config_files" {
                self.problems.push(ScaleProblem {
                    file: file.name(),
                    line: key.line,
                    message: format!("`{name}` brings targets that a drill does not know"),
                    help: "list the targets under `static_configs`, or attach to the running stack (`--stack attach`)"
                        .to_owned(),
                });
            }
        }
    }

    /// The addresses a job scrapes, as written and as reachable.
    fn used(
        &mut self,
        file: &SourceFile,
        job: &Node,
        addresses: &BTreeMap<String, String>,
    ) -> BTreeSet<(String, String)> {
        let mut used = BTreeSet::new();
        for node in config::job_targets(job) {
            let written = node.text().unwrap_or_default();
            match addresses.get(written) {
                Some(actual) => drop(used.insert((written.to_owned(), actual.clone()))),
                None if addresses.keys().any(|known| names(written, known)) => {}
                None => self.unknown(file, node, addresses),
            }
        }
        for rule in job.get("relabel_configs").map(Node::items).unwrap_or_default() {
            let writes_address = rule.get("target_label").and_then(Node::text) == Some("__address__");
            let Some(node) = rule.get("replacement").filter(|_| writes_address) else { continue };
            let written = node.text().unwrap_or_default();
            match addresses.get(written) {
                Some(actual) => drop(used.insert((written.to_owned(), actual.clone()))),
                None if written.contains('$') => {}
                None => self.unknown(file, node, addresses),
            }
        }
        used
    }

    fn unknown(&mut self, file: &SourceFile, node: &Node, addresses: &BTreeMap<String, String>) {
        let known: Vec<&str> = addresses.keys().map(String::as_str).collect();
        self.problems.push(ScaleProblem {
            file: file.name(),
            line: node.line,
            message: format!("the target `{}` is no component of this stack", node.text().unwrap_or_default()),
            help: format!("write one of: {}", known.join(", ")),
        });
    }
}

/// Whether a target is a URL to probe that names the component.
fn names(target: &str, component: &str) -> bool {
    target.split_once("://").is_some_and(|(_, rest)| rest.split(['/', '?']).next() == Some(component))
}

fn relabel(written: &str, actual: &str) -> [String; 2] {
    let pattern = escaped(written);
    [
        format!(
            "{{source_labels: [__address__, instance], regex: '{pattern};', target_label: instance, replacement: '{written}'}}"
        ),
        format!(
            "{{source_labels: [__address__], regex: '{pattern}', target_label: __address__, replacement: '{actual}'}}"
        ),
    ]
}

/// Probes are asked for a URL by a parameter.
fn probe_rules(job: &Node, addresses: &BTreeMap<String, String>) -> Vec<String> {
    let targets = config::job_targets(job);
    let probed = addresses.iter().filter(|(written, actual)| {
        written != actual && targets.iter().any(|target| names(target.text().unwrap_or_default(), written))
    });
    probed
        .map(|(written, actual)| {
            let pattern = escaped(written);
            format!(
                "{{source_labels: [__param_target], regex: '(.*://){pattern}(.*)', target_label: __param_target, replacement: '${{1}}{actual}${{2}}'}}"
            )
        })
        .collect()
}

fn append_relabelling(source: &str, job: &Node, rules: &[String], edits: &mut Edits) {
    if rules.is_empty() {
        return;
    }
    match job.get("relabel_configs") {
        Some(node) => match &node.value {
            Value::Sequence(items, Flow::Block) if !items.is_empty() => {
                let first = items[0].at.start;
                let line = source[..first].rfind('\n').map_or(0, |newline| newline + 1);
                let dash = source[line..first].rfind('-').unwrap_or_default();
                let indent = " ".repeat(dash);
                let lines: Vec<String> = rules.iter().map(|rule| format!("{indent}- {rule}")).collect();
                edits.add_line(source, end_of_block(source, node), &lines.join("\n"));
            }
            Value::Sequence(items, _) => {
                let comma = if items.is_empty() { "" } else { ", " };
                edits.replace(node.span.end - 1..node.span.end - 1, format!("{comma}{}", rules.join(", ")));
            }
            _ => {}
        },
        None => {
            let flow = matches!(job.value, Value::Mapping(_, Flow::Brackets));
            let indent = format!("\n{}", " ".repeat(column(source, job.span.start) + 2));
            let entry = if flow {
                format!("relabel_configs: [{}]", rules.join(", "))
            } else {
                format!("relabel_configs:{}", rules.iter().map(|rule| format!("{indent}- {rule}")).collect::<String>())
            };
            edits.add_last(source, job, &entry);
        }
    }
}

/// Turns absolute paths of included files into paths beside the copy.
pub(super) fn localise(file: &SourceFile, patterns: Vec<&Node>, edits: &mut Edits) {
    for node in patterns {
        let text = node.text().unwrap_or_default();
        if !Path::new(text).is_absolute() {
            continue;
        }
        let folder =
            std::path::absolute(&file.path).ok().and_then(|path| path.parent().map(Path::to_owned)).unwrap_or_default();
        let beside = mounted(text).unwrap_or_else(|| from(&folder, Path::new(text)));
        edits.set(node, &beside.display().to_string());
    }
}

/// `target` as seen from `folder`.
fn from(folder: &Path, target: &Path) -> PathBuf {
    let mut up = PathBuf::new();
    let mut base = folder;
    while !target.starts_with(base) {
        up.push("..");
        match base.parent() {
            Some(parent) => base = parent,
            None => break,
        }
    }
    up.join(target.strip_prefix(base).unwrap_or(target))
}

/// An address as a regular expression; a hyphen needs no escape and reads better without.
fn escaped(address: &str) -> String {
    regex::escape(address).replace("\\-", "-")
}
