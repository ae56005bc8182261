//! Recording and alerting rules as the user wrote them: plain rule files, and `PrometheusRule` resources. Fed by
//! `scale::source`; read by the renderer, `plan::bound` and the findings.

use std::collections::BTreeMap;
use std::time::Duration;

use promql_parser::label::MatchOp;
use promql_parser::parser::Expr;

use super::promql;
use super::source::{ConfigError, SourceFile};
use super::yaml::Node;
use crate::source::Location;

/// A group of rules that are evaluated together, in order.
#[derive(Clone, Debug)]
pub struct RuleGroup {
    /// The file, relative to the configuration's root.
    pub file: String,
    /// Its name.
    pub name: String,
    /// Its own interval; none means the global evaluation interval.
    pub interval: Option<Duration>,
    /// Its rules in order.
    pub rules: Vec<Rule>,
    /// Where it stands.
    pub location: Location,
}

/// A rule.
#[derive(Clone, Debug)]
pub struct Rule {
    /// Alert or record, and its name.
    pub kind: RuleKind,
    /// The expression as written.
    pub expr: String,
    /// The expression's syntax tree.
    pub ast: Expr,
    /// How long it must be true before it fires; zero when absent.
    pub hold: Duration,
    /// How long it goes on firing afterwards; zero when absent.
    pub keep_firing: Duration,
    /// Labels added, templates unexpanded.
    pub labels: BTreeMap<String, String>,
    /// Annotations, templates unexpanded.
    pub annotations: BTreeMap<String, String>,
    /// Where the rule stands.
    pub location: Location,
    /// Where its expression stands.
    pub expr_location: Location,
}

/// What a rule makes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum RuleKind {
    /// An alert of this name.
    Alert(String),
    /// A series of this name.
    Record(String),
}

impl Rule {
    /// The name of the alert or the recorded series.
    #[must_use]
    pub fn name(&self) -> &str {
        match &self.kind {
            RuleKind::Alert(name) | RuleKind::Record(name) => name,
        }
    }

    /// Whether it is an alert.
    #[must_use]
    pub const fn is_alert(&self) -> bool {
        matches!(self.kind, RuleKind::Alert(_))
    }
}

impl Rule {
    /// Whether every selector is `up` of this job, and no function makes something of its absence.
    #[must_use]
    pub fn sees_only_up(&self, job: &str) -> bool {
        let mut absence = false;
        promql::walk(&self.ast, &mut |node| {
            absence |= matches!(node, Expr::Call(call) if call.func.name.starts_with("absent"));
        });
        let of_job = |matcher: &promql_parser::label::Matcher| {
            matcher.name == "job" && matcher.op == MatchOp::Equal && matcher.value == job
        };
        let selectors = promql::selectors(&self.ast);
        let only = selectors.iter().all(|(selector, _)| {
            selector.name.as_deref() == Some("up") && selector.matchers.matchers.iter().any(of_job)
        });
        !absence && !selectors.is_empty() && only
    }
}

/// The node that holds `groups`: the document, or the `spec` of a `PrometheusRule`.
pub(super) fn group_holder(file: &SourceFile) -> Option<&Node> {
    let document = file.document.as_ref()?;
    match document.get("kind").and_then(Node::text) {
        Some("PrometheusRule" | "AlertingRule" | "RecordingRule") => document.get("spec"),
        _ => Some(document),
    }
}

/// Reads the groups of a rule file.
///
/// # Errors
/// When the file does not have the shape of a rule file, or an expression is no PromQL.
pub fn parse(file: &SourceFile) -> Result<Vec<RuleGroup>, ConfigError> {
    let Some(holder) = group_holder(file) else { return Ok(Vec::new()) };
    if file.document.as_ref().and_then(|document| document.get("kind")).and_then(Node::text) == Some("ConfigMap") {
        return Err(
            file.error(holder, "a ConfigMap hides its rule files in strings: extract them into files of their own")
        );
    }
    let Some(groups) = holder.get("groups") else {
        if holder.own_entries().is_empty() {
            return Ok(Vec::new());
        }
        return Err(file.error(holder, "a rule file starts with `groups:`"));
    };
    groups.items().iter().map(|node| group(file, node)).collect()
}

fn group(file: &SourceFile, node: &Node) -> Result<RuleGroup, ConfigError> {
    let name = file.text_of(node, "name")?.ok_or_else(|| file.error(node, "a rule group needs a `name`"))?;
    let rules = node.get("rules").map(Node::items).unwrap_or_default();
    Ok(RuleGroup {
        file: file.relative.display().to_string(),
        name,
        interval: file.duration_of(node, "interval")?,
        rules: rules.iter().map(|node| rule(file, node)).collect::<Result<_, _>>()?,
        location: file.location(node),
    })
}

fn rule(file: &SourceFile, node: &Node) -> Result<Rule, ConfigError> {
    let kind = match (file.text_of(node, "alert")?, file.text_of(node, "record")?) {
        (Some(name), None) => RuleKind::Alert(name),
        (None, Some(name)) => RuleKind::Record(name),
        (Some(_), Some(_)) => return Err(file.error(node, "a rule has `alert` or `record`, not both")),
        (None, None) => return Err(file.error(node, "a rule needs `alert` or `record`")),
    };
    let Some(expr_node) = node.get("expr") else { return Err(file.error(node, "a rule needs an `expr`")) };
    let expr = file.text_of(node, "expr")?.unwrap_or_default();
    let expr_location = file.location(expr_node);
    let ast =
        promql::parse(&expr).map_err(|source| ConfigError::Expression { location: expr_location.clone(), source })?;
    Ok(Rule {
        kind,
        expr,
        ast,
        hold: file.duration_of(node, "for")?.unwrap_or_default(),
        keep_firing: file.duration_of(node, "keep_firing_for")?.unwrap_or_default(),
        labels: texts(file, node.get("labels"))?,
        annotations: texts(file, node.get("annotations"))?,
        location: file.location(node),
        expr_location,
    })
}

/// A mapping of texts.
pub(super) fn texts(file: &SourceFile, mapping: Option<&Node>) -> Result<BTreeMap<String, String>, ConfigError> {
    let entries = mapping.map(Node::entries).unwrap_or_default();
    entries
        .into_iter()
        .map(|(key, value)| match (key.text(), value.text(), value.is_null()) {
            (Some(key), Some(value), _) => Ok((key.to_owned(), value.to_owned())),
            (Some(key), None, true) => Ok((key.to_owned(), String::new())),
            _ => Err(file.error(key, "expected a text here")),
        })
        .collect()
}
