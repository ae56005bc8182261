//! Reads a mail as the on-call would have seen it. Pure.

use mail_parser::MessageParser;

use super::super::listing::{read_alerts, read_status};
use super::super::message::Content;
use super::super::payload::unescape_html;

/// Subject, text, and the alerts that the default HTML template lists.
pub(in crate::inbox) fn read(mail: &[u8]) -> Result<Content, String> {
    let mail = MessageParser::default().parse(mail).ok_or("the mail has no headers")?;
    let title = mail.subject().unwrap_or_default().to_owned();
    let text = mail.body_text(0).unwrap_or_default().trim().to_owned();
    let html = mail.html_bodies().find(|part| part.is_text_html()).and_then(|part| part.text_contents());
    let status = read_status(&title, &text);
    let alerts = match html {
        Some(html) => read_alerts(&lines_of_html(html), status),
        None => read_alerts(&text, status),
    };
    Ok(Content { status, alerts, title, text, ..Content::default() })
}

/// The text between the tags, each on lines of its own. Enough for the template, which escapes what it inserts.
fn lines_of_html(html: &str) -> String {
    let mut lines = String::new();
    for piece in html.split('<') {
        let text = piece.split_once('>').map_or(piece, |(_, text)| text).trim();
        if !text.is_empty() {
            lines.push_str(&unescape_html(text));
            lines.push('\n');
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::super::super::message::Status;
    use super::*;

    #[test]
    fn alertmanagers_default_mail_lists_its_alerts() {
        let content = read(include_bytes!("../golden/email-html.eml")).unwrap();
        assert_eq!(content.title, "[FIRING:2] HighErrorRate inventory (critical)");
        assert_eq!((content.status, content.alerts.len()), (Status::Firing, 2));
        assert_eq!(content.alerts[0].labels["route"], "/api/items/{sku}");
        assert_eq!(content.alerts[0].labels.len(), 4);
        assert_eq!(content.alerts[0].annotations["summary"], "5% of requests fail & more <b>");
        assert_eq!(content.alerts[0].annotations["description"], "line one\nline two");
        assert_eq!(content.alerts[1].annotations["summary"], "7% of requests fail");
        assert!(content.text.contains("alertname = HighErrorRate") && !content.text.contains("font-family"));
    }

    #[test]
    fn a_mail_of_plain_text_is_shown_as_it_is() {
        let content = read(include_bytes!("../golden/email-text.eml")).unwrap();
        // The golden file is as sent, so the dots at line starts are still doubled.
        assert_eq!(
            content.text.replace("\r\n", "\n"),
            "5% of requests fail & more <b>\n..dot\n7% of requests fail\n..dot"
        );
        assert_eq!(content.status, Status::Firing);
    }
}
