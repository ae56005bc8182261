//! Rule files in Loki's format: Prometheus's groups with LogQL in them. Everything that cannot be evaluated is found here,
//! before anything runs.

use std::collections::BTreeMap;
use std::path::Path;

use super::Error;
use super::alert::Timing;
use super::config::{Settings, TENANT};
use super::yaml::{self, Node};
use crate::clock::Nanos;
use crate::eval::ALERT_VARIABLES;
use crate::label::{Labels, is_valid_name};
use crate::logql::{self, Dialect, Query, Template, prometheus_duration};

/// A group of rules that are evaluated one after the other.
#[derive(Clone, Debug)]
pub struct Group {
    /// The file's name in the tenant's folder: Loki's namespace.
    pub file: String,
    /// Unique in its file.
    pub name: String,
    /// The distance of its evaluations.
    pub interval: Nanos,
    /// Whether the interval is the group's own.
    pub own_interval: bool,
    /// `limit`; zero for none.
    pub limit: usize,
    /// In order.
    pub rules: Vec<Rule>,
}

/// An alerting rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// The alert's name.
    pub name: String,
    /// The expression as written.
    pub text: String,
    /// The expression.
    pub query: Query,
    /// When it fires.
    pub timing: Timing,
    /// Added to the alert, by name.
    pub labels: BTreeMap<String, Template>,
    /// Of the alert, by name.
    pub annotations: BTreeMap<String, Template>,
}

/// Reads the rules of the tenant `fake` out of the settings' folder, files by name.
///
/// # Errors
/// What cannot be read or not be evaluated, with file and line.
pub(super) fn read(settings: &Settings) -> Result<Vec<Group>, Error> {
    let folder = settings.directory.join(TENANT);
    let io = |source| Error::Io { path: folder.clone(), source };
    let mut paths: Vec<_> = std::fs::read_dir(&folder)
        .map_err(io)?
        .map(|entry| entry.map(|entry| entry.path()))
        .collect::<Result<_, _>>()
        .map_err(io)?;
    paths.sort();
    let mut groups = Vec::new();
    for path in paths {
        let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default().to_owned();
        if name.starts_with('.') || path.is_dir() {
            continue;
        }
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Io { path: path.clone(), source })?;
        groups.extend(parse(&name, &text, settings.evaluation_interval).map_err(|message| in_file(&path, message))?);
    }
    Ok(groups)
}

fn in_file(path: &Path, message: String) -> Error {
    Error::Meaning { path: path.to_owned(), message }
}

/// Reads one file.
pub(super) fn parse(file: &str, text: &str, interval: Nanos) -> Result<Vec<Group>, String> {
    let document = yaml::parse(text)?;
    known(&document, "a rule file", &["groups"])?;
    let nodes = document.get("groups").map_or(Ok(&[][..]), |node| node.items("`groups`"))?;
    let mut groups: Vec<Group> = Vec::new();
    for node in nodes {
        let group = group(file, node, interval)?;
        if groups.iter().any(|known| known.name == group.name) {
            return Err(format!("line {}: the group {:?} is repeated in the same file", node.line, group.name));
        }
        groups.push(group);
    }
    Ok(groups)
}

/// Refuses keys that are not among `keys`.
fn known(node: &Node, what: &str, keys: &[&str]) -> Result<(), String> {
    let unknown = node.entries(what)?.iter().find(|(key, _, _)| !keys.contains(&key.as_str()));
    match unknown {
        Some((key, line, _)) => Err(format!("line {line}: {what} has no `{key}`; it may have {}", keys.join(", "))),
        None => Ok(()),
    }
}

fn group(file: &str, node: &Node, default: Nanos) -> Result<Group, String> {
    for key in ["query_offset", "labels"] {
        if let Some(found) = node.get(key) {
            return Err(format!(
                "line {}: Grafana Loki reads `{key}` of a group and ignores it: leave it out",
                found.line
            ));
        }
    }
    known(node, "a group", &["name", "interval", "limit", "rules", "query_offset", "labels"])?;
    let name = node.get("name").map_or(Ok(""), |node| node.text("name"))?.to_owned();
    if name.is_empty() {
        return Err(format!("line {}: a group needs a `name`", node.line));
    }
    let own = duration(node, "interval")?.filter(|interval| *interval > 0);
    let limit = match node.get("limit") {
        None => 0,
        Some(limit) => {
            limit.text("limit")?.parse().map_err(|_| format!("line {}: `limit` must be a whole number", limit.line))?
        }
    };
    let rules = node.get("rules").map_or(Ok(&[][..]), |node| node.items("`rules`"))?;
    let rules = rules.iter().map(|node| rule(node, limit)).collect::<Result<_, _>>()?;
    Ok(Group {
        file: file.to_owned(),
        name,
        interval: own.unwrap_or(default),
        own_interval: own.is_some(),
        limit,
        rules,
    })
}

