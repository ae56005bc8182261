//! What was observed while a scenario ran: alert histories, Alertmanager's holdings, the inboxes' mail. Fed by the pollers
//! and the inbox through the drill's loop, read by the judges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::holding::Holdings;
pub use super::rule_record::Evaluations;
use super::rule_record::{RuleRecord, whole};
use crate::clock::Stamp;
use crate::event::{EventKind, Notification, NotifiedAlert};
use crate::expect::Labels;
use crate::expect::alert::History;
use crate::expect::look::Coverage;
use crate::expect::mail::{Delivery, Knocks, Mail, Refusal, Tells};
use crate::inbox::{Message, Status};
use crate::telemetry::alertmanager::{Deliveries, ReceivedAlert};
use crate::telemetry::prometheus::{Group, OwnCounters, Series};

/// Everything observed so far.
#[derive(Debug, Default)]
pub struct Record {
    prometheus: RuleRecord,
    ruler: RuleRecord,
    deliveries: Vec<Delivery>,
    refusals: Vec<Refusal>,
    holdings: Holdings,
    knocks: BTreeMap<String, Knocks>,
    knocking: Duration,
    failures: Vec<(String, String, u64)>,
}

impl Record {
    /// Takes in a poll of Prometheus's rules API; returns what is new.
    pub fn rules(&mut self, groups: &[Group], at: Stamp) -> Vec<(Stamp, EventKind)> {
        self.prometheus.rules(groups, at)
    }

    /// Takes in a poll of the rules of the log store's ruler; returns what is new.
    pub fn log_rules(&mut self, groups: &[Group], at: Stamp) -> Vec<(Stamp, EventKind)> {
        self.ruler.rules(groups, at)
    }

    /// Takes in a poll of Alertmanager's alerts; the polls may come in any order.
    pub fn held(&mut self, alerts: &[ReceivedAlert], at: Stamp) {
        self.holdings.polled(alerts, at);
    }

    /// States how often Alertmanager and the inboxes are asked, so that a hole can be told from a pause.
    pub fn rhythm(&mut self, holdings: Duration, knocks: Duration) {
        self.holdings.every(holdings);
        self.knocking = knocks;
    }

    /// Takes in whether a receiver's inbox opened.
    pub fn knocked(&mut self, receiver: &str, opened: Result<(), String>, at: Stamp) {
        let interval = self.knocking;
        let knocks = self.knocks.entry(receiver.to_owned()).or_default();
        match opened {
            Ok(()) => {
                let mut stamps = std::mem::take(&mut knocks.opened.at);
                stamps.push(at);
                knocks.opened = Coverage::new(interval, stamps);
            }
            Err(why) => {
                knocks.failed.push((at, why));
                knocks.failed.sort();
            }
        }
    }

    /// Takes in when Prometheus's process started; another time than before is a restart, also one that no poll saw.
    pub fn started(&mut self, at: Stamp) {
        self.prometheus.started(at);
    }

    /// Takes in Prometheus's own counters: what proves that its rules were evaluated all the time (T26).
    pub fn counted(&mut self, counters: OwnCounters, at: Stamp) {
        self.prometheus.counted(counters, at);
    }

    /// The same of the log store's ruler.
    pub fn logs_counted(&mut self, counters: OwnCounters, at: Stamp) {
        self.ruler.counted(counters, at);
    }

    /// Takes in the raw samples of `ALERTS` and `ALERTS_FOR_STATE`: what fired and ended between two polls (T25).
    pub fn series(&mut self, alerts: &[Series], for_state: &[Series]) -> Vec<(Stamp, EventKind)> {
        self.prometheus.series(alerts, for_state)
    }

    /// Takes in Alertmanager's own counts of deliveries.
    pub fn deliveries(&mut self, by_integration: &BTreeMap<String, Deliveries>) {
        self.failures = by_integration
            .iter()
            .flat_map(|(integration, deliveries)| {
                let reasons = deliveries.failed_by_reason.iter().map(|(reason, count)| (reason.clone(), *count));
                let named: f64 = deliveries.failed_by_reason.values().sum();
                let unnamed = ("no reason given".to_owned(), (deliveries.failed - named).max(0.0));
                reasons
                    .chain([unnamed])
                    .map(|(reason, count)| (integration.clone(), reason, whole(count)))
                    .collect::<Vec<_>>()
            })
            .filter(|(.., count)| *count > 0)
            .collect();
    }

