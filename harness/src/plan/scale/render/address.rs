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

/// What can be scraped in this run, and what the stack file describes and this run goes without.
pub(super) struct Network<'a> {
    pub(super) addresses: &'a BTreeMap<String, String>,
    pub(super) absent: &'a BTreeSet<String>,
}

impl Network<'_> {
    /// Whether a target, an address or a URL to probe, leads to what is not here.
    fn lacks(&self, target: &str) -> bool {
        self.absent.contains(target) || self.absent.iter().any(|component| names(target, component))
    }
}

impl Work {
    pub(super) fn readdress(&mut self, config: &PrometheusConfig, network: &Network<'_>, edits: &mut Edits) {
        let addresses = network.addresses;
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
        let moved = |written: &&str| addresses.get(*written).is_some_and(|actual| actual != written);
        for manager in managers {
            let targets = config::job_targets(manager).into_iter().filter_map(Node::text).filter(moved);
            keep_server_name(&config.file.text, manager, targets, edits);
        }
        for job in document.get("scrape_configs").map(Node::items).unwrap_or_default() {
            self.discovery(&config.file, job);
            if self.goes_without(config, job, network, edits) {
                continue;
            }
            let used = self.used(config, job, network);
            keep_server_name(
                &config.file.text,
                job,
                used.iter().map(|(written, _)| written.as_str()).filter(moved),
                edits,
            );
            let rules: Vec<String> = used
                .iter()
                .filter(|(written, actual)| written != actual)
                .flat_map(|(written, actual)| relabel(written, actual))
                .collect();
            let probes = probe_rules(&targets_of(config, job), addresses);
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
            if config::is_foreign_discovery(name) || name == "scrape_config_files" {
                self.problems.push(ScaleProblem {
                    file: file.name(),
                    line: key.line,
                    message: format!("`{name}` brings targets that a drill does not know"),
                    help: "list the targets under `static_configs` or in a file of `file_sd_configs`, or attach to the running stack (`--stack attach`)"
                        .to_owned(),
                });
            }
        }
    }

    /// Leaves out targets that are not here; whether that is all of the job.
    fn goes_without(
        &mut self,
        config: &PrometheusConfig,
        job: &Node,
        network: &Network<'_>,
        edits: &mut Edits,
    ) -> bool {
        let name = job.get("job_name").and_then(Node::text).unwrap_or_default();
        let through = address_rules(job).find(|node| network.lacks(node.text().unwrap_or_default()));
        if let Some(node) = through {
            self.left_out(&config.file, name, node);
            for list in config::target_lists(job) {
                replace_list(&config.file.text, list, &[], edits);
            }
            return true;
        }
        self.leave_out(&config.file, name, config::target_lists(job), network, edits);
        let here =
            targets_of(config, job).into_iter().any(|(_, target)| !network.lacks(target.text().unwrap_or_default()));
        !here
    }

    /// Takes targets that are not here out of their lists.
    pub(super) fn leave_out(
        &mut self,
        file: &SourceFile,
        job: &str,
        lists: Vec<&Node>,
        network: &Network<'_>,
        edits: &mut Edits,
    ) {
        for list in lists {
            let (lost, kept): (Vec<&Node>, Vec<&Node>) =
                list.items().iter().partition(|target| network.lacks(target.text().unwrap_or_default()));
            lost.iter().for_each(|node| self.left_out(file, job, node));
            if !lost.is_empty() {
                replace_list(&file.text, list, &kept, edits);
            }
        }
    }

    fn left_out(&mut self, file: &SourceFile, job: &str, node: &Node) {
        let target = node.text().unwrap_or_default();
        self.caveats.push(Caveat {
            location: Some(file.location(node)),
            subject: job.to_owned(),
            message: format!("`{target}` is not scraped: this drill runs without it, so its alerts cannot fire"),
        });
    }