fn duration(node: &Node, key: &str) -> Result<Option<Nanos>, String> {
    let Some(found) = node.get(key) else { return Ok(None) };
    let text = found.text(key)?;
    prometheus_duration(text).map(Some).map_err(|error| format!("line {}: `{key}: {text}`: {error}", found.line))
}

fn rule(node: &Node, limit: usize) -> Result<Rule, String> {
    let line = node.line;
    known(node, "a rule", &["alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"])?;
    let text = |key: &str| node.get(key).map_or(Ok(""), |node| node.text(key)).map(str::to_owned);
    let (alert, record) = (text("alert")?, text("record")?);
    match (alert.is_empty(), record.is_empty()) {
        (false, true) => {}
        (true, false) => {
            return Err(format!(
                "line {line}: the rule records `{record}`, and logstore has nowhere to write recorded series: use Grafana \
                 Loki with `ruler.remote_write`, or leave the rule out"
            ));
        }
        (true, true) => return Err(format!("line {line}: one of `record` or `alert` must be set")),
        (false, false) => return Err(format!("line {line}: only one of `record` and `alert` must be set")),
    }
    let expr = node.get("expr").ok_or_else(|| format!("line {line}: field `expr` must be set in rule {alert}"))?;
    let written = expr.text("expr")?.to_owned();
    let query =
        logql::parse(&written).map_err(|error| format!("line {}: could not parse expression: {error}", expr.line))?;
    if let Query::Log(_) = query {
        let line = expr.line;
        return Err(format!(
            "line {line}: the expression gives lines, not numbers: wrap it, as in `count_over_time(… [5m]) > 0`"
        ));
    }
    if let Some(unsupported) = query.unsupported() {
        return Err(format!("line {}: {unsupported}", expr.line));
    }
    let timing = Timing {
        hold: duration(node, "for")?.unwrap_or_default(),
        keep_firing: duration(node, "keep_firing_for")?.unwrap_or_default(),
        limit,
    };
    Ok(Rule {
        labels: templates(node, "labels", &alert)?,
        annotations: templates(node, "annotations", &alert)?,
        name: alert,
        text: written,
        query,
        timing,
    })
}

fn templates(rule: &Node, key: &str, alert: &str) -> Result<BTreeMap<String, Template>, String> {
    let entries = rule.get(key).map_or(Ok(&[][..]), |node| node.entries(key))?;
    let mut templates = BTreeMap::new();
    for (name, line, node) in entries {
        if !is_valid_name(name) || name.contains(':') || (key == "labels" && name == "__name__") {
            return Err(format!("line {line}: invalid name `{name}` in `{key}`"));
        }
        let problem = |error: &dyn std::fmt::Display| format!("line {line}: `{key}.{name}`: {error}");
        let template = Template::parse_as(Dialect::Alert, &format!("__alert_{alert}"), node.text(name)?)
            .map_err(|error| problem(&error))?;
        if let Some(what) = template.unsupported() {
            return Err(problem(&format!("logstore does not support {what}")));
        }
        if let Some(variable) = template.undefined_variable(&ALERT_VARIABLES) {
            return Err(problem(&format!("undefined variable ${variable}")));
        }
        templates.insert(name.clone(), template);
    }
    Ok(templates)
}

impl Group {
    /// How metrics name it: the file where Loki would copy it to, and the group.
    #[must_use]
    pub fn key(&self, rule_path: &str) -> String {
        format!("{}/{TENANT}/{};{}", rule_path.trim_end_matches('/'), self.file, self.name)
    }

