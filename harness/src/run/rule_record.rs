//! What was observed of the rules of one server, Prometheus or the log store's ruler: the histories of its alerts, and the
//! proof that they were evaluated. Fed and read by `run::record`.

use std::collections::{BTreeMap, BTreeSet};

use crate::clock::Stamp;
use crate::event::{AlertState, EventKind};
use crate::expect::Labels;
use crate::expect::alert::{Change, History, Instance, State};
use crate::expect::look::Coverage;
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

/// Everything observed of one server's rules so far.
#[derive(Debug, Default)]
pub(super) struct RuleRecord {
    alerts: AlertHistory,
    dropped: u64,
    begun: Option<(Stamp, OwnCounters)>,
    started: Option<Stamp>,
    restarts: BTreeSet<Stamp>,
    proven: BTreeMap<String, (Stamp, Stamp)>,
    health: BTreeMap<RuleKey, (Health, String)>,
}

impl RuleRecord {
    /// Takes in a poll of the rules API; returns what is new.
    pub(super) fn rules(&mut self, groups: &[Group], at: Stamp) -> Vec<(Stamp, EventKind)> {
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

    /// Takes in when Prometheus's process started; another time than before is a restart, also one that no poll saw.
    pub(super) fn started(&mut self, at: Stamp) {
        if self.started.replace(at).is_some_and(|before| before != at) {
            self.restarts.insert(at);
        }
    }

    /// Takes in the server's own counters. The first time they are kept; each later time, every rule group that has missed no
    /// evaluation since the first is proven to have been evaluated all the time, also where no poll saw it (T26).
    pub(super) fn counted(&mut self, counters: OwnCounters, at: Stamp) {
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
            // one that failed where no poll looked is no proof of silence (T24)
            let failed = grown(&counters.evaluation_failures, &before.evaluation_failures).unwrap_or_default();
            let expected = at.since(begun).as_secs_f64() / interval;
            if missed == Some(0.0) && failed <= 0.0 && due.is_some_and(|due| due >= expected - 2.0) {
                self.proven.insert(group, (begun, at));
            } else {
                self.proven.remove(&group);
            }
        }
    }

    /// Takes in the raw samples of `ALERTS` and `ALERTS_FOR_STATE`: what fired and ended between two polls (T25).
    pub(super) fn series(&mut self, alerts: &[Series], for_state: &[Series]) -> Vec<(Stamp, EventKind)> {
        let found = self.alerts.merge_series(alerts, for_state);
        found.into_iter().map(|change| (change.evaluated, alert_changed(change))).collect()
    }

    /// Alerts that the server could not send to any Alertmanager.
    pub(super) const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// The names of its alerting rules.
    pub(super) fn names(&self) -> BTreeSet<String> {
        let alerting = self.alerts.rules().filter(|(_, kind)| *kind == RuleKind::Alerting);
        alerting.map(|(key, _)| key.name.clone()).collect()
    }

    /// How often each rule was evaluated so far.
    pub(super) fn counts(&self) -> Vec<usize> {
        self.alerts.rules().map(|(key, _)| self.alerts.evaluations(key, EVER.0, EVER.1).len()).collect()
    }

    /// The history of an alert, of all rules with its name together.
    pub(super) fn history(&self, name: &str) -> History {
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
        let mut errors: Vec<(Stamp, String)> = keys.iter().flat_map(|key| self.alerts.failures(key)).collect();
        errors.sort();
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
    pub(super) fn evaluated(&self) -> Evaluations {
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
}

const EVER: (Stamp, Stamp) = (Stamp(0), Stamp(i64::MAX));

/// A counter as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a counter of failures")]
pub(super) const fn whole(count: f64) -> u64 {
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
