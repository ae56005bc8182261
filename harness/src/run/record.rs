//! What was observed while a scenario ran: alert histories, Alertmanager's holdings, the inboxes' mail. Fed by the pollers
//! and the inbox through the drill's loop, read by the judges.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::clock::Stamp;
use crate::event::{AlertState, EventKind, Notification, NotifiedAlert};
use crate::expect::Labels;
use crate::expect::alert::{Change, History, Instance, State};
use crate::expect::look::Coverage;
use crate::expect::mail::{Delivery, Knocks, Mail, Refusal, Tells};
use crate::inbox::{Message, Status};
use crate::telemetry::alertmanager::{Deliveries, ReceivedAlert};
use crate::telemetry::history::{self, AlertHistory, RuleKey};
use crate::telemetry::prometheus::{Group, Health, OwnCounters, RuleKind, Series};
use crate::telemetry::recording::{Evaluated, beginnings};

/// When rules were evaluated.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Evaluations {
    /// Group by group.
    pub groups: Vec<Evaluated>,
    /// When Prometheus's process started, by its own account.
    pub started: Option<Stamp>,
    /// When it restarted.
    pub restarts: BTreeSet<Stamp>,
}

use super::holding::Holdings;

/// Everything observed so far.
#[derive(Debug, Default)]
pub struct Record {
    alerts: AlertHistory,
    deliveries: Vec<Delivery>,
    refusals: Vec<Refusal>,
    holdings: Holdings,
    knocks: BTreeMap<String, Knocks>,
    knocking: Duration,
    dropped: u64,
    failures: Vec<(String, String, u64)>,
    begun: Option<(Stamp, OwnCounters)>,
    started: Option<Stamp>,
    restarts: BTreeSet<Stamp>,
    proven: BTreeMap<String, (Stamp, Stamp)>,
    health: BTreeMap<RuleKey, (Health, String)>,
}

impl Record {
    /// Takes in a poll of the rules API; returns what is new.
    pub fn rules(&mut self, groups: &[Group], at: Stamp) -> Vec<(Stamp, EventKind)> {
        let mut news: Vec<(Stamp, EventKind)> = self
            .alerts
            .observe(groups, at)
            .into_iter()
            .map(|change| (change.evaluated, alert_changed(change)))
            .collect();
        for change in self.alerts.health_changes() {
            let now = (change.health, change.error.clone());
            if self.health.get(&change.rule) != Some(&now) {
                let (rule, health) = (change.rule.name.clone(), change.health.word().to_owned());
                self.health.insert(change.rule, now);
                news.push((change.evaluated, EventKind::RuleHealthChanged { rule, health, error: change.error }));
            }
        }
        news
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
        if self.started.replace(at).is_some_and(|before| before != at) {
            self.restarts.insert(at);
        }
    }

    /// Takes in Prometheus's own counters. The first time they are kept; each later time, every rule group that has missed no
    /// evaluation since the first is proven to have been evaluated all the time, also where no poll saw it (T26).
    pub fn counted(&mut self, counters: OwnCounters, at: Stamp) {
        let Some((begun, before)) = &self.begun else {
            self.begun = Some((at, counters));
            return;
        };
        let (begun, before) = (*begun, before.clone());
        let dropped = |counters: &OwnCounters| counters.notifications_dropped.unwrap_or_default();
        self.dropped = whole((dropped(&counters) - dropped(&before)).max(0.0));
        for (key, _) in self.alerts.rules() {
            let group = format!("{};{}", key.file, key.group);
            let interval = self.alerts.interval(key).unwrap_or_default().as_secs_f64();
            let grown =
                |of: &BTreeMap<String, f64>, since: &BTreeMap<String, f64>| Some(of.get(&group)? - since.get(&group)?);
            let missed = grown(&counters.iterations_missed, &before.iterations_missed);
            let due = grown(&counters.iterations, &before.iterations);
            let expected = at.since(begun).as_secs_f64() / interval;
            if missed == Some(0.0) && due.is_some_and(|due| due >= expected - 2.0) {
                self.proven.insert(group, (begun, at));
            } else {
                self.proven.remove(&group);
            }
        }
    }

    /// Takes in the raw samples of `ALERTS` and `ALERTS_FOR_STATE`: what fired and ended between two polls (T25).
    pub fn series(&mut self, alerts: &[Series], for_state: &[Series]) -> Vec<(Stamp, EventKind)> {
        let found = self.alerts.merge_series(alerts, for_state);
        found.into_iter().map(|change| (change.evaluated, alert_changed(change))).collect()
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
        let alerting = self.alerts.rules().filter(|(_, kind)| *kind == RuleKind::Alerting);
        alerting.map(|(key, _)| key.name.clone()).collect()
    }

    /// How often the least-evaluated rule was evaluated so far, and how many rules there are.
    #[must_use]
    pub fn evaluations(&self) -> (usize, usize) {
        let counts: Vec<usize> =
            self.alerts.rules().map(|(key, _)| self.alerts.evaluations(key, EVER.0, EVER.1).len()).collect();
        (counts.iter().copied().min().unwrap_or(0), counts.len())
    }