    /// Takes in a message from an inbox.
    pub fn message(&mut self, message: &Message) -> EventKind {
        if (200..300).contains(&message.answered) {
            let deliveries = self.deliveries_of(message);
            self.deliveries.extend(deliveries);
            self.deliveries.sort_by(|a, b| order(a).cmp(&order(b)));
        } else {
            let Message { receiver, received, answered, .. } = message;
            self.refusals.push(Refusal { receiver: receiver.clone(), received: *received, answered: *answered });
            self.refusals.sort_by(|a, b| (a.received, &a.receiver).cmp(&(b.received, &b.receiver)));
        }
        EventKind::NotificationReceived(Notification {
            receiver: message.receiver.clone(),
            kind: message.kind.name().to_owned(),
            received: message.received,
            status: message.status.word().to_owned(),
            group_key: message.group_key.clone(),
            group_labels: message.group_labels.clone(),
            alerts: message
                .alerts
                .iter()
                .map(|alert| NotifiedAlert {
                    status: alert.status.word().to_owned(),
                    labels: alert.labels.clone(),
                    annotations: alert.annotations.clone(),
                    starts_at: alert.starts_at,
                    ends_at: alert.ends_at,
                    fingerprint: alert.fingerprint.clone(),
                })
                .collect(),
            truncated: message.truncated,
            title: message.title.clone(),
            text: message.text.clone(),
            answered: message.answered,
        })
    }

    /// One delivery for each alert inside; kinds that carry no labels (chat, mail) tell by name.
    fn deliveries_of(&self, message: &Message) -> Vec<Delivery> {
        let shown = format!("{}\n{}", message.title, message.text);
        let delivery = |status, labels, annotations, starts_at| Delivery {
            receiver: message.receiver.clone(),
            kind: message.kind.name().to_owned(),
            group: message.group_key.clone(),
            received: message.received,
            tells: if status == Status::Resolved { Tells::Resolved } else { Tells::Firing },
            labels,
            annotations,
            starts_at,
            truncated: message.truncated,
            shown: shown.clone(),
        };
        let inside: Vec<Delivery> = message
            .alerts
            .iter()
            .filter(|alert| alert.labels.contains_key("alertname"))
            .map(|alert| delivery(alert.status, alert.labels.clone(), alert.annotations.clone(), alert.starts_at))
            .collect();
        if !inside.is_empty() {
            return inside;
        }
        let words: BTreeSet<&str> = shown.split(|c: char| !c.is_alphanumeric() && c != '_').collect();
        let named = self.names().into_iter().filter(|name| words.contains(name.as_str()));
        named
            .map(|name| {
                let mut labels = message.group_labels.clone();
                labels.insert("alertname".to_owned(), name);
                delivery(message.status, labels, Labels::new(), None)
            })
            .collect()
    }

    fn names(&self) -> BTreeSet<String> {
        self.prometheus.names().into_iter().chain(self.ruler.names()).collect()
    }

    /// How often the least-evaluated rule was evaluated so far, and how many rules there are.
    #[must_use]
    pub fn evaluations(&self) -> (usize, usize) {
        let counts: Vec<usize> = self.prometheus.counts().into_iter().chain(self.ruler.counts()).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.len())
    }

    /// The history of an alert, of all rules with its name together; a name has one evaluator.
    #[must_use]
    pub fn history(&self, name: &str) -> History {
        if self.ruler.names().contains(name) { self.ruler.history(name) } else { self.prometheus.history(name) }
    }

    /// When each rule group of Prometheus was evaluated, as far as it was seen or Prometheus states that it missed nothing.
    #[must_use]
    pub fn evaluated(&self) -> Evaluations {
        self.prometheus.evaluated()
    }

    /// The histories of all alerting rules, by name.
    #[must_use]
    pub fn histories(&self) -> BTreeMap<String, History> {
        self.names().into_iter().map(|name| (name.clone(), self.history(&name))).collect()
    }

    /// Everything seen on the way to the receivers.
    #[must_use]
    pub fn mail(&self) -> Mail {
        Mail {
            deliveries: self.deliveries.clone(),
            refusals: self.refusals.clone(),
            sightings: self.holdings.sightings(),
            polls: self.holdings.coverage(),
            inboxes: self.knocks.clone(),
            failures: self.failures.clone(),
            dropped: self.prometheus.dropped() + self.ruler.dropped(),
        }
    }
}

/// What deliveries are sorted by, so that the order in which they were taken in does not show.
fn order(delivery: &Delivery) -> (Stamp, &str, &str, &Labels, Tells) {
    let Delivery { received, receiver, group, labels, tells, .. } = delivery;
    (*received, receiver, group, labels, *tells)
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
