//! Takes keys and tokens out of what is kept of a body; public configurations leak live ones, and reports are shared.

use serde_json::Value;

const SECRET_KEYS: [&str; 12] = [
    "routing_key",
    "service_key",
    "api_key",
    "apikey",
    "token",
    "access_token",
    "password",
    "secret",
    "authorization",
    "user",
    "user_key",
    "credentials",
];
const PLACE_HOLDER: &str = "<redacted>";

/// The beginning of a body, at most `limit` bytes, without secrets.
pub(super) fn redacted(body: &[u8], limit: usize) -> String {
    let text = match serde_json::from_slice::<Value>(body) {
        Ok(mut document) => {
            redact(&mut document);
            document.to_string()
        }
        Err(_) => redact_form(&String::from_utf8_lossy(body)),
    };
    let mut end = limit.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text[..end].to_owned()
}

fn redact(value: &mut Value) {
    match value {
        Value::Object(members) => {
            for (key, member) in members {
                if SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()) && member.is_string() {
                    *member = Value::from(PLACE_HOLDER);
                } else {
                    redact(member);
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(redact),
        _ => {}
    }
}

/// `token=…&user=…`, as forms are posted; any other text stays as it is.
fn redact_form(text: &str) -> String {
    let is_form = text.contains('=') && !text.contains(char::is_whitespace);
    if !is_form {
        return text.to_owned();
    }
    let field = |field: &str| match field.split_once('=') {
        Some((key, _)) if SECRET_KEYS.contains(&key.to_ascii_lowercase().as_str()) => format!("{key}={PLACE_HOLDER}"),
        _ => field.to_owned(),
    };
    text.split('&').map(field).collect::<Vec<_>>().join("&")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_tokens_are_not_kept() {
        let kept = redacted(br#"{"routing_key":"hunter2","payload":{"Token":"hunter2","summary":"x"}}"#, 1000);
        assert_eq!(kept, r#"{"routing_key":"<redacted>","payload":{"Token":"<redacted>","summary":"x"}}"#);
        assert_eq!(
            redacted(b"token=hunter2&user=hunter2&message=x", 1000),
            "token=<redacted>&user=<redacted>&message=x"
        );
    }

    #[test]
    fn what_is_kept_is_bounded_and_still_text() {
        assert_eq!(redacted("ü".repeat(50).as_bytes(), 5), "üü");
        assert_eq!(redacted(b"\xff\xfe", 100), "\u{fffd}\u{fffd}");
    }
}
