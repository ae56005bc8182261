//! Receivers: every integration is pointed at an inbox of this machine, in its own message format where its endpoint can be
//! redirected, else as a webhook with the kind's own `send_resolved`. Secrets, proxies and credentials go. Routing, grouping
//! and timing stay the author's. Fed by `render`.

use std::collections::BTreeSet;

use super::super::alertmanager::{is_true, sends_resolved_by_default};
use super::super::edit::{Edits, column, end_of_block};
use super::super::source::SourceFile;
use super::super::yaml::{Flow, Node, Value};

/// An integration of a receiver.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// The receiver's name.
    pub receiver: String,
    /// What the author configured: `webhook`, `slack`, `pagerduty` …
    pub kind: String,
    /// Its place among the receiver's entries of this kind, from 0.
    pub index: usize,
    /// The format in which messages will arrive.
    pub shape: Shape,
}

/// The format of messages at an inbox.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Shape {
    /// Alertmanager's own JSON.
    Webhook,
    /// Slack's incoming webhook.
    Slack,
    /// PagerDuty's Events API v2.
    PagerDuty,
    /// SMTP.
    Email,
    /// Opsgenie's alert API.
    Opsgenie,
    /// Microsoft Teams' incoming webhook.
    Teams,
}

/// Keys of `global` that leave no way out of this machine and that entries may inherit.
const KEPT_GLOBALS: [&str; 4] = ["resolve_timeout", "smtp_from", "smtp_hello", "smtp_require_tls"];
/// Keys of an entry that name endpoints, credentials and proxies besides the ones that are set.
const DROPPED: [&str; 18] = [
    "http_config",
    "url_file",
    "api_url_file",
    "routing_key_file",
    "service_key_file",
    "api_key_file",
    "auth_username",
    "auth_password",
    "auth_password_file",
    "auth_secret",
    "auth_secret_file",
    "auth_identity",
    "tls_config",
    "webhook_url_file",
    "app_url",
    "app_token",
    "app_token_file",
    "update_message",
];
/// Stands where a secret stood.
const NO_SECRET: &str = "harness-drill";

/// Points every integration at its inbox; gives back which went where.
pub(super) fn redirect(
    file: &SourceFile,
    shapes: &BTreeSet<Shape>,
    inbox: &dyn Fn(&Slot) -> String,
    edits: &mut Edits,
) -> Vec<(Slot, String)> {
    let Some(document) = &file.document else { return Vec::new() };
    let mut slots = Vec::new();
    for receiver in document.get("receivers").map(Node::items).unwrap_or_default() {
        let name = receiver.get("name").and_then(Node::text).unwrap_or_default();
        slots.extend(redirect_receiver(&file.text, receiver, name, shapes, inbox, edits));
    }
    if let Some((_, global)) = document.own_entry("global") {
        drop_all_but(&file.text, global, &KEPT_GLOBALS, edits);
    }
    if let Some((key, value)) = document.own_entry("tracing") {
        edits.remove_entry(&file.text, document, key, value);
    }
    slots
}

fn redirect_receiver(
    source: &str,
    receiver: &Node,
    name: &str,
    shapes: &BTreeSet<Shape>,
    inbox: &dyn Fn(&Slot) -> String,
    edits: &mut Edits,
) -> Vec<(Slot, String)> {
    let mut slots = Vec::new();
    let mut converted = Vec::new();
    for (key, list) in receiver.entries() {
        let Some(kind) = key.text().and_then(|key| key.strip_suffix("_configs")) else { continue };
        // what is shared by an alias cannot point at two inboxes: it is written out as webhooks
        let shared = list.at != list.span || list.items().iter().any(|entry| entry.at != entry.span);
        let shape =
            shape_of(kind, list).filter(|shape| !shared && (*shape == Shape::Webhook || shapes.contains(shape)));
        for (index, entry) in list.items().iter().enumerate() {
            let slot = Slot {
                receiver: name.to_owned(),
                kind: kind.to_owned(),
                index,
                shape: shape.unwrap_or(Shape::Webhook),
            };
            let address = inbox(&slot);
            match shape {
                Some(shape) => keep_shape(source, entry, shape, &address, edits),
                None => converted.push(webhook(kind, entry, &address)),
            }
            slots.push((slot, address));
        }
        if shape.is_none() {
            edits.remove_entry(source, receiver, key, list);
        }
    }
    if !converted.is_empty() {
        add_webhooks(source, receiver, &converted, edits);
    }
    slots
}

