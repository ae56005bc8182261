//! A notification as the on-call saw it.

use super::link;
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

pub(super) fn of(notification: &Notification, ruler: Ruler) -> Message {
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
