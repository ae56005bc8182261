//! Findings about how rules are packed: fields that Prometheus refuses, resources that are no rule files, texts that other
//! YAML readers turn into numbers, keys that are merged in. Used by `finding`.

use super::{Finding, FindingCode};
use crate::plan::scale::source::SourceFile;
use crate::plan::scale::yaml::{Node, Style, Value};

const TOP: [&str; 2] = ["groups", "namespace"];
const GROUP: [&str; 6] = ["name", "interval", "query_offset", "limit", "labels", "rules"];
const RULE: [&str; 7] = ["alert", "record", "expr", "for", "keep_firing_for", "labels", "annotations"];
const THANOS: &str = "partial_response_strategy";

/// Everything about a rule file, or a file of `promtool test rules`.
pub(super) fn findings(file: &SourceFile) -> Vec<Finding> {
    let Some(document) = &file.document else { return Vec::new() };
    let mut pack = Pack { file, found: Vec::new() };
    if document.get("tests").is_some() {
        pack.tests(document);
        return pack.found;
    }
    let kind = document.get("kind").and_then(Node::text);
    if let Some(kind) = kind.filter(|kind| matches!(*kind, "PrometheusRule" | "AlertingRule" | "RecordingRule")) {
        let message = format!("this is a `{kind}` resource: Prometheus itself refuses it, an operator unpacks it");
        pack.note(
            document,
            FindingCode::PackedResource,
            kind,
            message,
            "nothing, if an operator loads it; a drill unpacks it, too",
        );
        if let Some(spec) = document.get("spec") {
            pack.groups(spec, false);
        }
        return pack.found;
    }
    pack.groups(document, true);
    pack.found
}

struct Pack<'a> {
    file: &'a SourceFile,
    found: Vec<Finding>,
}

impl Pack<'_> {
    fn note(&mut self, at: &Node, code: FindingCode, subject: &str, message: String, help: &str) {
        let location = self.file.location(at);
        self.found.push(Finding { location, code, subject: subject.to_owned(), message, help: help.to_owned() });
    }

    fn groups(&mut self, holder: &Node, is_file: bool) {
        if is_file {
            self.fields(holder, &TOP, "a rule file");
        }
        for group in holder.get("groups").map(Node::items).unwrap_or_default() {
            self.fields(group, &GROUP, "a rule group");
            for rule in group.get("rules").map(Node::items).unwrap_or_default() {
                self.fields(rule, &RULE, "a rule");
                self.merged(rule);
                for part in ["labels", "annotations"] {
                    for (_, value) in rule.get(part).map(Node::entries).unwrap_or_default() {
                        self.ambiguous(name(rule), value);
                    }
                }
            }
        }
    }

    fn fields(&mut self, mapping: &Node, known: &[&str], what: &str) {
        for (key, _) in mapping.entries() {
            let Some(field) = key.text().filter(|field| !known.contains(field)) else { continue };
            let (message, help) = if field == THANOS {
                (
                    format!("`{field}` is Thanos's: Prometheus refuses the whole file"),
                    "remove it where Prometheus loads the file",
                )
            } else {
                let message = format!("{what} has no field `{field}`: Prometheus refuses the whole file");
                (message, "see how it is spelt; anchors must stand inside of a rule")
            };
            self.note(key, FindingCode::UnknownField, field, message, help);
        }
    }

    fn merged(&mut self, rule: &Node) {
        let Some((key, _)) = rule.own_entry("<<") else { return };
        let own: Vec<&str> = rule.own_entries().iter().filter_map(|(key, _)| key.text()).collect();
        let merged: Vec<String> = rule
            .entries()
            .into_iter()
            .filter_map(|(key, _)| key.text().filter(|key| !own.contains(key)))
            .map(|key| format!("`{key}`"))
            .collect();
        let message = format!(
            "{} come from another rule by a merge key: editing that rule edits this one, and tools that write YAML anew drop the link",
            merged.join(", ")
        );
        self.note(
            key,
            FindingCode::MergeKey,
            name(rule),
            message,
            "nothing, if that is meant; a drill follows merge keys",
        );
    }

    fn tests(&mut self, document: &Node) {
        for test in document.get("tests").map(Node::items).unwrap_or_default() {
            for series in test.get("input_series").map(Node::items).unwrap_or_default() {
                let subject = series.get("series").and_then(Node::text).unwrap_or_default().to_owned();
                if let Some(values) = series.get("values") {
                    self.ambiguous(&subject, values);
                }
            }
        }
    }

    /// A text without quotes that most YAML readers take for something else and write back as such.
    fn ambiguous(&mut self, subject: &str, value: &Node) {
        let Value::Scalar(text, Style::Plain) = &value.value else { return };
        let Some(other) = read_elsewhere(text) else { return };
        let message = format!(
            "`{text}` without quotes is a text to Prometheus, and {other} to most YAML tools that write the file anew"
        );
        self.note(value, FindingCode::AmbiguousScalar, subject, message, "put it in quotes");
    }
}

fn name(rule: &Node) -> &str {
    rule.get("alert").or_else(|| rule.get("record")).and_then(Node::text).unwrap_or_default()
}

fn read_elsewhere(text: &str) -> Option<String> {
    if let Some(digits) = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        return u64::from_str_radix(digits, 16).ok().map(|number| format!("the number {number}"));
    }
    if matches!(text.to_ascii_lowercase().as_str(), "yes" | "no" | "on" | "off" | "y" | "n") {
        return Some("a boolean".to_owned());
    }
    let digits = |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_digit());
    if text.len() > 1 && text.starts_with('0') && digits(text) {
        return u64::from_str_radix(text, 8).ok().map(|number| format!("the number {number}"));
    }
    let joined = text.replace('_', "");
    (text.contains('_') && text.starts_with(|c: char| c.is_ascii_digit()) && digits(&joined))
        .then(|| format!("the number {joined}"))
}