/// The kind's own shape, where all entries can be redirected by their configuration.
fn shape_of(kind: &str, list: &Node) -> Option<Shape> {
    let has = |entry: &Node, key: &str| entry.get(key).is_some();
    match kind {
        "webhook" => Some(Shape::Webhook),
        "slack" => list
            .items()
            .iter()
            .all(|entry| !has(entry, "app_token") && !has(entry, "app_token_file"))
            .then_some(Shape::Slack),
        // Events v1 (`service_key`) posts to an address that cannot be set
        "pagerduty" => list
            .items()
            .iter()
            .all(|entry| !has(entry, "service_key") && !has(entry, "service_key_file"))
            .then_some(Shape::PagerDuty),
        "email" => Some(Shape::Email),
        "opsgenie" => Some(Shape::Opsgenie),
        "msteams" => Some(Shape::Teams),
        _ => None,
    }
}

fn keep_shape(source: &str, entry: &Node, shape: Shape, address: &str, edits: &mut Edits) {
    let wanted: &[(&str, &str)] = match shape {
        Shape::Webhook => &[("url", address)],
        Shape::Slack => &[("api_url", address)],
        Shape::PagerDuty => &[("url", address), ("routing_key", NO_SECRET)],
        Shape::Email => &[("smarthost", address), ("require_tls", "false")],
        Shape::Opsgenie => &[("api_url", address), ("api_key", NO_SECRET)],
        Shape::Teams => &[("webhook_url", address)],
    };
    for (key, value) in wanted {
        match entry.own_entry(key) {
            Some((_, node)) => edits.set(node, value),
            None if *value == "false" => edits.add_last(source, entry, &format!("{key}: {value}")),
            None => edits.add_last(source, entry, &format!("{key}: '{value}'")),
        }
    }
    for (key, value) in entry.own_entries() {
        if key.text().is_some_and(|key| DROPPED.contains(&key)) {
            edits.remove_entry(source, entry, key, value);
        }
    }
}

fn webhook(kind: &str, entry: &Node, address: &str) -> String {
    let explicit = entry.get("send_resolved").and_then(Node::text).map(is_true);
    let send_resolved = explicit.unwrap_or_else(|| sends_resolved_by_default(kind));
    let max_alerts = entry.get("max_alerts").and_then(Node::text).filter(|_| kind == "webhook");
    let max_alerts = max_alerts.map_or_else(String::new, |limit| format!(", max_alerts: {limit}"));
    format!("{{url: '{address}', send_resolved: {send_resolved}{max_alerts}}}")
}

fn add_webhooks(source: &str, receiver: &Node, entries: &[String], edits: &mut Edits) {
    let items = |indent: &str| entries.iter().map(|entry| format!("{indent}- {entry}")).collect::<Vec<_>>().join("\n");
    match receiver.own_entry("webhook_configs").map(|(_, list)| list).filter(|list| list.at == list.span) {
        Some(list) => match &list.value {
            Value::Sequence(own, Flow::Block) if !own.is_empty() => {
                let first = own[0].at.start;
                let line = source[..first].rfind('\n').map_or(0, |newline| newline + 1);
                let indent = " ".repeat(source[line..first].rfind('-').unwrap_or_default());
                edits.add_line(source, end_of_block(source, list), &items(&indent));
            }
            Value::Sequence(own, _) => {
                let comma = if own.is_empty() { "" } else { ", " };
                edits.replace(list.span.end - 1..list.span.end - 1, format!("{comma}{}", entries.join(", ")));
            }
            _ => edits.set(list, &format!("[{}]", entries.join(", "))),
        },
        None if matches!(receiver.value, Value::Mapping(_, Flow::Brackets)) => {
            edits.add_last(source, receiver, &format!("webhook_configs: [{}]", entries.join(", ")));
        }
        None => {
            let indent = " ".repeat(column(source, receiver.span.start) + 2);
            edits.add_last(source, receiver, &format!("webhook_configs:\n{}", items(&indent)));
        }
    }
}

fn drop_all_but(source: &str, mapping: &Node, kept: &[&str], edits: &mut Edits) {
    for (key, value) in mapping.own_entries() {
        if !key.text().is_some_and(|key| kept.contains(&key)) {
            edits.remove_entry(source, mapping, key, value);
        }
    }
}
