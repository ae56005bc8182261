//! The last look before Alertmanager may be started: no address outside of this machine is left where Alertmanager would
//! connect. Links inside of messages are text and may stay. Fed by `render` with what it rendered.

use std::collections::BTreeSet;

use super::super::alertmanager::AlertmanagerConfig;
use super::super::problem::ScaleProblem;
use super::super::yaml::{Node, Value};
use super::receiver::Slot;

/// Keys whose contents are shown to people and never connected to.
const TEXTS: [&str; 30] = [
    "actions",
    "links",
    "images",
    "fields",
    "details",
    "headers",
    "annotations",
    "labels",
    "title",
    "title_link",
    "text",
    "body",
    "html",
    "message",
    "description",
    "icon_url",
    "image_url",
    "thumb_url",
    "footer",
    "pretext",
    "fallback",
    "client",
    "client_url",
    "source",
    "summary",
    "note",
    "username",
    "name",
    "matchers",
    "custom_fields",
];

/// Every address that is neither of this machine nor an inbox.
pub(super) fn leaks(config: &AlertmanagerConfig, slots: &[(Slot, String)]) -> Vec<ScaleProblem> {
    let inboxes: BTreeSet<&str> = slots.iter().map(|(_, address)| host(address)).collect();
    let mut found = Vec::new();
    let Some(document) = &config.file.document else { return found };
    for key in ["global", "receivers", "tracing"] {
        if let Some(node) = document.get(key) {
            walk(node, &mut |scalar, text| {
                if outward(text, &inboxes) {
                    found.push(ScaleProblem {
                        file: config.file.name(),
                        line: scalar.line,
                        message: format!("an address outside of this machine is left (`{}`)", host(text)),
                        help: "move it out of shared anchors, or use a receiver of another kind".to_owned(),
                    });
                }
            });
        }
    }
    found
}

fn walk(node: &Node, visit: &mut impl FnMut(&Node, &str)) {
    match &node.value {
        Value::Scalar(text, _) => visit(node, text),
        Value::Sequence(items, _) => items.iter().for_each(|item| walk(item, visit)),
        Value::Mapping(entries, _) => {
            for (key, value) in entries.iter() {
                if !key.text().is_some_and(|key| TEXTS.contains(&key)) {
                    address_key(key, value, visit);
                }
            }
        }
    }
}

fn address_key(key: &Node, value: &Node, visit: &mut impl FnMut(&Node, &str)) {
    match value.text() {
        // a smarthost has no scheme
        Some(text)
            if key.text().is_some_and(|key| key.ends_with("smarthost") || key == "endpoint")
                && !text.contains("://") =>
        {
            visit(value, &format!("tcp://{text}"));
        }
        _ => walk(value, visit),
    }
}

fn outward(text: &str, inboxes: &BTreeSet<&str>) -> bool {
    let host = host(text);
    text.contains("://") && !matches!(host, "127.0.0.1" | "localhost" | "[::1]") && !inboxes.contains(host)
}

/// The host of a URL or of `host:port`.
fn host(address: &str) -> &str {
    let rest = address.split_once("://").map_or(address, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let authority = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    match authority.strip_prefix('[') {
        Some(_) => authority.find(']').map_or(authority, |end| &authority[..=end]),
        None => authority.split(':').next().unwrap_or_default(),
    }
}
