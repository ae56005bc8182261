//! What may be kept, and what may be shown, of every text of every event. The log on disk loses its secrets; a rendering
//! also makes characters visible that act instead of showing (escape sequences, bidirectional overrides). All of them pass
//! through here, so that a field added tomorrow is covered too; escaping for HTML or XML is the business of each rendering.

use std::sync::LazyLock;

use regex::{Captures, Regex};
use serde_json::{Map, Value};

use crate::event::{Event, EventKind};

/// What stands in place of a secret.
pub(in crate::report) const REDACTED: &str = "[redacted]";

/// The events as they may be shown.
#[must_use]
pub(in crate::report) fn events(events: &[Event]) -> Vec<Event> {
    events.iter().map(event).collect()
}

/// One event as it may be shown.
#[must_use]
pub(in crate::report) fn event(event: &Event) -> Event {
    cleaned(event, text)
}

/// One event as it may be kept: without secrets, otherwise as it was.
#[must_use]
pub(in crate::report) fn without_secrets(event: &Event) -> Event {
    cleaned(event, redacted)
}

fn cleaned(event: &Event, clean: fn(&str) -> String) -> Event {
    if matches!(event.what, EventKind::PhaseStarted { .. } | EventKind::RunFinished { .. }) {
        return event.clone();
    }
    let cleaned = serde_json::to_value(event).map(|content| value(content, clean)).and_then(serde_json::from_value);
    cleaned.unwrap_or_else(|_| Event {
        what: EventKind::Warned { message: "an event could not be shown safely and is left out".to_owned() },
        ..event.clone()
    })
}

fn value(value: Value, clean: fn(&str) -> String) -> Value {
    match value {
        Value::String(string) => Value::String(clean(&string)),
        Value::Array(items) => Value::Array(items.into_iter().map(|item| self::value(item, clean)).collect()),
        Value::Object(fields) => {
            Value::Object(fields.into_iter().map(|(key, content)| field(&key, content, clean)).collect::<Map<_, _>>())
        }
        other => other,
    }
}

fn field(key: &str, content: Value, clean: fn(&str) -> String) -> (String, Value) {
    let content = match content {
        Value::String(_) if SECRET_NAME.is_match(key) => Value::String(REDACTED.to_owned()),
        other => value(other, clean),
    };
    (clean(key), content)
}

/// A text as it may be shown.
#[must_use]
pub(in crate::report) fn text(text: &str) -> String {
    visible(&redacted(text))
}

fn redacted(text: &str) -> String {
    let mut kept = text.to_owned();
    for (pattern, replacement) in PATTERNS.iter() {
        if pattern.is_match(&kept) {
            kept = pattern.replace_all(&kept, |found: &Captures| redact(found, *replacement)).into_owned();
        }
    }
    kept
}

/// What of a match is kept before and after the secret: two capture groups.
#[derive(Clone, Copy)]
enum Keep {
    Before,
    Both,
    Nothing,
}

fn redact(found: &Captures, keep: Keep) -> String {
    let group = |number| found.get(number).map_or("", |group| group.as_str());
    match keep {
        Keep::Before => format!("{}{REDACTED}", group(1)),
        Keep::Both => format!("{}{REDACTED}{}", group(1), group(2)),
        Keep::Nothing => REDACTED.to_owned(),
    }
}

static SECRET_NAME: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(r"(?i)^[a-z0-9_-]*(?:token|secret|password|passwd|api[_-]?key|authorization|cookie)$")
        .expect("the pattern is constant")
});

