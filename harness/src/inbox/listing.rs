//! Reads alerts back out of the text that Alertmanager's default templates write (`Labels: … Annotations: … Source: …`),
//! for the kinds that carry no structure. A custom template yields no alerts here, and title and text still stand.

use std::collections::BTreeMap;

use super::message::{MessageAlert, Status};

/// What the lines being read belong to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Section {
    Outside,
    Labels,
    Annotations,
}

struct Reader {
    status: Status,
    section: Section,
    last_key: Option<String>,
    alert: MessageAlert,
    alerts: Vec<MessageAlert>,
}

/// The alerts listed in `text`; `status` holds until a heading such as `Alerts Resolved:` or `[2] Firing` says otherwise.
pub(super) fn read_alerts(text: &str, status: Status) -> Vec<MessageAlert> {
    let alert = MessageAlert::default();
    let mut reader = Reader { status, section: Section::Outside, last_key: None, alert, alerts: Vec::new() };
    for line in text.lines() {
        reader.read_line(line);
    }
    reader.close();
    reader.alerts
}

/// What a title or text says of its group, by the default templates' words.
pub(super) fn read_status(title: &str, text: &str) -> Status {
    let says =
        |words: &[&str]| words.iter().any(|word| title.contains(word)) || words.iter().any(|word| text.contains(word));
    if says(&["[FIRING", "Alerts Firing:"]) {
        Status::Firing
    } else if says(&["[RESOLVED", "Alerts Resolved:"]) {
        Status::Resolved
    } else {
        Status::Unknown
    }
}

impl Reader {
    fn read_line(&mut self, line: &str) {
        match line.trim().trim_start_matches("# ").trim_end_matches(':') {
            "Labels" => {
                self.close();
                self.section = Section::Labels;
            }
            "Annotations" if self.section == Section::Labels => self.enter(Section::Annotations),
            heading if is_heading(heading, "Firing") => self.head(Status::Firing),
            heading if is_heading(heading, "Resolved") => self.head(Status::Resolved),
            end if end == "Source" || end.starts_with("Source: ") => self.close(),
            _ if self.section != Section::Outside => self.read_pair(line),
            _ => {}
        }
    }

    /// Blank lines before a heading belong to the template, not to the last value.
    fn enter(&mut self, section: Section) {
        let last_key = self.last_key.take();
        if let Some(value) = last_key.and_then(|key| self.values().get_mut(&key)) {
            value.truncate(value.trim_end_matches('\n').len());
        }
        self.section = section;
    }

    const fn values(&mut self) -> &mut BTreeMap<String, String> {
        match self.section {
            Section::Annotations => &mut self.alert.annotations,
            _ => &mut self.alert.labels,
        }
    }

    fn head(&mut self, status: Status) {
        self.close();
        self.status = status;
    }

    /// `name = value`, or one more line of the last value.
    fn read_pair(&mut self, line: &str) {
        let pair = line.trim_start().strip_prefix("- ").unwrap_or(line).split_once(" = ");
        let pair = pair.map(|(key, value)| (key.trim(), value)).filter(|(key, _)| is_name(key));
        match (pair, self.last_key.clone()) {
            (Some((key, value)), _) => {
                self.values().insert(key.to_owned(), value.to_owned());
                self.last_key = Some(key.to_owned());
            }
            (None, Some(key)) => {
                let value = self.values().entry(key).or_default();
                value.push('\n');
                value.push_str(line);
            }
            (None, None) => {}
        }
    }

    fn close(&mut self) {
        self.enter(Section::Outside);
        let alert = std::mem::take(&mut self.alert);
        if !alert.labels.is_empty() {
            self.alerts.push(MessageAlert { status: self.status, ..alert });
        }
    }
}

/// `Alerts Firing` or `[2] Firing`.
fn is_heading(line: &str, word: &str) -> bool {
    line.strip_suffix(word).is_some_and(|start| {
        let start = start.trim();
        start == "Alerts"
            || start.strip_prefix('[').and_then(|n| n.strip_suffix(']')).is_some_and(|n| n.parse::<u32>().is_ok())
    })
}

fn is_name(text: &str) -> bool {
    !text.is_empty() && text.chars().all(|character| character.is_alphanumeric() || "_:.-/".contains(character))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_text_is_read_back_with_its_line_breaks() {
        let text = "Alerts Firing:\nLabels:\n - alertname = A\nAnnotations:\n - description = one\ntwo = not a pair of ours\n - \
                    summary = x = y\nSource: http://p\nLabels:\n - alertname = B\nAnnotations:\nSource: \n\nAlerts Resolved:\n\
                    Labels:\n - alertname = C\nAnnotations:\nSource: http://p\n";
        let alerts = read_alerts(text, Status::Unknown);
        let seen: Vec<_> = alerts.iter().map(|alert| (alert.labels["alertname"].as_str(), alert.status)).collect();
        assert_eq!(seen, [("A", Status::Firing), ("B", Status::Firing), ("C", Status::Resolved)]);
        assert_eq!(alerts[0].annotations["summary"], "x = y");
        assert!(alerts[0].annotations["description"].starts_with("one"));
    }

    #[test]
    fn a_custom_text_lists_no_alerts() {
        assert!(read_alerts("The error rate is = 5 %\nSource of trouble: db", Status::Firing).is_empty());
        assert_eq!(read_status("all good", "nothing"), Status::Unknown);
    }
}
