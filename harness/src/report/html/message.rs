//! A notification as the on-call saw it.

use super::link;
use crate::clock::Stamp;
use crate::event::{Notification, NotifiedAlert};
use crate::report::length::Ruler;

pub(super) struct Message {
    pub(super) class: &'static str,
    pub(super) icon: &'static str,
    pub(super) status: String,
    pub(super) title: String,
    pub(super) text: String,
    pub(super) when: String,
    pub(super) hint: String,
    pub(super) receiver: String,
    pub(super) kind: String,
    pub(super) refused: Option<String>,
    pub(super) again: Option<String>,
    pub(super) alerts: Vec<Alert>,
}

pub(super) struct Alert {
    pub(super) status: String,
    pub(super) labels: Vec<(String, String)>,
    pub(super) annotations: Vec<Annotation>,
}

pub(super) struct Annotation {
    pub(super) name: String,
    pub(super) value: String,
    pub(super) link: Option<String>,
}

/// Every message in the order of receipt. A message that only repeats what its receiver was told last of the same group,
/// such as the beats of a dead man's switch, is shown once, with the times of its repetitions.
pub(super) fn all(notifications: &[Notification], ruler: Ruler) -> Vec<Message> {
    let mut rows: Vec<(&Notification, Vec<Stamp>)> = Vec::new();
    for notification in notifications {
        let last = rows.iter_mut().rfind(|(first, _)| same_place(first, notification));
        match last {
            Some((first, again)) if same_words(first, notification) => again.push(notification.received),
            _ => rows.push((notification, Vec::new())),
        }
    }
    rows.into_iter().map(|(first, again)| Message { again: repetitions(&again, ruler), ..of(first, ruler) }).collect()
}

fn same_place(a: &Notification, b: &Notification) -> bool {
    (&a.receiver, &a.kind, &a.group_key, &a.group_labels) == (&b.receiver, &b.kind, &b.group_key, &b.group_labels)
}

fn same_words(a: &Notification, b: &Notification) -> bool {
    (&a.status, &a.alerts, a.truncated, &a.title, &a.text, a.answered)
        == (&b.status, &b.alerts, b.truncated, &b.title, &b.text, b.answered)
}

fn repetitions(again: &[Stamp], ruler: Ruler) -> Option<String> {
    let times: Vec<String> = again.iter().map(|at| ruler.production(*at)).collect();
    match times.as_slice() {
        [] => None,
        [once] => Some(format!("The same message came once more, at {once}.")),
        [many @ .., last] => {
            Some(format!("The same message came {} times more, at {} and {last}.", times.len(), many.join(", ")))
        }
    }
}

fn of(notification: &Notification, ruler: Ruler) -> Message {
    let firing = notification.status == "firing";
    Message {
        class: if firing { "firing" } else { "resolved" },
        icon: if firing { "▲" } else { "▽" },
        status: notification.status.clone(),
        title: title(notification),
        text: notification.text.trim().to_owned(),
        when: ruler.production(notification.received),
        hint: ruler.all(notification.received),
        receiver: notification.receiver.clone(),
        kind: notification.kind.clone(),
        refused: refused(notification),
        again: None,
        alerts: notification.alerts.iter().map(alert).collect(),
    }
}

fn title(notification: &Notification) -> String {
    if !notification.title.is_empty() {
        return notification.title.clone();
    }
    let mut names: Vec<&str> =
        notification.alerts.iter().filter_map(|alert| alert.labels.get("alertname").map(String::as_str)).collect();
    names.dedup();
    names.join(", ")
}

fn refused(notification: &Notification) -> Option<String> {
    let answered = notification.answered;
    let left_out = notification.truncated;
    match (200..300).contains(&answered) {
        false => Some(format!("The inbox answered {answered}: it did not take this message.")),
        true if left_out > 0 => Some(format!("{left_out} alerts were left out of this message.")),
        true => None,
    }
}

fn alert(alert: &NotifiedAlert) -> Alert {
    let annotation = |(name, value): (&String, &String)| Annotation {
        name: name.clone(),
        value: value.clone(),
        link: link::of(name, value),
    };
    Alert {
        status: alert.status.clone(),
        labels: alert.labels.iter().map(|(name, value)| (name.clone(), value.clone())).collect(),
        annotations: alert.annotations.iter().map(annotation).collect(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn told(receiver: &str, status: &str, second: i64) -> Notification {
        Notification {
            receiver: receiver.to_owned(),
            kind: "webhook".to_owned(),
            received: Stamp(second * 1_000_000),
            status: status.to_owned(),
            group_key: "g".to_owned(),
            group_labels: BTreeMap::new(),
            alerts: Vec::new(),
            truncated: 0,
            title: "Watchdog".to_owned(),
            text: String::new(),
            answered: 200,
        }
    }

    #[test]
    fn beats_are_shown_once_with_the_times_of_the_others_and_what_differs_is_shown_by_itself() {
        let ruler = Ruler { origin: Stamp(0), scale: 60.0 };
        let beats = [
            told("heartbeat", "firing", 2),
            told("pager", "firing", 3),
            told("heartbeat", "firing", 4),
            told("heartbeat", "firing", 6),
            told("heartbeat", "resolved", 8),
            told("heartbeat", "firing", 10),
        ];
        let shown = all(&beats, ruler);
        let rows: Vec<(&str, &str)> = shown.iter().map(|row| (row.receiver.as_str(), row.status.as_str())).collect();
        let expected =
            [("heartbeat", "firing"), ("pager", "firing"), ("heartbeat", "resolved"), ("heartbeat", "firing")];
        assert_eq!(rows, expected);
        let again = shown[0].again.as_deref().unwrap();
        assert!(again.contains("2 times more") && again.contains(&ruler.production(beats[3].received)), "{again}");
        assert!(shown[1..].iter().all(|row| row.again.is_none()));
        let refused = Notification { answered: 500, ..told("heartbeat", "firing", 12) };
        assert_eq!(all(&[told("heartbeat", "firing", 10), refused], ruler).len(), 2, "a refusal is no repetition");
    }
}