static PATTERNS: LazyLock<Vec<(Regex, Keep)>> = LazyLock::new(|| {
    const NAME: &str =
        r"[a-z0-9_.-]*(?:token|secret|password|passwd|api[_-]?key|access[_-]?key|routing_key|service_key|credentials)";
    let patterns = [
        // PEM blocks, JSON web tokens
        (r"(?s)-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\z)".to_owned(), Keep::Nothing),
        (r"\beyJ[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]{5,}\.[A-Za-z0-9_-]*".to_owned(), Keep::Nothing),
        // scheme://user:password@host
        (r#"(?i)\b([a-z][a-z0-9+.-]*://)[^\s/@"'<>]+(@)"#.to_owned(), Keep::Both),
        (r"(?i)\b(bearer\s+)[A-Za-z0-9._~+/=-]{8,}".to_owned(), Keep::Before),
        (r"(?i)\b(authorization:\s*(?:basic|digest|token)\s+)\S+".to_owned(), Keep::Before),
        (r"(?i)\b((?:set-)?cookie:\s*)[^\r\n]+".to_owned(), Keep::Before),
        // ?token=…&key=…
        (
            r#"(?i)([?&](?:[a-z0-9_-]*(?:token|key|secret|password|passwd)|auth|sig|signature|code)=)[^&\s"'#]+"#
                .to_owned(),
            Keep::Before,
        ),
        (r"(?i)(hooks\.slack\.com/services/)[^\s]+".to_owned(), Keep::Before),
        // password=…, "password": "…", and a line of YAML
        (format!(r#"(?i)\b({NAME}=["']?)[^\s"'&,;)}}\[]+"#), Keep::Before),
        (format!(r#"(?i)("{NAME}"\s*:\s*")[^"]*"#), Keep::Before),
        (format!(r#"(?im)^([ +-]*{NAME}:[ \t]+["']?)[^\s"'\[{{]+"#), Keep::Before),
    ];
    let compile = |(pattern, keep): (String, Keep)| (Regex::new(&pattern).expect("the patterns are constant"), keep);
    patterns.into_iter().map(compile).collect()
});

/// Control characters as their pictures, other characters that reorder or hide text as a replacement character.
fn visible(text: &str) -> String {
    text.chars()
        .map(|letter| match letter {
            '\n' | '\t' => letter,
            '\u{0}'..='\u{1f}' => char::from_u32(0x2400 + u32::from(letter)).unwrap_or('\u{fffd}'),
            '\u{7f}' => '\u{2421}',
            '\u{80}'..='\u{9f}'
            | '\u{200e}'
            | '\u{200f}'
            | '\u{2028}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => '\u{fffd}',
            other => other,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::clock::Stamp;

    #[test]
    fn secrets_never_reach_a_text_that_is_shown_x11() {
        let planted = [
            "postgres://app:hunter2@127.0.0.1:5432/items",
            "http://hunter2@host/",
            "GET /x?token=hunter2&b=1",
            "GET /x?a=1&api_key=hunter2",
            "Authorization: Bearer hunter2hunter2",
            "authorization: Basic hunter2",
            "Cookie: session=hunter2; other=hunter2",
            "env PGPASSWORD=hunter2 psql",
            "{\"password\":\"hunter2\"}",
            "+  smtp_auth_password: hunter2",
            "-     routing_key: 'hunter2'",
            "grafana.admin_password = x GF_ADMIN_PASSWORD=\"hunter2\"",
            "https://hooks.slack.com/services/T0/B0/hunter2",
            "-----BEGIN PRIVATE KEY-----\nhunter2\n-----END PRIVATE KEY-----",
            "jwt eyJhunter2.hunter2.hunter2 end",
        ];
        for secret in planted {
            let shown = text(secret);
            assert!(!shown.contains("hunter2"), "{shown}");
            assert!(shown.contains(REDACTED), "{shown}");
        }
    }

    #[test]
    fn what_surrounds_a_secret_stays_readable() {
        assert_eq!(text("redis://:pw@host:1/0 refused"), "redis://[redacted]@host:1/0 refused");
        assert_eq!(text("/x?token=a&b=2"), "/x?token=[redacted]&b=2");
        assert_eq!(text("parse error: unexpected token: \"}\""), "parse error: unexpected token: \"}\"");
        assert_eq!(text("group_by: [alertname]"), "group_by: [alertname]");
        assert_eq!(text("http://127.0.0.1:9090/graph?g0.expr=up"), "http://127.0.0.1:9090/graph?g0.expr=up");
        let query = r#"sum(rate(http_requests_total{status="500"}[5m])) > 0.15"#;
        assert_eq!(text(query), query);
    }

    #[test]
    fn a_label_named_like_a_secret_loses_its_value_x11() {
        let labels = BTreeMap::from([("api_token".to_owned(), "hunter2".to_owned())]);
        let what = EventKind::ComponentStarted {
            component: "c".to_owned(),
            version: "1".to_owned(),
            source: "PATH".to_owned(),
            addresses: labels,
        };
        let cleaned = event(&Event { seq: 0, at: Stamp(1), scenario: None, what });
        assert!(!format!("{cleaned:?}").contains("hunter2"));
    }

    #[test]
    fn characters_that_act_are_made_visible_x10() {
        assert_eq!(text("\u{1b}[31mred\u{0}\r\n\tok\u{202e}"), "␛[31mred␀␍\n\tok\u{fffd}");
    }
}