    /// The history of an alert, of all rules with its name together.
    #[must_use]
    pub fn history(&self, name: &str) -> History {
        let keys: Vec<&RuleKey> = self.alerts.alerting(name).collect();
        let mut instances: BTreeMap<(&RuleKey, Labels), Instance> = BTreeMap::new();
        let changes = self.alerts.changes();
        for change in changes.iter().filter(|change| keys.contains(&&change.rule)) {
            let fresh = || Instance { labels: change.labels.clone(), annotations: Labels::new(), changes: Vec::new() };
            let instance = instances.entry((&change.rule, change.labels.clone())).or_insert_with(fresh);
            if !change.annotations.is_empty() {
                instance.annotations = change.annotations.clone();
            }
            instance.changes.push(Change { evaluated: change.evaluated, state: state(change.to), value: change.value });
        }
        let errors = self
            .alerts
            .health_changes()
            .into_iter()
            .filter(|change| keys.contains(&&change.rule) && change.health == Health::Error)
            .map(|change| (change.evaluated, change.error))
            .collect();
        let instances = instances.into_values().collect();
        History { rules: keys.len(), instances, coverage: self.coverage(&keys), errors }
    }

    fn coverage(&self, keys: &[&RuleKey]) -> Coverage {
        let Some(key) = keys.first() else { return Coverage::default() };
        let seen: Vec<Stamp> = self.alerts.evaluations(key, EVER.0, EVER.1).into_iter().map(|(at, _)| at).collect();
        let interval = self.alerts.interval(key).unwrap_or_default();
        let mut coverage = Coverage::new(interval, seen);
        if let Some((from, to)) = self.proven.get(&format!("{};{}", key.file, key.group)) {
            coverage.fill(*from, *to);
        }
        let seen = self.alerts.restarts();
        Coverage { restarts: seen.into_iter().chain(self.restarts.iter().copied()).collect(), ..coverage }
    }

    /// When each rule group was evaluated, as far as it was seen or Prometheus states that it missed nothing.
    #[must_use]
    pub fn evaluated(&self) -> Evaluations {
        let mut groups = Vec::new();
        let mut restarts = self.restarts.clone();
        for key in self.alerts.rules().map(|(key, _)| key).filter(|key| key.index == 0) {
            let coverage = self.coverage(&[key]);
            // a poll that found the rules not evaluated yet, and the process's own new start time, are one restart
            let polled = coverage.restarts.iter().filter(|polled| {
                let before = coverage.at.iter().rfind(|at| at < polled).copied().unwrap_or(Stamp(0));
                !self.restarts.iter().any(|exact| *exact > before && *exact <= **polled)
            });
            restarts.extend(polled.copied());
            let (Some(first), Some(last)) = (coverage.at.first(), coverage.at.last()) else { continue };
            let micros = i64::try_from(coverage.interval.as_micros()).unwrap_or(i64::MAX).max(1);
            let seen = self.alerts.evaluations(key, EVER.0, EVER.1);
            let began: Vec<i64> = seen.iter().map(|(at, _)| at.0).collect();
            let (phase, late) = beginnings(&began, micros);
            let holes = coverage.at.windows(2).filter(|pair| pair[1].since(pair[0]) > coverage.interval * 3 / 2);
            groups.push(Evaluated {
                file: key.file.clone(),
                group: key.group.clone(),
                interval: micros / 1000,
                first: first.0,
                last: last.0,
                phase,
                late,
                holes: holes.map(|pair| (pair[0].0, pair[1].0)).collect(),
            });
        }
        Evaluations { groups, started: self.started, restarts }
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
            dropped: self.dropped,
        }
    }
}

/// What deliveries are sorted by, so that the order in which they were taken in does not show.
fn order(delivery: &Delivery) -> (Stamp, &str, &str, &Labels, Tells) {
    let Delivery { received, receiver, group, labels, tells, .. } = delivery;
    (*received, receiver, group, labels, *tells)
}

const EVER: (Stamp, Stamp) = (Stamp(0), Stamp(i64::MAX));

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of failures")]
const fn whole(count: f64) -> u64 {
    count as u64
}

const fn state(state: history::State) -> State {
    match state {
        history::State::Inactive => State::Inactive,
        history::State::Pending => State::Pending,
        history::State::Firing => State::Firing,
    }
}

fn alert_changed(change: history::AlertChange) -> EventKind {
    let state = match change.to {
        history::State::Inactive => AlertState::Inactive,
        history::State::Pending => AlertState::Pending,
        history::State::Firing => AlertState::Firing,
    };
    EventKind::AlertChanged {
        alert: change.rule.name,
        labels: change.labels,
        state,
        evaluated: change.evaluated,
        value: change.value,
    }
}

#[cfg(test)]
#[path = "record_tests.rs"]
mod tests;