    /// The addresses a job scrapes, as written and as reachable.
    fn used(&mut self, config: &PrometheusConfig, job: &Node, network: &Network<'_>) -> BTreeSet<(String, String)> {
        let addresses = network.addresses;
        let mut used = BTreeSet::new();
        for (file, node) in targets_of(config, job) {
            let written = node.text().unwrap_or_default();
            match addresses.get(written) {
                Some(actual) => drop(used.insert((written.to_owned(), actual.clone()))),
                None if network.lacks(written) || addresses.keys().any(|known| names(written, known)) => {}
                None => self.unknown(file, node, addresses),
            }
        }
        for node in address_rules(job) {
            let written = node.text().unwrap_or_default();
            match addresses.get(written) {
                Some(actual) => drop(used.insert((written.to_owned(), actual.clone()))),
                None if written.contains('$') => {}
                None => self.unknown(&config.file, node, addresses),
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

/// Every target of a job with the file it stands in.
fn targets_of<'a>(config: &'a PrometheusConfig, job: &'a Node) -> Vec<(&'a SourceFile, &'a Node)> {
    let own = config::job_targets(job).into_iter().map(|node| (&config.file, node));
    let files = config::files_of(&config.file, job, &config.target_files).into_iter();
    let of_files = files.flat_map(|file| {
        config::file_target_lists(file).into_iter().flat_map(Node::items).map(move |node| (file, node))
    });
    own.chain(of_files).collect()
}

/// What a job's relabelling makes of the address.
fn address_rules(job: &Node) -> impl Iterator<Item = &Node> {
    let rules = job.get("relabel_configs").map(Node::items).unwrap_or_default();
    let writes_address = |rule: &&Node| rule.get("target_label").and_then(Node::text) == Some("__address__");
    rules.iter().filter(writes_address).filter_map(|rule| rule.get("replacement"))
}

/// Writes a list of targets anew, in brackets.
fn replace_list(source: &str, list: &Node, kept: &[&Node], edits: &mut Edits) {
    let written: Vec<&str> = kept.iter().map(|node| &source[node.at.clone()]).collect();
    let text = format!("[{}]", written.join(", "));
    match &list.value {
        // a step to the right, because a block may stand as far left as its key
        Value::Sequence(_, Flow::Block) => {
            let line = source[..list.span.start].rfind('\n').map_or(0, |newline| newline + 1);
            let indent = source[line..].len() - source[line..].trim_start_matches(' ').len();
            let text = format!("{}  {text}\n", " ".repeat(indent));
            edits.replace(line..end_of_block(source, list), text);
        }
        _ => edits.replace(list.span.clone(), text),
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
fn probe_rules(targets: &[(&SourceFile, &Node)], addresses: &BTreeMap<String, String>) -> Vec<String> {
    let probed = addresses.iter().filter(|(written, actual)| {
        written != actual && targets.iter().any(|(_, target)| names(target.text().unwrap_or_default(), written))
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

/// A server behind TLS listens elsewhere in a drill, and is still asked for under the name in its certificate: the one that
/// the author wrote. Nothing is done where the author says which name, or where targets have several.
fn keep_server_name<'a>(source: &str, job: &Node, moved: impl Iterator<Item = &'a str>, edits: &mut Edits) {
    let hosts: BTreeSet<&str> = moved.filter_map(|target| Some(target.rsplit_once(':')?.0)).collect();
    let (Some(host), 1) = (hosts.first(), hosts.len()) else { return };
    if job.get("scheme").and_then(Node::text) != Some("https") {
        return;
    }
    match job.get("tls_config") {
        Some(settings) if settings.get("server_name").is_some() => {}
        Some(settings) => edits.add_first(source, settings, &format!("server_name: {host}")),
        None => edits.add_last(source, job, &format!("tls_config: {{server_name: {host}}}")),
    }
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

/// Certificates and passwords stay where they are: what names one relative to the author's file is made absolute in the
/// copy. They are not copied, because the run's folder is kept and shown.
pub(super) fn keep_files(file: &SourceFile, edits: &mut Edits) {
    let folder = std::path::absolute(&file.path).ok().and_then(|path| path.parent().map(Path::to_owned));
    let mut open: Vec<&Node> = file.document.iter().collect();
    while let Some(node) = open.pop() {
        open.extend(node.items());
        for (key, value) in node.own_entries() {
            open.push(value);
            let names_file = key.text().is_some_and(|key| key.ends_with("_file"));
            let path = value.text().filter(|_| names_file).map(Path::new);
            if let Some((folder, path)) = folder.as_ref().zip(path.filter(|path| path.is_relative())) {
                edits.set(value, &folder.join(path).display().to_string());
            }
        }
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