    /// The group as Loki lists it.
    pub(super) fn yaml(&self) -> String {
        use std::fmt::Write;
        let quoted = |text: &str| serde_json::to_string(text).expect("texts can be written");
        let mut out = format!("name: {}\n", quoted(&self.name));
        if self.own_interval {
            let _ = writeln!(out, "interval: {}", crate::clock::prometheus_duration_text(self.interval));
        }
        if self.limit > 0 {
            let _ = writeln!(out, "limit: {}", self.limit);
        }
        let _ = writeln!(out, "rules:");
        for rule in &self.rules {
            let _ = writeln!(out, "    - alert: {}\n      expr: {}", quoted(&rule.name), quoted(&rule.text));
            for (key, duration) in [("for", rule.timing.hold), ("keep_firing_for", rule.timing.keep_firing)] {
                if duration > 0 {
                    let _ = writeln!(out, "      {key}: {}", crate::clock::prometheus_duration_text(duration));
                }
            }
            for (key, templates) in [("labels", &rule.labels), ("annotations", &rule.annotations)] {
                if !templates.is_empty() {
                    let _ = writeln!(out, "      {key}:");
                }
                for (name, template) in templates {
                    let _ = writeln!(out, "        {name}: {}", quoted(&template.text));
                }
            }
        }
        out
    }
}

/// The texts of templates as labels, unrendered.
pub(super) fn unrendered(templates: &BTreeMap<String, Template>) -> Labels {
    Labels::new(templates.iter().map(|(name, template)| (name.as_str(), template.text.as_str())))
}

#[cfg(test)]
mod tests {
    use super::*;

    const EXPR: &str = r#"count_over_time({service="a"}[5m]) > 0"#;

    fn one(rule: &str) -> Result<Vec<Group>, String> {
        let expr = if rule.contains("expr:") { String::new() } else { format!("      expr: '{EXPR}'\n") };
        parse("f.yml", &format!("groups:\n- name: g\n  rules:\n    - {rule}\n{expr}"), 60_000_000_000)
    }

    #[test]
    fn groups_and_alerts_are_read_as_loki_reads_them() {
        let text = format!(
            "groups:\n- name: g\n  interval: 250ms\n  limit: 2\n  rules:\n    - alert: A\n      expr: '{EXPR}'\n      for: 5m\n      \
             keep_firing_for: 1m\n      labels: {{severity: page}}\n      annotations: {{summary: '{{{{ $value }}}}'}}\n"
        );
        let groups = parse("f.yml", &text, 60_000_000_000).unwrap();
        let rule = &groups[0].rules[0];
        assert_eq!((groups[0].interval, groups[0].limit, rule.name.as_str()), (250_000_000, 2, "A"));
        assert_eq!(rule.timing, Timing { hold: 300_000_000_000, keep_firing: 60_000_000_000, limit: 2 });
        assert_eq!(groups[0].key("/data/rules/"), "/data/rules/fake/f.yml;g");
        let again = parse("f.yml", &format!("groups:\n  - {}", groups[0].yaml().replace('\n', "\n    ")), 1).unwrap();
        assert_eq!(again[0].yaml(), groups[0].yaml(), "what is listed reads as what was given");
    }

    #[test]
    fn a_group_without_an_interval_takes_the_rulers() {
        assert_eq!(one("alert: A").unwrap()[0].interval, 60_000_000_000);
    }

    #[test]
    fn what_cannot_be_evaluated_is_refused_before_anything_runs() {
        for (rule, expected) in [
            ("record: a:b", "nowhere to write recorded series"),
            ("for: 5m", "one of `record` or `alert` must be set"),
            ("alert: A\n      expr: '{a=\"b\"}'", "gives lines, not numbers"),
            ("alert: A\n      expr: 'rate('", "could not parse expression: parse error"),
            ("alert: A\n      expr: 'approx_topk(1, rate({a=\"b\"}[1m]))'", "approx_topk"),
            ("alert: A\n      for: soon", "line 5: `for: soon`"),
            ("alert: A\n      labels: {a-b: c}", "invalid name `a-b`"),
            ("alert: A\n      annotations: {a: '{{ nope }}'}", "function \"nope\" not defined"),
            ("alert: A\n      annotations: {a: '{{ $vale }}'}", "undefined variable $vale"),
            ("alert: A\n      annotations: {a: '{{ query \"x\" }}'}", "does not support template function query"),
            ("alert: A\n      fro: 5m", "line 5: a rule has no `fro`"),
        ] {
            let error = one(rule).unwrap_err();
            assert!(error.contains(expected), "{rule}: {error}");
        }
        let offset = parse("f.yml", "groups: [{name: g, query_offset: 1m}]", 1).unwrap_err();
        assert!(offset.contains("ignores it"), "{offset}");
        let twice = parse("f.yml", "groups: [{name: g}, {name: g}]", 1).unwrap_err();
        assert!(twice.contains("repeated in the same file"), "{twice}");
    }
}
