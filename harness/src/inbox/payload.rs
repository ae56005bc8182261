//! Reads the bodies Alertmanager posts to chat, pager and webhook receivers. Pure; fed by [`super::server`].
//!
//! A body that has a webhook's shape is read as one whatever the kind, because a receiver that cannot be redirected is
//! turned into a webhook under its own kind.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::Kind;
use super::listing::{read_alerts, read_status};
use super::message::{Content, MessageAlert, Status};
use crate::clock::Stamp;

/// What a request is.
#[derive(Debug, PartialEq)]
pub(super) enum Request {
    /// A message.
    Message(Content),
    /// A call that only prepares one, such as fetching a token.
    Preparation,
}

/// Reads a body; the error says in words what is wrong with it.
pub(super) fn read(kind: Kind, suffix: &str, body: &[u8]) -> Result<Request, String> {
    if kind == Kind::Wechat && suffix.contains("gettoken") || kind == Kind::Jira && suffix.contains("search") {
        return Ok(Request::Preparation);
    }
    let document: Value = match serde_json::from_slice(body) {
        Ok(document) => document,
        Err(_) if kind.takes_forms() => return Ok(Request::Message(read_form(body))),
        Err(error) => return Err(format!("the body is not JSON: {error}")),
    };
    if kind == Kind::Webhook || document.get("groupKey").is_some() && document.get("alerts").is_some() {
        return read_webhook(document).map(Request::Message);
    }
    if !document.is_object() {
        return Err("the body is not a JSON object".to_owned());
    }
    Ok(Request::Message(match kind {
        Kind::Slack | Kind::Mattermost | Kind::Rocketchat => read_slack(&document),
        Kind::Pagerduty => read_pagerduty(&document)?,
        Kind::Opsgenie => read_opsgenie(&document, suffix),
        Kind::Victorops => read_victorops(&document),
        other => read_by_paths(&document, other),
    }))
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Webhook {
    version: String,
    group_key: String,
    status: String,
    #[serde(default)]
    truncated_alerts: u64,
    #[serde(default)]
    group_labels: BTreeMap<String, String>,
    alerts: Vec<WebhookAlert>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct WebhookAlert {
    status: String,
    labels: BTreeMap<String, String>,
    #[serde(default)]
    annotations: BTreeMap<String, String>,
    starts_at: String,
    ends_at: String,
    #[serde(default)]
    fingerprint: String,
}

fn read_webhook(document: Value) -> Result<Content, String> {
    let webhook: Webhook = serde_json::from_value(document)
        .map_err(|error| format!("the body is no webhook message of Alertmanager: {error}"))?;
    if webhook.version != "4" {
        return Err(format!("the message has version `{}`; only 4 is known", webhook.version));
    }
    Ok(Content {
        status: status_word(&webhook.status),
        group_key: webhook.group_key,
        group_labels: webhook.group_labels,
        alerts: webhook.alerts.into_iter().map(webhook_alert).collect(),
        truncated: webhook.truncated_alerts,
        ..Content::default()
    })
}

fn webhook_alert(alert: WebhookAlert) -> MessageAlert {
    MessageAlert {
        status: status_word(&alert.status),
        labels: alert.labels,
        annotations: alert.annotations,
        starts_at: time(&alert.starts_at),
        ends_at: time(&alert.ends_at),
        fingerprint: alert.fingerprint,
    }
}

fn status_word(word: &str) -> Status {
    match word {
        "firing" => Status::Firing,
        "resolved" => Status::Resolved,
        _ => Status::Unknown,
    }
}

/// Go's zero time, in the year 1, is "not yet".
fn time(text: &str) -> Option<Stamp> {
    let time: jiff::Timestamp = text.parse().ok()?;
    (time.as_second() > 0).then(|| Stamp(time.as_microsecond()))
}

/// The default template lists no alerts; the title and the colour say whether it fires.
fn read_slack(document: &Value) -> Content {
    let attachments = document.get("attachments").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let title =
        attachments.iter().map(|attachment| first_text(attachment, &["/title", "/fallback"])).find(|t| !t.is_empty());
    let mut lines = vec![text_at(document, "/text")];
    for attachment in attachments {
        lines.extend(["/pretext", "/text"].map(|path| text_at(attachment, path)));
        let fields = attachment.get("fields").and_then(Value::as_array);
        lines.extend(fields.into_iter().flatten().map(|field| {
            let (title, value) = (text_at(field, "/title"), text_at(field, "/value"));
            format!("{title}: {value}")
        }));
    }
    lines.retain(|line| !line.trim().is_empty());
    let (title, text) = (title.unwrap_or_default(), lines.join("\n"));
    let mut status = read_status(&title, &text);
    if status == Status::Unknown {
        status = match attachments.first().map(|attachment| text_at(attachment, "/color")).as_deref() {
            Some("danger" | "red") => Status::Firing,
            Some("good" | "green") => Status::Resolved,
            _ => Status::Unknown,
        };
    }
    let alerts = read_alerts(&text, status);
    Content { status, alerts, title, text, ..Content::default() }
}

fn read_pagerduty(document: &Value) -> Result<Content, String> {
    let status = match text_at(document, "/event_action").as_str() {
        "trigger" => Status::Firing,
        "resolve" => Status::Resolved,
        "acknowledge" => Status::Unknown,
        other => return Err(format!("`event_action` is `{other}`, not trigger, acknowledge or resolve")),
    };
    let details = document.pointer("/payload/custom_details").unwrap_or(&Value::Null);
    let mut alerts = read_alerts(&text_at(details, "/firing"), Status::Firing);
    alerts.extend(read_alerts(&text_at(details, "/resolved"), Status::Resolved));
    let lines = details.as_object().into_iter().flatten();
    let lines = lines.map(|(key, value)| format!("{key}: {}", plain(value)));
    Ok(Content {
        status,
        group_key: text_at(document, "/dedup_key"),
        alerts,
        title: text_at(document, "/payload/summary"),
        text: lines.collect::<Vec<_>>().join("\n"),
        ..Content::default()
    })
}

/// Several calls make one alert: create, close, and updates of message and description.
fn read_opsgenie(document: &Value, suffix: &str) -> Content {
    let mut segments = suffix.trim_matches('/').split('/').skip(2);
    let (alias, action) = (segments.next(), segments.next());
    let (title, text) = (text_at(document, "/message"), text_at(document, "/description"));
    let status = match action {
        None => Status::Firing,
        Some("close") => Status::Resolved,
        Some(_) => Status::Unknown,
    };
    Content {
        status,
        group_key: alias.map_or_else(|| text_at(document, "/alias"), str::to_owned),
        alerts: read_alerts(&text, status),
        title,
        text,
        ..Content::default()
    }
}

fn read_victorops(document: &Value) -> Content {
    let (title, text) = (text_at(document, "/entity_display_name"), text_at(document, "/state_message"));
    let status = match text_at(document, "/message_type").as_str() {
        "RECOVERY" => Status::Resolved,
        _ => Status::Firing,
    };
    Content {
        status,
        group_key: text_at(document, "/entity_id"),
        alerts: read_alerts(&text, status),
        title,
        text,
        ..Content::default()
    }
}

/// Where the other kinds keep title and text.
fn read_by_paths(document: &Value, kind: Kind) -> Content {
    let (titles, texts): (&[&str], &[&str]) = match kind {
        Kind::Msteams => (&["/title", "/summary"], &["/text"]),
        Kind::Msteamsv2 => (&["/attachments/0/content/body/0/text"], &["/attachments/0/content/body/1/text"]),
        Kind::Discord => (&["/embeds/0/title", "/content"], &["/embeds/0/description", "/content"]),
        Kind::Telegram => (&[], &["/text"]),
        Kind::Webex => (&[], &["/markdown", "/text"]),
        Kind::Wechat => (&[], &["/text/content", "/markdown/content"]),
        Kind::Jira => (&["/fields/summary"], &["/fields/description"]),
        Kind::Incidentio => (&["/title"], &["/description"]),
        _ => (&["/title", "/message", "/summary", "/subject"], &["/text", "/description", "/message", "/content"]),
    };
    let (title, mut text) = (first_text(document, titles), first_text(document, texts));
    if text_at(document, "/parse_mode") == "HTML" {
        text = unescape_html(&text);
    }
    let mut status = read_status(&title, &text);
    if kind == Kind::Incidentio {
        status = status_word(&text_at(document, "/status"));
    }
    let alerts = read_alerts(&text, status);
    Content { status, alerts, title, text, ..Content::default() }
}

/// SNS and Pushover post forms.
fn read_form(body: &[u8]) -> Content {
    let query = String::from_utf8_lossy(body);
    let form = reqwest::Url::parse(&format!("form:?{query}"));
    let fields: BTreeMap<String, String> =
        form.map(|form| form.query_pairs().into_owned().collect()).unwrap_or_default();
    let field = |names: [&str; 2]| names.iter().find_map(|name| fields.get(*name).cloned()).unwrap_or_default();
    let (title, text) = (field(["title", "Subject"]), field(["message", "Message"]));
    let status = read_status(&title, &text);
    Content { status, alerts: read_alerts(&text, status), title, text, ..Content::default() }
}

fn first_text(document: &Value, paths: &[&str]) -> String {
    paths.iter().map(|path| text_at(document, path)).find(|text| !text.trim().is_empty()).unwrap_or_default()
}

fn text_at(document: &Value, path: &str) -> String {
    document.pointer(path).map(plain).unwrap_or_default()
}

/// A string as it is, anything else as JSON.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}

/// The five entities Go's HTML escaping writes.
pub(super) fn unescape_html(text: &str) -> String {
    const ENTITIES: [(&str, &str); 5] = [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")];
    ENTITIES.iter().fold(text.to_owned(), |text, (entity, character)| text.replace(entity, character))
}

#[cfg(test)]
mod tests;
